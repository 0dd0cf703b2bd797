"""What is kept, added up: by origin, by dataset, and by when it was last used. No question reads the whole index' rows.

By origin the sums are kept as archives come and go. Equal bytes count once: a blob belongs to the first by name of all archives that
have, or had, its bytes, and to that one's origin. So the sums of all origins are the bytes of all blobs.
"""

import time
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, literal_column, select
from sqlalchemy.dialects.sqlite import insert

from dataset_mirror.store.schema import archives, kept, versions

AGES = ((86_400, "today"), (7 * 86_400, "this week"), (30 * 86_400, "this month"), (365 * 86_400, "this year"))
EARLIER = "earlier"
_AT_ONCE = 500

_OWNER = select(versions.c.key).where(versions.c.sha256 == bindparam("digest")).order_by(versions.c.key).limit(1)
_ADDING = insert(kept)
_ADD = _ADDING.on_conflict_do_update(
    ["origin"], set_={"archives": kept.c.archives + _ADDING.excluded.archives, "size": kept.c.size + _ADDING.excluded.size}
)


@dataclass(slots=True)
class Held:
    """How many archives, and how many bytes they take."""

    archives: int = 0
    size: int = 0

    def add(self, more: "Held") -> None:
        self.archives += more.archives
        self.size += more.size

    def take(self, less: "Held") -> None:
        self.archives -= less.archives
        self.size -= less.size


def owner(connection: Connection, sha256: str) -> str | None:
    """The key of the archive that a blob belongs to; None if nobody needs it."""
    found: str | None = connection.execute(_OWNER, {"digest": sha256}).scalar()
    return found


def count(connection: Connection, key: str, archives: int = 0, size: int = 0) -> None:
    """Adds to the sums of the origin of an archive's key."""
    if archives or size:
        connection.execute(_ADD, {"origin": key.partition("/")[0], "archives": archives, "size": size})


@contextmanager
def owned(connection: Connection, sha256: str, size: int) -> Iterator[None]:
    """Inside, versions with these bytes come or go: what they take is counted where they belong afterwards."""
    before = owner(connection, sha256)
    yield
    after = owner(connection, sha256)
    if before != after:
        if before is not None:
            count(connection, before, size=-size)
        if after is not None:
            count(connection, after, size=size)


def recount(connection: Connection) -> None:
    """The sums, computed from all rows: of an index that has none yet."""
    connection.execute(delete(kept))
    origin = func.substr(literal_column("key"), 1, func.instr(literal_column("key"), "/") - 1)
    blobs = select(func.min(versions.c.key).label("key"), func.max(versions.c.size).label("size")).group_by(versions.c.sha256).subquery()
    held: dict[str, Held] = {}
    for name, size in connection.execute(select(origin, func.sum(blobs.c.size)).select_from(blobs).group_by(origin)):
        held.setdefault(name, Held()).size = size
    for name, number in connection.execute(select(archives.c.origin, func.count()).group_by(archives.c.origin)):
        held.setdefault(name, Held()).archives = number
    for name, one in held.items():
        connection.execute(_ADD, {"origin": name, "archives": one.archives, "size": one.size})


def by_origin(connection: Connection) -> dict[str, Held]:
    """By origin."""
    rows = connection.execute(select(kept).where((kept.c.archives > 0) | (kept.c.size > 0)))
    return {row.origin: Held(row.archives, row.size) for row in rows}


def by_key(connection: Connection, keys: Iterable[str]) -> dict[str, Held]:
    """What belongs to each of these keys of archives that is there; a few look-ups for each, however many archives there are."""
    found: dict[str, Held] = {}
    for some in _batches(keys):
        found |= {key: Held(1, size or 0) for key, size in connection.execute(_HELD, {"keys": some})}
    return found


def _held() -> Any:
    """Of some keys those of archives that are there, and the bytes that belong to each."""
    other = versions.alias()
    first = select(func.min(other.c.key)).where(other.c.sha256 == versions.c.sha256).scalar_subquery()
    mine = select(func.sum(versions.c.size)).where(versions.c.key == archives.c.key, first == versions.c.key).scalar_subquery()
    return select(archives.c.key, mine).where(archives.c.key.in_(bindparam("keys", expanding=True)))


_HELD = _held()


def by_age(connection: Connection, now: float) -> dict[str, Held]:
    """By when they were last used, without empty ones; equal bytes count for each archive. From the index alone, not from the rows."""
    found: dict[str, Held] = {}
    until: float | None = None
    for since, name in (*((now - seconds, name) for seconds, name in AGES), (None, EARLIER)):
        query = select(func.count(), func.coalesce(func.sum(archives.c.size), 0))
        query = query if since is None else query.where(archives.c.used > since)
        query = query if until is None else query.where(archives.c.used <= until)
        number, size = connection.execute(query).one()
        if number:
            found[name] = Held(number, size)
        until = since
    return found


def unused(connection: Connection, since: float) -> Held:
    """What was not used since then (seconds since the epoch), as `by_age` counts it."""
    query = select(func.count(), func.coalesce(func.sum(archives.c.size), 0)).where(archives.c.used < since)
    return Held(*connection.execute(query).one())


def _batches(keys: Iterable[str]) -> Iterator[list[str]]:
    left = iter(keys)
    while some := list(islice(left, _AT_ONCE)):
        yield some


def in_order(names: Container[str]) -> list[str]:
    """Those ages that are among the names, the latest first."""
    return [name for name in (*(name for _, name in AGES), EARLIER) if name in names]


def age_of(used: float) -> str:
    """How long ago something was used."""
    ago = time.time() - used
    return next((name for seconds, name in AGES if ago < seconds), EARLIER)
