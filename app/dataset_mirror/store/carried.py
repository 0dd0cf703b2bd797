"""History and log of changes, which no journal has: a rebuild copies them from the old index, as far as that can be read."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Table, insert

from dataset_mirror.rules.counted import counted
from dataset_mirror.store.schema import changes, history

log = logging.getLogger(__name__)

TABLES = (history, changes)
_AT_ONCE = 1000


def carry(place: Path, connection: Connection) -> int:
    """Copies rows of the database at `place` into these tables, which are empty; returns how many. What cannot be read is left out."""
    return sum(_carried(place, connection, table) for table in TABLES) if place.is_file() else 0


def _carried(place: Path, connection: Connection, table: Table) -> int:
    names, number = [column.name for column in table.columns], 0
    putting = insert(table).prefix_with("OR IGNORE")
    try:
        for rows in _rows(place, table.name, names):
            connection.execute(putting, [dict(zip(names, row, strict=True)) for row in rows])
            number += len(rows)
    except sqlite3.Error as error:
        log.warning("Of the old index' %s, %s could be read: %s.", table.name, counted(number, "row"), error)
    return number


def _rows(place: Path, table: str, names: list[str]) -> Iterator[list[tuple[object, ...]]]:
    with closing(sqlite3.connect(f"file:{quote(str(place))}?mode=ro", uri=True)) as old:
        if old.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)).fetchone():
            columns = ", ".join(f'"{name}"' for name in names)
            found = old.execute(f"SELECT {columns} FROM {table}")
            while rows := found.fetchmany(_AT_ONCE):
                yield rows
