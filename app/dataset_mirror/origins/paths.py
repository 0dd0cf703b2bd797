"""Paths of this machine, as settings write them."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator


def expanded(path: Path) -> Path:
    """A path with `~` for the home folder. ValueError if nobody knows that."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError(f"no home folder is known for {path.parts[0]}") from None


def _not_empty(value: object) -> object:
    if value == "":
        raise ValueError("an empty path names nothing")
    return value


def _at_home(url: str) -> str:
    """A database's URL with `~` for the home folder."""
    place = url.removeprefix("sqlite:///")
    return f"sqlite:///{expanded(Path(place))}" if place.startswith("~") else url


SomePath = Annotated[Path, BeforeValidator(_not_empty), AfterValidator(expanded)]
"""A path, in which `~` is the home folder."""
DatabaseUrl = Annotated[str, AfterValidator(_at_home)]
"""The URL of an index, in which `~` is the home folder."""
