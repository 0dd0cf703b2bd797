"""The `headers` that an operator gives an origin: what they may be, `${NAME}` from the environment, and never showing them."""

import os
import re
from collections.abc import Mapping

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_VARIABLE = re.compile(r"\$(\$)?\{([^}]*)\}?")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# They frame the message, belong to one connection, or ask for other bytes than the archive's: the mirror sends its own.
_OURS = frozenset(
    ["accept-encoding", "connection", "expect", "host", "keep-alive", "range", "te", "trailer", "transfer-encoding", "upgrade", "via"]
)
_OURS_PREFIXES = ("content-", "if-", "proxy-")
HIDDEN = "(hidden)"


def credentials(given: object) -> dict[str, str]:
    """Names in lower case, values with their variables filled in. ValueError, which never has a value in it, if any is wrong."""
    if not isinstance(given, Mapping):
        raise ValueError('headers is a table of names and values, such as { Authorization = "Bearer ${TOKEN}" }')
    known: dict[str, str] = {}
    for name, value in given.items():
        lowered = _name(name)
        if lowered in known:
            raise ValueError(f"the header {lowered} is given twice")
        known[lowered] = _value(lowered, value)
    return known


def _name(name: object) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError("a header's name has letters, digits and hyphens, and no colon")
    lowered = name.lower()
    if lowered in _OURS or lowered.startswith(_OURS_PREFIXES):
        raise ValueError(f"the header {lowered} is the mirror's own to send: leave it out")
    return lowered


def _value(name: str, value: object) -> str:
    reveal = getattr(value, "get_secret_value", None)
    if reveal is not None:  # it was read and filled in before
        return str(reveal())
    if not isinstance(value, str):
        raise ValueError(f"the value of the header {name} is a text")
    filled = _VARIABLE.sub(lambda match: _filled(name, match), value)
    if not _VALUE.fullmatch(filled):
        raise ValueError(f"the value of the header {name} is empty, has spaces around it, or has characters that are not printable ASCII")
    return filled


def _filled(name: str, match: re.Match[str]) -> str:
    if match[1]:
        return match[0][1:]
    variable = match[2]
    if not match[0].endswith("}") or not _VARIABLE_NAME.fullmatch(variable):
        raise ValueError(
            f"the value of the header {name} has a ${{ that no variable's name follows; write $${{ for the characters themselves"
        )
    if variable not in os.environ:
        raise ValueError(f"the header {name} needs the environment variable {variable}, which is not set")
    return os.environ[variable]


def without_headers(value: object, known: frozenset[str]) -> object:
    """What may be shown of a wrong `origins`: values of the keys in `known`; a misspelt `headers` is hidden like the right one."""
    if isinstance(value, Mapping):
        return {key: inner if key in known else HIDDEN for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_headers(inner, known) for inner in value]
    return value
