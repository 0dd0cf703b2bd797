"""Presets that ship with the mirror, and how any preset is read."""

import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from dataset_mirror.errors import UsageError
from dataset_mirror.origins.lines import line_of
from dataset_mirror.origins.model import Preset


def shipped() -> list[str]:
    """Names of the presets inside the package."""
    return sorted(item.name.removesuffix(".toml") for item in files(__name__).iterdir() if item.name.endswith(".toml"))


def preset_text(name: str, folder: Path) -> str:
    """What stands in the preset called `name`, or in the TOML file at that path (relative to `folder`). UsageError if there is none."""
    is_path = _is_path(name)
    if not is_path and name not in shipped():
        raise UsageError(f"There is no preset {name!r}.", f"Shipped ones are {', '.join(shipped())}; a path ends in .toml.")
    try:
        source = folder / Path(name).expanduser() if is_path else files(__name__) / f"{name}.toml"
        return source.read_text(encoding="utf-8-sig")
    except (OSError, ValueError, RuntimeError) as error:  # no text, no name of a file, no home folder
        raise UsageError(f"The preset {name} cannot be read: {error}.", "Check the path in `presets`.") from None


def read_preset(name: str, folder: Path) -> Preset:
    """The preset called `name`, or the TOML file at that path (relative to `folder`). UsageError if it cannot be read."""
    return _read(name, folder) if _is_path(name) else _read_shipped(name)


@cache
def _read_shipped(name: str) -> Preset:
    """Those that ship with the mirror do not change while it runs."""
    return _read(name, Path())


def _read(name: str, folder: Path) -> Preset:
    text = preset_text(name, folder)
    try:
        preset = Preset.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"The preset {name} is not valid TOML: {error}.", "Fix that line.") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        line = f" (line {number})" if (number := line_of(text, first["loc"])) else ""
        what = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"The preset {name} has a wrong value at {where or 'origins'}: {what}{line}.", "Fix that line.") from None
    if any(origin.headers for origin in preset.origins):  # somebody else's preset could send any variable of ours anywhere
        raise UsageError(f"The preset {name} has `headers`.", "Credentials stand in mirror.toml only: write that block there.")
    if preset.catalog is None:
        return preset
    if _is_path(name):
        raise UsageError(
            f"The preset {name} has a `catalog`.", "Only presets that ship with the mirror have one: write `[[archives]]` blocks."
        )
    return preset.model_copy(update={"catalog": Path(str(files(__name__) / str(preset.catalog)))})


def _is_path(name: str) -> bool:
    return name.endswith(".toml") or "/" in name
