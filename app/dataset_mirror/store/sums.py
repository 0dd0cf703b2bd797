"""What is kept, added up: by origin, by dataset, and by when it was last used."""

import time
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, select

from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.store.record import archive_of
from dataset_mirror.store.schema import archives

By = Literal["origin", "dataset", "age"]

AGES = ((86_400, "today"), (7 * 86_400, "this week"), (30 * 86_400, "this month"), (365 * 86_400, "this year"))
EARLIER = "earlier"


@dataclass(slots=True)
class Held:
    """How many archives, and how many bytes they take."""

    archives: int = 0
    size: int = 0


def sums(connection: Connection, by: By, dataset_of: Callable[[ArchiveId], str]) -> dict[str, Held]:
    """By name; equal bytes are counted once, for the first archive by name. Ages come in their order, without empty ones."""
    found: dict[str, Held] = {}
    seen: set[str] = set()
    for key, sha256, size, used in _rows(connection):
        archive = archive_of(key)
        name = archive.authority if by == "origin" else dataset_of(archive) if by == "dataset" else age_of(used)
        held = found.setdefault(name, Held())
        held.archives += 1
        held.size += 0 if sha256 in seen else size
        seen.add(sha256)
    return {name: found[name] for name in in_order(found)} if by == "age" else found


def _rows(connection: Connection) -> Iterator[tuple[str, str, int, float]]:
    query = select(archives.c.key, archives.c.sha256, archives.c.size, archives.c.used).order_by(archives.c.key)
    for row in connection.execute(query):
        yield row.key, row.sha256, row.size, row.used


def in_order(names: Container[str]) -> list[str]:
    """Those ages that are among the names, the latest first."""
    return [name for name in (*(name for _, name in AGES), EARLIER) if name in names]


def age_of(used: float) -> str:
    """How long ago something was used."""
    ago = time.time() - used
    return next((name for seconds, name in AGES if ago < seconds), EARLIER)
