"""Options that every command has."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from dataset_mirror.settings import Configuration, load

R = TypeVar("R")


def configured(command: Callable[..., R]) -> Callable[..., R]:
    """Adds --config and --data, and hands the configuration to the command as its first argument.

    Options that are named like a setting override it; they are passed on, too.
    """

    @click.option("--config", type=click.Path(path_type=Path), help="Configuration file [default: mirror.toml in the data folder].")
    @click.option("--data", type=click.Path(path_type=Path), help="Data folder [default: the user's data folder].")
    @wraps(command)
    def with_configuration(config: Path | None, data: Path | None, **options: Any) -> R:
        flags = {name: value for name, value in options.items() if name in SETTING_FLAGS and value is not None}
        configuration: Configuration = load(config, {"data": data, **flags})
        return command(configuration, **{name: value for name, value in options.items() if name not in SETTING_FLAGS})

    return with_configuration


SETTING_FLAGS = ("host", "port", "offline", "tls_port", "tls_cert", "tls_key")
"""Options that are settings."""
