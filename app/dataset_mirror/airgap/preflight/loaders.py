"""What calls of known libraries ask for, from tables beside the presets: data, not code.

    FUNCTION <tab> PARAMETERS <tab> WHEN <tab> ARCHIVES      in loaders/NAME.tsv
    PREFIX LAST                                              in loaders/known.txt: functions that load, of which no more is known;
                                                             `import` for a module that fetches when it is imported;
                                                             `.*` for modules that have such functions

A call asks for the archives of all lines of its function whose WHEN holds (`download=True;split=train|val`). An argument that
a WHEN names must be known, and one of its values (`*` is any that no other line names), unless others rule the line out; else nobody can
tell. ARCHIVES are names of the catalog, in which `{name}`
is an argument, or URLs; `-` is none.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files

from dataset_mirror.airgap.preflight.bindings import UNKNOWN

_FOLDER = "dataset_mirror.origins.presets"
FETCHERS = "fetchers.tsv"
"""The table of functions that fetch the URL that they are given, beside these."""
_ANY = "*"
_ARGUMENT = re.compile(r"\{(\w+)\}")


class CannotTell(Exception):
    """Why it cannot be told what a call asks for."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a function that loads something; values that only a run can tell are UNKNOWN."""

    function: str
    positional: tuple[object, ...] = ()
    named: Mapping[str, object] = field(default_factory=dict)
    starred: bool = False
    """Whether it is called with `*` or `**`."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a table."""

    parameters: tuple[tuple[str, str | None], ...]
    when: Mapping[str, frozenset[str]]
    archives: tuple[str, ...]


@cache
def tables() -> Mapping[str, Sequence[Line]]:
    """The lines of each function."""
    found: dict[str, list[Line]] = {}
    for item in sorted((files(_FOLDER) / "loaders").iterdir(), key=lambda each: each.name):
        if item.name.endswith(".tsv") and item.name != FETCHERS:
            for line in item.read_text(encoding="utf-8").splitlines():
                if line and not line.startswith("#"):
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
def _known() -> Mapping[str, Sequence[str]]:
    """The last names, as globs, of what loads, by the prefix of their modules."""
    found: dict[str, list[str]] = {}
    for line in (files(_FOLDER) / "loaders" / "known.txt").read_text(encoding="utf-8").splitlines():
        prefix, _, lasts = line.partition(" ")
        if line and not line.startswith("#"):
            found.setdefault(prefix, []).extend(lasts.split())
    return found


def mapped(path: str) -> str | None:
    """The function of the tables that a dotted path means, also through the module that has it: `torchvision.datasets.mnist.MNIST`."""
    before, _, last = path.rpartition(".")
    shorter = f"{before.rpartition('.')[0]}.{last}"
    return next((one for one in (path, shorter) if one in tables()), None)


def loads(path: str) -> bool:
    """Whether something of that dotted path is known to load something."""
    last = path.rpartition(".")[2]
    prefixes = [path[:end] for end, character in enumerate(path) if character == "."]
    return mapped(path) is not None or any(fnmatchcase(last, glob) for prefix in prefixes for glob in _known().get(prefix, ()))


def fetched_on_import(path: str) -> str:
    """The module that fetches as soon as it is imported, if a dotted path is that or something in it; else empty."""
    return next((name for name, lasts in _known().items() if "import" in lasts and f"{path}.".startswith(f"{name}.")), "")


@cache
def _names() -> frozenset[str]:
    """Whatever stands in a table."""
    lines = (files(_FOLDER) / "loaders" / FETCHERS).read_text(encoding="utf-8").splitlines()
    return frozenset([*_known(), *tables(), *(line.partition("\t")[0] for line in lines if line and not line.startswith("#"))])


def has_loaders(path: str) -> bool:
    """Whether a module of that dotted path, below a library's own name, has functions that load something."""
    below, (parent, _, last) = f"{path}.", path.rpartition(".")
    is_named = any(glob.startswith(".") and fnmatchcase(last, glob[1:]) for glob in _known().get(parent, ()))
    return "." in path and (is_named or path in _known() or any(name.startswith(below) for name in _names()))


def is_library(path: str) -> bool:
    """Whether a library of that name is known."""
    return any(name.partition(".")[0] == path for name in _names())


def asks_always(function: str) -> bool:
    """Whether a function asks for the same, whatever its arguments are."""
    return not any(line.when or _ARGUMENT.search(" ".join(line.archives)) for line in tables()[function])


def archives(call: Call, names: Mapping[str, list[str]]) -> list[str]:
    """The URLs that a call asks for. CannotTell, with the reason."""
    lines = tables()[call.function]
    if call.starred and not asks_always(call.function):
        raise CannotTell(f"{call.function}: its arguments are a variable")
    given = _arguments(call, lines[0])
    wanted = dict.fromkeys(
        one for line in _fitting(call.function, lines, given) for token in line.archives for one in _filled(call.function, token, given)
    )
    return [url for one in wanted for url in _urls(call.function, one, names)]


def _fitting(function: str, lines: Sequence[Line], given: Mapping[str, object]) -> list[Line]:
    """The lines of a function that hold of its arguments; what no argument that is known rules out must be certain."""
    named = {name: frozenset().union(*(line.when.get(name, ()) for line in lines)) for line in lines for name in line.when}
    for name in named:
        if _rules_out(given, name, named[name], named[name]):
            raise CannotTell(f"{function}: nothing is known of {name}={given[name]!r}")
    possible = [line for line in lines if not any(_rules_out(given, name, line.when[name], named[name]) for name in line.when)]
    unknown = [name for line in possible for name in line.when if given.get(name, UNKNOWN) is UNKNOWN]
    if unknown:
        raise CannotTell(f"{function}: {unknown[0]} is a variable")
    if not possible:
        raise CannotTell(f"{function}: nothing is known of these arguments")
    return possible


def _rules_out(given: Mapping[str, object], name: str, allowed: frozenset[str], named: frozenset[str]) -> bool:
    """Whether an argument is known, and none of the allowed values."""
    value = given.get(name, UNKNOWN)
    return value is not UNKNOWN and str(value) not in allowed and not (_ANY in allowed and str(value) not in named)


def _arguments(call: Call, line: Line) -> Mapping[str, object]:
    """The arguments by name; those of the table's own values as texts, others as they are."""
    defaults = {name: UNKNOWN if value == "?" else value for name, value in line.parameters if value is not None}
    names = [name for name, _ in line.parameters]
    given = dict(zip(names, call.positional, strict=False)) | dict(call.named)
    return defaults | {name: _plain(value) for name, value in given.items()}


def _plain(value: object) -> object:
    return str(value) if value is None or isinstance(value, bool | int | float) else value


def _filled(function: str, token: str, given: Mapping[str, object]) -> Iterator[str]:
    """The token with its argument in its place; several, if that is a list."""
    match = _ARGUMENT.search(token)
    if match is None or "://" in token:
        yield token
        return
    value = given.get(match[1], UNKNOWN)
    for one in value if isinstance(value, tuple) else [value]:
        if not isinstance(one, str) or ":" in one:
            raise CannotTell(f"{function}: {match[1]} is {'a variable' if one is UNKNOWN else repr(one)}")
        yield token.replace(match[0], one.partition("/")[0])


def _urls(function: str, one: str, names: Mapping[str, list[str]]) -> list[str]:
    if "://" in one:
        return [one]
    if one not in names:
        preset = one.partition("/")[0]
        raise CannotTell(f"{function} asks for {one}, which the catalog does not have (see: dataset-mirror presets {preset})")
    return names[one]
