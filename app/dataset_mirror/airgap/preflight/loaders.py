"""What calls of known functions load, by the tables.

A call asks for the archives of all lines of its function whose WHEN holds (`download=True;split=train|val`). An argument that
a WHEN names must be known, and one of its values (`*` is any that no other line names), unless others rule the line out; else nobody can
tell. ARCHIVES are names of the catalog, in which `{name}` is an argument, or URLs; `-` is none.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dataset_mirror.airgap.preflight.bindings import UNKNOWN
from dataset_mirror.airgap.preflight.tables import Line, tables

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
