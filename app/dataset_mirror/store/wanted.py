"""The wanted list: archives that were asked for while they could not be fetched. It is carried out of an air gap."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, delete, func, select, tuple_
from sqlalchemy.dialects.sqlite import insert

from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.store.listing import cursor_of, place_of
from dataset_mirror.store.record import archive_of
from dataset_mirror.store.schema import archives, wanted

MOST = 10_000
"""Archives that the list holds; for more, those that were asked for longest ago go. Any client can add to it."""

_FACTS = ("key", "count", "first", "last", "asked_by")
_TAKE_AWAY = delete(wanted).where(wanted.c.key == bindparam("at"))
_LATEST = (wanted.c.last.desc(), wanted.c.id.desc())

WHOLE_HOST = "/"
"""The path that stands for a host of which no URL is known: what goes through a tunnel nobody sees."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How often an archive was asked for in vain, first and last when (seconds since the epoch), and the last time by whom."""

    archive: ArchiveId
    count: int
    first: float
    last: float
    asked_by: str | None = None
    """An IP address; None if it is not known."""


@dataclass(frozen=True, slots=True)
class WantedPage:
    """A part of the list, and the cursor of what follows, if anything does."""

    wanted: tuple[Wanted, ...]
    next: str | None


def add(connection: Connection, misses: Iterable[Wanted]) -> None:
    """Adds misses to the list and keeps it within its bounds; one of an archive that has arrived by now is none."""
    rows = [
        {"key": str(miss.archive), "count": miss.count, "first": miss.first, "last": miss.last, "asked_by": miss.asked_by}
        for miss in misses
    ]
    if rows:
        connection.execute(_ADD, rows)
        connection.execute(delete(wanted).where(wanted.c.id.in_(select(wanted.c.id).order_by(*_LATEST).offset(MOST))))


def take_away(connection: Connection, gone: Iterable[ArchiveId]) -> int:
    """Takes archives off the list; returns how many were on it."""
    those = [{"at": str(archive)} for archive in gone]
    return connection.execute(_TAKE_AWAY, those).rowcount if those else 0


def number(connection: Connection) -> int:
    """How long the list is."""
    return connection.execute(select(func.count()).select_from(wanted)).scalar_one()


def every(connection: Connection) -> list[Wanted]:
    """The whole list, by name."""
    return [_wanted(row) for row in connection.execute(select(wanted).order_by(wanted.c.key)).mappings()]


def page(connection: Connection, limit: int, after: str | None) -> WantedPage:
    """One page, what was asked for last first; BadRequest if `after` is not the cursor of a page before."""
    found = select(wanted).order_by(*_LATEST).limit(limit + 1)  # one row more tells whether another page follows
    if after is not None:
        found = found.where(tuple_(wanted.c.last, wanted.c.id) < tuple_(*place_of(after, 2)))
    rows = connection.execute(found).mappings().all()
    shown = rows[:limit]
    following = cursor_of([shown[-1]["last"], shown[-1]["id"]]) if len(rows) > limit else None
    return WantedPage(tuple(_wanted(row) for row in shown), following)


def _wanted(row: RowMapping) -> Wanted:
    return Wanted(archive_of(row["key"]), row["count"], row["first"], row["last"], row["asked_by"])


def _add() -> Any:
    given = select(*(bindparam(name, type_=wanted.c[name].type).label(name) for name in _FACTS))
    absent = ~select(archives.c.id).where(archives.c.key == bindparam("key")).exists()
    adding = insert(wanted).from_select(_FACTS, given.where(absent))
    new = adding.excluded
    changes = {
        "count": wanted.c["count"] + new["count"],
        "first": func.min(wanted.c.first, new.first),
        "last": func.max(wanted.c.last, new.last),
        "asked_by": new.asked_by,
    }
    return adding.on_conflict_do_update(["key"], set_=changes)


_ADD = _add()
