"""From the schema of an earlier version to the present one. Each step runs inside the transaction that opens the index."""

from functools import cache

from sqlalchemy import URL, Connection
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from dataset_mirror.errors import DataFolderError
from dataset_mirror.store.database import REBUILD
from dataset_mirror.store.schema import VERSION, kept, metadata
from dataset_mirror.store.sums import recount

_COLUMNS = (
    "ALTER TABLE archives ADD COLUMN private INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE versions ADD COLUMN private INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE archives ADD COLUMN state VARCHAR(8) NOT NULL DEFAULT 'computed'",
)
_STATES = (
    "UPDATE archives SET state = 'verified' WHERE source = 'catalog'",
    "UPDATE archives SET state = 'changed' WHERE key IN (SELECT key FROM versions GROUP BY key HAVING count(*) > 1)",
    "INSERT INTO counters SELECT 'blob_bytes', coalesce(sum(size), 0) FROM (SELECT DISTINCT sha256, size FROM versions)",
)
_INDEXES = (
    "CREATE INDEX archives_by_state ON archives (state, key)",
    *(
        f"CREATE INDEX archives_by_{first}_{order} ON archives ({first}, {order}, id)"
        for first in ("origin", "state")
        for order in ("used", "size", "fetched")
    ),
)


_RESTRICTED = tuple(f"ALTER TABLE {table} ADD COLUMN restricted TEXT" for table in ("archives", "versions"))


def _from_1(connection: Connection) -> None:
    """Version 2 knows private archives, the state that lists are filtered by, and the bytes of all blobs."""
    for statement in (*_COLUMNS, *_STATES, *_INDEXES):
        connection.exec_driver_sql(statement)


_FOR_SUMS = (
    "CREATE INDEX archives_by_age ON archives (used, size)",
    "DROP INDEX versions_by_blob",
    "CREATE INDEX versions_by_blob ON versions (sha256, key)",
)


def _from_4(connection: Connection) -> None:
    """Version 5 knows whose readers alone may have an archive."""
    for statement in _RESTRICTED:
        connection.exec_driver_sql(statement)


def _from_5(connection: Connection) -> None:
    """Version 6 knows history, changes, and the sums by origin."""
    for statement in _FOR_SUMS:
        connection.exec_driver_sql(statement)
    kept.create(connection)
    recount(connection)


@cache
def creation() -> tuple[str, ...]:
    """What makes all tables and indexes that are not there yet. It is put together once: that takes longer than to run it."""
    dialect, tables = sqlite.dialect(), metadata.sorted_tables
    indexes = [index for table in tables for index in sorted(table.indexes, key=lambda index: str(index.name))]
    made: list[CreateTable | CreateIndex] = [CreateTable(table, if_not_exists=True) for table in tables]
    made += [CreateIndex(index, if_not_exists=True) for index in indexes]
    return tuple(str(statement.compile(dialect=dialect)) for statement in made)


def prepare(connection: Connection, url: str | URL, *, new: bool) -> None:
    """Brings the database to the present schema. DataFolderError if a later program made it, or if it is empty and may not be `new`."""
    if connection.exec_driver_sql("PRAGMA user_version").scalar_one() == VERSION:
        return
    connection.exec_driver_sql("BEGIN IMMEDIATE")  # two processes may create it at once
    version: int = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    if not 0 <= version <= VERSION:
        raise DataFolderError(f"The index {url} has schema {version}; this program knows {VERSION}.", "Use the version that made it.")
    if version == 0 and not new:
        raise DataFolderError(f"The index {url} is lost, though archives were kept.", f"{REBUILD} Or put the index back to its place.")
    if version == 1:
        _from_1(connection)
    if 1 <= version <= 4:
        _from_4(connection)
    if 1 <= version <= 5:
        _from_5(connection)
    # Tables that were added (one from 2 to 3, two from 3 to 4, three from 4 to 5, three from 5 to 6, two from 6 to 7) come by themselves.
    for statement in creation():
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql(f"PRAGMA user_version={VERSION}")
    connection.exec_driver_sql("COMMIT")
