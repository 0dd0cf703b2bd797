"""Options that every command has."""

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

from dataset_mirror.errors import UsageError
from dataset_mirror.settings import URL_VARIABLE, Configuration, load

R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


def configured(command: Callable[..., R]) -> Callable[..., R]:
    """Adds --config and --data, and hands the configuration to the command as its first argument.

    Options that are named like a setting override it. A command with the option --mirror gets DATASET_MIRROR_URL in its place,
    unless the command line names a folder or its configuration.
    """

    @click.option("--config", type=click.Path(path_type=Path), help="Configuration file [default: mirror.toml in the data folder].")
    @click.option("--data", type=click.Path(path_type=Path), help="Data folder [default: the user's data folder].")
    @wraps(command)
    def with_configuration(config: Path | None, data: Path | None, **options: Any) -> R:
        flags = {name: value for name, value in options.items() if name in SETTING_FLAGS and value is not None}
        configuration: Configuration = load(config, {"data": data, **flags})
        rest = {name: value for name, value in options.items() if name not in SETTING_FLAGS}
        if "mirror" in rest and rest["mirror"] is None and config is None and data is None:
            rest["mirror"] = os.environ.get(URL_VARIABLE)
        return command(configuration, **rest)

    return with_configuration


SETTING_FLAGS = ("host", "port", "workers", "offline", "upstream_proxy", "tls_port", "tls_cert", "tls_key")
"""Options that are settings."""


def local_only(command: Callable[..., R]) -> Callable[..., R]:
    """As `configured`, for commands that work on a data folder: a mirror elsewhere is refused, in a sentence."""

    @wraps(command)
    def here(configuration: Configuration, *, mirror: str | None, **options: Any) -> R:
        if mirror:
            verb = click.get_current_context().info_name
            raise UsageError(
                f"`{verb}` works on a data folder, not over HTTP; --mirror or {URL_VARIABLE} names {mirror}.",
                f"Run it on that mirror's machine, or name a folder here: dataset-mirror {verb} --data DIR",
            )
        return command(configuration, **options)

    return click.option("--mirror", metavar="URL", hidden=True)(configured(here))


def mirror_option(what: str = "The mirror to work with, over HTTP", otherwise: str = "that of the data folder") -> Callable[[F], F]:
    """--mirror, for commands that can work with one elsewhere."""
    return click.option("--mirror", metavar="URL", help=f"{what} [default: {URL_VARIABLE}, else {otherwise}].")


def mirror_url(given: str) -> str:
    """The base URL of a mirror, https and paths included; UsageError if it is none."""
    try:
        parts = urlsplit(given)
        is_one = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and not (parts.query or parts.fragment)
    except ValueError:
        is_one = False
    if not is_one:
        raise UsageError(f"{given!r} is not the URL of a mirror.", "Give one such as http://mirror:8080.")
    return given.rstrip("/")
