"""The map in `dataset_mirror/__init__.py`: whoever opens the project finds every room on it, and nothing that is not there."""

import re
import tomllib
from pathlib import Path

import dataset_mirror

PACKAGE = Path(dataset_mirror.__file__).parent
PROJECT = Path(__file__).parents[1] / "pyproject.toml"
MAP = dataset_mirror.__doc__ or ""
ROOMS = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()} - {"__init__"}


def test_every_room_is_on_it() -> None:
    """Each package and module directly below has a line of its own, in the order in which imports may go."""
    listed = re.findall(r"^    (\w+) {2,}\S", MAP, re.MULTILINE)
    assert sorted(listed) == sorted(ROOMS)
    arrows, *_ = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    assert listed == re.findall(r"dataset_mirror\.(\w+)", " ".join(arrows["layers"]))


def test_every_place_on_it_exists() -> None:
    """Each module that it names is where it says."""
    places = re.findall(r"`(\w+(?:/\w+)+)`", MAP)
    assert places
    assert [place for place in places if not (PACKAGE / f"{place}.py").exists() and not (PACKAGE / place).is_dir()] == []
