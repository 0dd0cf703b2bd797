"""The log of changes, in the index: what came and went, when, and who did it. The latest ten thousand."""

import time
from collections import deque
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, delete, func, insert, select

from dataset_mirror.rules.secrets import without_secrets
from dataset_mirror.store.listing import cursor_of, place_of
from dataset_mirror.store.schema import changes

MOST = 10_000
_WAITING = 2000
"""How many wait in memory while nothing can be written; more push out the oldest."""

Kind = Literal[
    "added",
    "changed",
    "removed",
    "gc",
    "evicted",
    "damaged",
    "imported",
    "adopted",
    "pinned",
    "unpinned",
    "cancelled",
    "retried",
    "unblocked",
    "allowed",
    "reloaded",
]
MIRROR, CLIENT, OPERATOR = "mirror", "a client", "operator"
"""Who did what nobody asked for; what a request for an archive led to; and who has the data folder's key."""
_BY: ContextVar[str] = ContextVar("by", default=MIRROR)


def act_as(by: str) -> None:
    """Whatever happens from here on in this context (a request, a command) was done by them."""
    _BY.set(by)


def actor() -> str:
    """Who does what is done here."""
    return _BY.get()


@dataclass(frozen=True, slots=True)
class Change:
    """One line: when (seconds since the epoch), of which kind, what it concerned, how many bytes, and who did it."""

    at: float
    kind: Kind
    what: str
    size: int = 0
    by: str = MIRROR
    detail: str = ""
    id: int = 0
    """Set when it is written."""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of the log, the latest first, and the cursor of what came before."""

    changes: tuple[Change, ...]
    next: str | None


class Changes:
    """Lines on their way into the log: noted at once, written in batches."""

    def __init__(self) -> None:
        self.waiting: deque[Change] = deque(maxlen=_WAITING)

    def note(self, kind: Kind, what: str, size: int = 0, detail: str = "", *, by: str = "") -> None:
        """Notes a change of this moment, made `by` somebody, by default the actor of this context. Thread-safe."""
        self.waiting.append(Change(time.time(), kind, without_secrets(what), size, by or actor(), without_secrets(detail)))

    def give_back(self, lines: Sequence[Change]) -> None:
        """The oldest lines could not be written: they wait again, the latest of them if there is no room for all."""
        room = _WAITING - len(self.waiting)
        self.waiting.extendleft(reversed(lines[max(0, len(lines) - room) :]))


def put(connection: Connection, lines: list[Change]) -> None:
    """Adds lines, and lets the oldest go."""
    columns = ("at", "kind", "what", "size", "by", "detail")
    connection.execute(insert(changes), [{name: getattr(line, name) for name in columns} for line in lines])
    latest = connection.execute(select(func.max(changes.c.id))).scalar_one()
    connection.execute(delete(changes).where(changes.c.id <= latest - MOST))


def page(connection: Connection, limit: int, after: str | None = None, kind: Kind | None = None) -> Page:
    """One page, the latest first; BadRequest if `after` is not a cursor of it."""
    query = select(changes).order_by(changes.c.id.desc()).limit(limit + 1)
    if kind is not None:
        query = query.where(changes.c.kind == kind)
    if after is not None:
        query = query.where(changes.c.id < int(place_of(after, 2)[0]))
    rows = [Change(**row) for row in connection.execute(query).mappings()]
    shown = rows[:limit]
    return Page(tuple(shown), cursor_of([shown[-1].id, 0]) if len(rows) > limit else None)


def since(connection: Connection, last: int, limit: int = 1000) -> list[Change]:
    """What came after a line, in order."""
    query = select(changes).where(changes.c.id > last).order_by(changes.c.id).limit(limit)
    return [Change(**row) for row in connection.execute(query).mappings()]


def latest(connection: Connection) -> int:
    """The number of the last line; 0 if there is none."""
    return connection.execute(select(func.max(changes.c.id))).scalar() or 0
