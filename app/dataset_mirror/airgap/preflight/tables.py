"""What is known of functions, by their dotted names, from the tables in origins/presets/loaders: data, not code.

FUNCTION <tab> PARAMETERS <tab> WHEN <tab> ARCHIVES      NAME.tsv: what functions load
FUNCTION <tab> ARGUMENT <tab> POSITION <tab> HOW         fetchers.tsv: what they do with an argument; HOW is explained there
PREFIX LAST                                              known.txt: functions that load, of which no more is known;
                                                         `import` for a module that fetches when it is imported;
                                                         `.*` for modules that have such functions;
                                                         the prefix `*` for methods of anything
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files

_FOLDER = "dataset_mirror.origins.presets"
_FETCHERS = "fetchers.tsv"
_KERAS = re.compile(
    r"(?:tensorflow(?:\.compat\.v[12]|\.python|\._api\.v2)?\.keras|tf_keras|keras)(?:\.(?:api|src|_tf_keras\.keras|_v2))*(?:\.(.+))?"
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of what a function loads."""

    parameters: tuple[tuple[str, str | None], ...]
    when: Mapping[str, frozenset[str]]
    archives: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fetcher:
    """What a function does with one of its arguments."""

    argument: str
    position: int
    how: str


def _lines(name: str) -> Iterator[str]:
    text = (files(_FOLDER) / "loaders" / name).read_text(encoding="utf-8")
    return (line for line in text.splitlines() if line and not line.startswith("#"))


@cache
def tables() -> Mapping[str, Sequence[Line]]:
    """The lines of each function that loads something."""
    found: dict[str, list[Line]] = {}
    for name in sorted(item.name for item in (files(_FOLDER) / "loaders").iterdir()):
        for line in _lines(name) if name.endswith(".tsv") and name != _FETCHERS else ():
            function, *rest = line.split("\t")
            found.setdefault(function, []).append(_line(*rest))
    return found


def _line(parameters: str, when: str, archives: str) -> Line:
    given = [part.partition("=") for part in parameters.split(",") if part]
    conditions = [part.partition("=") for part in when.split(";") if part]
    return Line(
        tuple((name, value if equals else None) for name, equals, value in given),
        {name: frozenset(values.split("|")) for name, _, values in conditions},
        () if archives == "-" else tuple(archives.split(" ")),
    )


@cache
def fetchers() -> Mapping[str, Fetcher]:
    """The functions that fetch what an argument names, or run what it says."""
    fields = [line.split("\t") for line in _lines(_FETCHERS)]
    return {name: Fetcher(argument, int(position), how) for name, argument, position, how in fields}


@cache
def makers() -> frozenset[str]:
    """Functions that make something whose methods fetch, such as `requests.Session`; what they make is `requests.Session()`."""
    return frozenset(name.partition("()")[0] for name in fetchers() if "()" in name)


@cache
def _known() -> Mapping[str, Sequence[str]]:
    """The last names, as globs, of what loads, by the prefix of their modules."""
    found: dict[str, list[str]] = {}
    for line in _lines("known.txt"):
        prefix, *lasts = line.split()
        found.setdefault(prefix, []).extend(lasts)
    return found


def canonical(path: str) -> str:
    """`keras.datasets.mnist` for each of the ways to name it; any other path as it is."""
    match = _KERAS.fullmatch(path)
    return f"keras.{match[1] or ''}".rstrip(".") if match else path


def mapped(path: str) -> str | None:
    """The function of the tables that a dotted path means, also through the module that has it: `torchvision.datasets.mnist.MNIST`."""
    before, _, last = path.rpartition(".")
    shorter = f"{before.rpartition('.')[0]}.{last}"
    return next((one for one in (path, shorter) if one in tables()), None)


def loads(path: str) -> bool:
    """Whether something of that dotted path is known to load something."""
    last = path.rpartition(".")[2]
    prefixes = [path[:end] for end, character in enumerate(path) if character == "."]
    return mapped(path) is not None or any(_is_among(prefix, last) for prefix in prefixes)


def is_loading_method(name: str) -> bool:
    """Whether a method of that name loads something, whatever it is a method of."""
    return _is_among("*", name)


def _is_among(prefix: str, name: str) -> bool:
    return any(fnmatchcase(name, glob) for glob in _known().get(prefix, ()))


def fetched_on_import(path: str) -> str:
    """The module that fetches as soon as it is imported, if a dotted path is that or something in it; else empty."""
    return next((name for name, lasts in _known().items() if "import" in lasts and f"{path}.".startswith(f"{name}.")), "")


@cache
def _modules() -> frozenset[str]:
    """All modules that lead to something in a table."""
    functions = (name.partition("()")[0] for name in [*tables(), *fetchers()])
    named = [*_known(), *(name.rpartition(".")[0] for name in functions)]
    return frozenset(name[:end] for name in named for end in [*(at for at, sign in enumerate(name) if sign == "."), len(name)])


def has_loaders(path: str) -> bool:
    """Whether a module of that dotted path has functions that load something, or modules below it have."""
    parent, _, last = path.rpartition(".")
    return path in _modules() or any(glob.startswith(".") and fnmatchcase(last, glob[1:]) for glob in _known().get(parent, ()))
