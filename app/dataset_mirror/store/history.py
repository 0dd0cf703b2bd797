"""What was asked for over time, in the index: per minute for a day, per hour for 90 days, per day for five years.

It is written in batches, and every batch is added to the minute, the hour and the day of its moment, so nothing is ever summed up
later. Of what has many names (datasets, networks of clients) each step keeps those of which most was served; the others are one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from sqlalchemy import Connection, RowMapping, delete, func, select
from sqlalchemy.dialects.sqlite import insert

from dataset_mirror.store.schema import history

Of = Literal["all", "origin", "dataset", "client"]

MINUTE, HOUR, DAY = 60, 3600, 86_400
KEPT = {MINUTE: DAY + HOUR, HOUR: 90 * DAY, DAY: 5 * 366 * DAY}
"""Seconds for which each step is kept."""
NAMES = {MINUTE: 20, HOUR: 30, DAY: 100}
"""How many names of a kind a step that is over keeps."""
MOST_NAMES = 1000
"""How many a step that is not over may have."""
OTHERS = "(others)"


@dataclass(slots=True)
class Counts:
    """What was asked for in some time; sizes in bytes."""

    served: int = 0
    fetched: int = 0
    hits: int = 0
    misses: int = 0
    failures: int = 0
    """Requests that were answered with an error."""
    seconds: float = 0.0
    """What the downloads took that brought `fetched`, each for itself."""

    @property
    def saved(self) -> int:
        """Bytes that origins did not have to send again."""
        return max(0, self.served - self.fetched)

    def add(self, more: "Counts") -> None:
        for name in _COLUMNS:
            setattr(self, name, getattr(self, name) + getattr(more, name))

    def without(self, former: "Counts") -> "Counts":
        """What came since then."""
        return Counts(**{name: getattr(self, name) - getattr(former, name) for name in _COLUMNS})

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in _COLUMNS)


_COLUMNS = tuple(field.name for field in fields(Counts))
_SUMS = [func.sum(history.c[name]).label(name) for name in _COLUMNS]
_ADDING = insert(history)
_ADD = _ADDING.on_conflict_do_update(
    ["step", "of", "at", "name"], set_={name: history.c[name] + _ADDING.excluded[name] for name in _COLUMNS}
)

Batch = Mapping[tuple[Of, str], Counts]
"""Counts by what they are of."""


def add(connection: Connection, batch: Batch, now: float) -> None:
    """Adds a batch to the steps that `now` (seconds since the epoch) is in."""
    if not batch:
        return
    for step in KEPT:
        at = int(now) // step * step
        known = {of: _names(connection, step, of, at) for of in {of for of, _ in batch}}
        rows: dict[tuple[Of, str], Counts] = {}
        for (of, name), counts in batch.items():
            if name not in known[of] and len(known[of]) >= MOST_NAMES:
                name = OTHERS
            known[of].add(name)
            rows.setdefault((of, name), Counts()).add(counts)
        connection.execute(
            _ADD, [{"step": step, "of": of, "at": at, "name": name} | _values(counts) for (of, name), counts in rows.items()]
        )


def _names(connection: Connection, step: int, of: Of, at: int) -> set[str]:
    return set(connection.execute(select(history.c.name).where(history.c.step == step, history.c.of == of, history.c.at == at)).scalars())


def _values(counts: Counts) -> dict[str, Any]:
    return {name: getattr(counts, name) for name in _COLUMNS}


def tidy(connection: Connection, now: float, since: float = 0.0) -> None:
    """Lets go what is too old, and the smaller names of steps that are over and began after `since`."""
    for step, kept in KEPT.items():
        connection.execute(delete(history).where(history.c.step == step, history.c.at < now - kept))
        full = (
            select(history.c.of, history.c.at)
            .where(history.c.step == step, history.c.at >= since - step, history.c.at <= now - step)
            .group_by(history.c.of, history.c.at)
            .having(func.count() > NAMES[step])
        )
        for of, at in connection.execute(full).all():
            _trim(connection, step, of, at)


def _trim(connection: Connection, step: int, of: Of, at: int) -> None:
    here = (history.c.step == step) & (history.c.of == of) & (history.c.at == at)
    order = (history.c.served + history.c.fetched).desc(), (history.c.hits + history.c.misses + history.c.failures).desc()
    rows = connection.execute(select(history).where(here, history.c.name != OTHERS).order_by(*order)).mappings().all()
    others = Counts()
    for row in rows[NAMES[step] - 1 :]:
        others.add(_counts(row))
        connection.execute(delete(history).where(here, history.c.name == row["name"]))
    connection.execute(_ADD, {"step": step, "of": of, "at": at, "name": OTHERS} | _values(others))


def _counts(row: RowMapping) -> Counts:
    return Counts(**{name: row[name] or 0 for name in _COLUMNS})


def over_time(connection: Connection, of: Of, name: str, since: float, step: int) -> dict[int, Counts]:
    """What was asked for in each kept step since then, by when it began (seconds since the epoch); quiet ones are not there."""
    which = (history.c.step == step) & (history.c.of == of) & (history.c.at >= since) & (history.c.name == name)
    return {row["at"]: _counts(row) for row in connection.execute(select(history).where(which)).mappings()}


def by_name(connection: Connection, of: Of, since: float, now: float) -> dict[str, Counts]:
    """What was asked for since then, by name, to the hour, or to the day if that is long ago."""
    step = HOUR if now - since <= KEPT[HOUR] else DAY
    first = since // step * step
    rows = connection.execute(
        select(history.c.name, *_SUMS).where(history.c.step == step, history.c.of == of, history.c.at >= first).group_by(history.c.name)
    )
    return {row["name"]: _counts(row) for row in rows.mappings()}
