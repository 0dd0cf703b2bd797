"""How a dataset is loaded in its own library, unchanged: by the tables that `check` reads scripts with, the other way round."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from dataset_mirror.airgap.preflight.tables import Line, tables
from dataset_mirror.origins.model import CatalogEntry
from dataset_mirror.status.wording import literal

_PLAIN = frozenset({"True", "False", "None"})
_KERAS = ("keras/", "keras-legacy/")


def calls(name: str, entries: Iterable[CatalogEntry]) -> str:
    """Lines of Python that load the dataset of that name; empty if nobody knows."""
    library, _, short = name.partition("/")
    if name.startswith(_KERAS):
        return _keras(short)
    known = [one for key in (name, *(entry.url for entry in entries)) for one in _by_archive().get(key, ())]
    if known:
        nearest = min(known, key=lambda one: _distance(one[0], one[1], short.lower()))
        return _written(*nearest, {})
    by_name = _by_archive().get(f"{library}/", ())
    return "".join(_written(function, line, {line.parameters[0][0]: short}) for function, line in by_name[:1])


def _distance(function: str, line: Line, short: str) -> tuple[bool, int, int, int]:
    """How far a function is from being the one that is called like the dataset, and loads it alone."""
    return function.rpartition(".")[2].lower() != short, len(line.archives), function.count("."), len(line.when)


def _keras(name: str) -> str:
    return f"import keras\n\ndata = keras.datasets.{name}.load_data()" if name.isidentifier() else ""


@cache
def _by_archive() -> Mapping[str, Sequence[tuple[str, Line]]]:
    """The functions that load an archive, by its URL or its name; by `tfds/` those that load any of these names."""
    found: dict[str, list[tuple[str, Line]]] = {}
    for function, lines in tables().items():
        for line in lines:
            for archive in line.archives:
                key = archive.partition("{")[0] if archive.endswith("}") else archive
                found.setdefault(key, []).append((function, line))
    return found


def _written(function: str, line: Line, given: Mapping[str, str]) -> str:
    arguments = [literal(given[name]) for name, _ in line.parameters if name in given]
    arguments += ['root="data"' for name, default in line.parameters if default is None and name == "root"]
    arguments += [f"{name}={_value(values)}" for name, values in line.when.items() if "None" not in values]
    return f"import {function.rpartition('.')[0]}\n\ndata = {function}({', '.join(arguments)})"


def _value(values: frozenset[str]) -> str:
    value = "DEFAULT" if "DEFAULT" in values else min(values, key=lambda one: (one != "True", one))
    return value if value in _PLAIN or value.isdecimal() else literal(value)
