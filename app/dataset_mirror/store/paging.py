"""The rows of one page, at a cost that is bounded however many archives there are, and however few of them fit.

A filter by origin, state or a name's beginning is part of the index that the list is read from. A search, and what was not used
since some time, are not: where few archives fit, they are found first, and sorted; where many do, the list is read in its order,
and a page of it is soon full. If it is not after `WINDOW` rows, it ends there, and the next page goes on.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, func, select, true

from dataset_mirror.store.listing import Query, has, order_of, statement
from dataset_mirror.store.schema import archives

FEW, WINDOW = 10_000, 50_000
"""Archives that are few enough to be sorted; and rows that are read for a page at most."""

Row = RowMapping
Rows = tuple[list[Row], list[Any] | None]
"""Rows in order, and the place where looking for more ended, if it did before the end of the list."""


def rows_of(connection: Connection, query: Query) -> Rows:
    """One row more than the page has, if there are so many."""
    rows, reached = _fitting(connection, query)
    if query.search and query.named:
        also = statement(replace(query, search="")).where(archives.c.key.in_(_each(query.named)))
        rows = _merged(query, [*rows, *connection.execute(also).mappings()], reached)
    return rows, reached


def _fitting(connection: Connection, query: Query) -> Rows:
    is_loose = query.used_before is not None and query.order != "used"
    if not is_loose and (not query.search or query.order == "name"):  # names are in the index that is read
        return list(connection.execute(statement(query)).mappings()), None
    few = _few(connection, query)
    if few is not None:
        return list(connection.execute(statement(query).where(archives.c.id.in_(_each(few)))).mappings()), None
    return _windowed(connection, query)


def _few(connection: Connection, query: Query) -> list[int] | None:
    """The archives that a filter leaves, if they are few; found in an index."""
    filters: list[Select[Any]] = []
    if query.used_before is not None:
        filters.append(select(archives.c.id).where(archives.c.used < query.used_before).order_by(archives.c.used))
    if query.search:
        found = select(archives.c.id).where(has(query.search))
        filters.append(found if query.origin is None else found.where(archives.c.origin == query.origin))
    for one in filters:
        ids = list(connection.execute(one.limit(FEW + 1)).scalars())
        if len(ids) <= FEW:
            return ids
    return None


def _windowed(connection: Connection, query: Query) -> Rows:
    """What fits among the next rows of the list."""
    ordered = replace(query, search="", used_before=query.used_before if query.order == "used" else None)
    window = statement(ordered, most=WINDOW).with_only_columns(archives.c.id).subquery()
    fits = has(query.search) if query.search else true()
    if query.used_before is not None:
        fits &= archives.c.used < query.used_before
    found = select(archives).select_from(window).join(archives, archives.c.id == window.c.id).where(fits).limit(query.limit + 1)
    rows = list(connection.execute(found).mappings())
    if len(rows) > query.limit:
        return rows, None
    last = connection.execute(statement(ordered, most=1).with_only_columns(*order_of(query)).offset(WINDOW - 1)).first()
    return rows, list(last) if last else None


def _merged(query: Query, rows: Iterable[Row], reached: Sequence[Any] | None) -> list[Row]:
    """Both ways to fit, each once and in order, as far as was looked."""

    def place(row: Row) -> list[Any]:
        return [row[column.name] for column in order_of(query)]

    def is_within(row: Row) -> bool:
        return reached is None or (place(row) >= list(reached) if query.descending else place(row) <= list(reached))

    each = {row["id"]: row for row in rows if is_within(row)}
    return sorted(each.values(), key=place, reverse=query.descending)[: query.limit + 1]


def _each(values: Sequence[int | str]) -> Any:
    """The values as a table: there may be more than a statement can have parameters."""
    return select(func.json_each(json.dumps(values)).table_valued("value").c.value)


def largest_unused(connection: Connection, since: float, most: int) -> list[Row]:
    """The largest archives that were not used since then; found in an index that has both."""
    order = (archives.c.size.desc(), archives.c.id)
    sizes = (archives.c.size + 0).desc()  # else SQLite reads by size, and looks up when each was used
    found = select(archives.c.id).where(archives.c.used < since).order_by(sizes, archives.c.id).limit(most).subquery()
    return list(connection.execute(select(archives).join(found, found.c.id == archives.c.id).order_by(*order)).mappings())
