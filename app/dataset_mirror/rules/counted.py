"""A number with its noun, as people read it: `1 miss`, `2,000 misses`. The one place that knows plurals."""

import re

_HISSING = re.compile(r"(?:s|x|z|ch|sh)$")
_TO_IES = re.compile(r"(?<=[^aeiou])y$")


def counted(number: int, noun: str) -> str:
    """The number with thousands separated, and its noun, in the plural unless it is one."""
    return f"{number:,} {noun if number == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """More than one of it, by the rules: `archives`, `misses`, `repositories`."""
    if _HISSING.search(noun):
        return f"{noun}es"
    return _TO_IES.sub("ie", noun) + "s"


def share(part: int, number: int, noun: str) -> str:
    """So many of all, with the verb: `0 of 1 archive is`, `1 of 2 archives is`, `0 of 2 archives are`."""
    return f"{part:,} of {counted(number, noun)} {'is' if number == 1 else are(part)}"


def are(number: int) -> str:
    """The verb that goes with so many: `is` or `are`."""
    return "is" if number == 1 else "are"
