"""Where in a TOML file something stands: tomllib does not tell."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

_HEADER = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_.\"' -]+?)\s*\]")
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')\s*=")

Way = tuple[int | str, ...]
"""Keys and positions, such as ("origins", 0, "rules", 2, "match")."""


def line_of(text: str, way: Sequence[int | str]) -> int | None:
    """The line, from 1, of what stands nearest to `way`; None if nothing of it has a line of its own."""
    best, found = 0, None
    for number, seen in _ways(text):
        if best < len(seen) <= len(way) and tuple(way[: len(seen)]) == seen:
            best, found = len(seen), number
    return found


def _ways(text: str) -> Iterator[tuple[int, Way]]:
    """Each line that begins a table or a key, and its way. Text over several lines that looks like one is taken for one."""
    table: Way = ()
    counts: Counter[str] = Counter()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            name = header[2]
            if header[1] == "[[":
                counts[name] += 1
                for below in [known for known in counts if known.startswith(f"{name}.")]:
                    del counts[below]
            table = _table(name, counts)
            yield number, table
        elif key := _KEY.match(line):
            yield number, (*table, key[1].strip("\"'"))


def _table(name: str, counts: Counter[str]) -> Way:
    way: list[int | str] = []
    parts = name.split(".")
    for position, part in enumerate(parts, 1):
        way.append(part.strip("\"' "))
        if known := counts.get(".".join(parts[:position])):
            way.append(known - 1)
    return tuple(way)
