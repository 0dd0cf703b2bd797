"""The `match` of a rule: which paths it is for. `*` is one segment or part of one, `**` any number, `{name}` is remembered.

/models/*.pth                  one segment
/sets/**                       all below /sets/
/blob/{sha256}                 64 hexadecimal digits; `{commit}` 40, `{md5}` 32
/{repo}/resolve/{ref}/**       any other name: whole segments, at least one, as few as fit
/{repo}.git/info               the same, and the last one ends so
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from dataset_mirror.errors import BadRequest
from dataset_mirror.origins.identity import normalise_path

CLASSES = {"commit": 40, "md5": 32, "sha256": 64}
"""Names in braces that stand for so many hexadecimal digits."""

_NAME = re.compile(r"\{([a-z][a-z0-9_]*)\}([^{}*]*)")
_SEGMENTS, _REST = r"[^/]+(?:/[^/]+)*?", r"[^/]++(?:/[^/]++)*+"


@dataclass(frozen=True)
class Pattern:
    """A `match`, normalised as paths are."""

    text: str

    @classmethod
    def parse(cls, text: str) -> "Pattern":
        """ValueError if it is none."""
        if not text.startswith("/"):
            raise ValueError("a match begins with a slash")
        try:
            normal = normalise_path(text.encode())
        except BadRequest as error:
            raise ValueError(str(error)) from None
        for segment in normal[1:].split("/"):
            _check(segment)
        found = cls(normal)
        repeated = {name for name in found.names if found.names.count(name) > 1}
        if repeated:
            raise ValueError(f"{{{min(repeated)}}} stands in it twice")
        return found

    @property
    def segments(self) -> list[str]:
        return self.text[1:].split("/")

    @cached_property
    def names(self) -> list[str]:
        """What it remembers, in order."""
        return [match[1] for segment in self.segments if (match := _NAME.fullmatch(segment))]

    def regex(self, prefix: str = "") -> str:
        """A regular expression for whole paths; its groups are the names behind `prefix`."""
        *before, last = self.segments
        return "".join(_middle(segment, prefix) for segment in before) + _last(last, prefix)

    def beginning(self, known: Mapping[str, str]) -> str:
        """What all paths begin with that it matches with these values of its names."""
        found = ""
        for segment in self.segments:
            name = _NAME.fullmatch(segment)
            if name and name[1] in known:
                found += f"/{known[name[1]]}{name[2]}"
            elif name or "*" in segment:
                return f"{found}/{'' if name else segment.partition('*')[0]}"
            else:
                found += f"/{segment}"
        return found

    def may_match(self, listed: str) -> bool:
        """Whether any path that an entry of `paths` allows (ending in `/`: a prefix) could match."""
        parts = listed[1:].split("/")
        return _meets(self.segments, parts[:-1], is_open=True) if listed.endswith("/") else _meets(self.segments, parts, is_open=False)


def _check(segment: str) -> None:
    if "**" in segment and segment != "**":
        raise ValueError("** is a whole segment")
    if ("{" in segment or "}" in segment) and not _NAME.fullmatch(segment):
        raise ValueError("a segment begins with a name in braces, of small letters, digits and _")


def _middle(segment: str, prefix: str) -> str:
    return "(?:/[^/]+)*" if segment == "**" else "/" + _single(segment, prefix)


def _last(segment: str, prefix: str) -> str:
    if segment == "**":
        return "/.*"
    name = _NAME.fullmatch(segment)
    if name and name[1] not in CLASSES and not name[2]:  # all that is left: never tried in a shorter way
        return f"/(?P<{prefix}{name[1]}>{_REST})"
    return "/" + _single(segment, prefix)


def _single(segment: str, prefix: str) -> str:
    if name := _NAME.fullmatch(segment):
        digits = CLASSES.get(name[1])
        return f"(?P<{prefix}{name[1]}>{f'[0-9a-f]{{{digits}}}' if digits else _SEGMENTS}){re.escape(name[2])}"
    return "[^/]+" if segment == "*" else "[^/]*".join(re.escape(part) for part in segment.split("*"))


def _meets(pattern: Sequence[str], listed: Sequence[str], *, is_open: bool) -> bool:
    """Whether the pattern can match these segments, or, if they are `is_open`, these and at least one more of any kind."""
    if not listed:
        return bool(pattern) if is_open else all(segment == "**" for segment in pattern)
    if not pattern:
        return False
    first, rest = pattern[0], pattern[1:]
    if _takes_many(first):
        least = 0 if first == "**" and rest else 1
        return any(_meets(rest, listed[count:], is_open=is_open) for count in range(least, len(listed) + 1)) or (is_open and not rest)
    return re.fullmatch(_single(first, ""), listed[0]) is not None and _meets(rest, listed[1:], is_open=is_open)


def _takes_many(segment: str) -> bool:
    name = _NAME.fullmatch(segment)
    return segment == "**" or (name is not None and name[1] not in CLASSES)
