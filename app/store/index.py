"""The index: which archive is which blob. SQLAlchemy Core, synchronous; SQLite in WAL mode by default.

A point read takes some 50 µs and may run in the event loop; everything else belongs into a worker thread.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import Any

from sqlalchemy import URL, Connection, Engine, RowMapping, bindparam, create_engine, event, func, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import QueuePool

from app.errors import DataFolderError
from app.origins.identity import ArchiveId
from app.rules.conditions import Validators
from app.store.record import Record
from app.store.schema import VERSION, archives, counters, metadata, versions

_FACTS = [column.name for column in versions.columns if column.name not in ("id", "key")]
_FIND = select(archives).where(archives.c.key == bindparam("key"))


class Index:
    """Facts about archives, in one database. Methods are thread-safe; a write holds the database's only write lock."""

    def __init__(self, url: str | URL) -> None:
        """Opens or creates the database. DataFolderError if it is damaged or of another schema."""
        self._engine = _engine(url)
        try:
            with self._engine.connect() as connection:
                _prepare(connection, url)
            self._reader = self._engine.connect()
        except DataFolderError:
            self._engine.dispose()
            raise
        except DatabaseError as error:
            self._engine.dispose()
            raise DataFolderError(
                f"The index {url} cannot be opened: {error.orig}.",
                "The archives are safe: archives.ndjson and the blobs hold all that the index knew.",
            ) from error
        self._reading = Lock()

    def close(self) -> None:
        self._reader.close()
        self._engine.dispose()

    def find(self, archive: ArchiveId) -> Record | None:
        """What is current for `archive`, or None. Fast enough for the event loop."""
        with self._reading:
            row = self._reader.execute(_FIND, {"key": str(archive)}).mappings().first()
        return _record(row) if row else None

    def versions(self, archive: ArchiveId) -> list[Record]:
        """Everything ever published for `archive`, the latest fetched first."""
        query = select(versions).where(versions.c.key == str(archive)).order_by(versions.c.fetched.desc(), versions.c.sha256)
        with self._engine.connect() as connection:
            return [_record(row) for row in connection.execute(query).mappings()]

    @contextmanager
    def transaction(self) -> Iterator["Writing"]:
        """A write transaction that begins at once (BEGIN IMMEDIATE), commits at the end and rolls back on any error."""
        with self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield Writing(connection)
            except BaseException:
                connection.connection.rollback()  # not the statement: a full disk has rolled back already, and it would fail
                raise
            connection.exec_driver_sql("COMMIT")

    def counters(self) -> dict[str, int]:
        """Running totals by name."""
        with self._engine.connect() as connection:
            return {row.name: row.value for row in connection.execute(select(counters))}

    def blobs_needed(self, sha256: str) -> bool:
        """Whether any version of any archive is this blob."""
        with self._engine.connect() as connection:
            return connection.execute(select(versions.c.id).where(versions.c.sha256 == sha256).limit(1)).first() is not None


class Writing:
    """What can be changed inside one write transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def publish(self, record: Record, used: float) -> None:
        """Adds a version; it becomes current if it was fetched latest (ties: the smaller digest). Idempotent."""
        values = _values(record)
        add = insert(versions).values(**values)
        self._connection.execute(add.on_conflict_do_update(["key", "sha256"], set_=_newer(values, versions)))
        current = self._latest(record.archive)
        known = self._connection.execute(select(archives.c.id, archives.c.size).where(archives.c.key == values["key"])).first()
        self.count("archives", 0 if known else 1)
        self.count("archive_bytes", current.size - (known.size if known else 0))
        row = {**_values(current), "origin": record.archive.authority}
        put = insert(archives).values(**row, hits=0, used=used)
        self._connection.execute(put.on_conflict_do_update(["key"], set_=row))

    def _latest(self, archive: ArchiveId) -> Record:
        query = select(versions).where(versions.c.key == str(archive)).order_by(versions.c.fetched.desc(), versions.c.sha256).limit(1)
        return _record(self._connection.execute(query).mappings().one())

    def refresh(self, record: Record) -> None:
        """The origin confirmed these bytes at `record.checked`."""
        for table in (archives, versions):
            same = (table.c.key == str(record.archive)) & (table.c.sha256 == record.sha256)
            self._connection.execute(update(table).where(same).values(checked=record.checked))

    def use(self, hits: Mapping[ArchiveId, tuple[int, float]]) -> None:
        """Adds hits and sets the time of the last use, for many archives at once."""
        if hits:
            statement = (
                update(archives)
                .where(archives.c.key == bindparam("at"))
                .values(hits=archives.c.hits + bindparam("more"), used=bindparam("now"))
            )
            self._connection.execute(statement, [{"at": str(archive), "more": more, "now": at} for archive, (more, at) in hits.items()])

    def count(self, name: str, more: int) -> None:
        """Adds to a running total."""
        if more:
            add = insert(counters).values(name=name, value=more)
            self._connection.execute(add.on_conflict_do_update(["name"], set_={"value": counters.c.value + more}))


def _engine(url: str | URL) -> Engine:
    # Explicit BEGIN and COMMIT: the driver's own begin late, and a reader would keep an old snapshot.
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=QueuePool, connect_args={"check_same_thread": False, "timeout": 30})

    @event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _: object) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _prepare(connection: Connection, url: str | URL) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")  # two processes may create it at once
    version: int = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    if version not in (0, VERSION):
        raise DataFolderError(f"The index {url} has schema {version}; this program knows {VERSION}.", "Use the version that made it.")
    if version == 0:
        metadata.create_all(connection)
        connection.exec_driver_sql(f"PRAGMA user_version={VERSION}")
    connection.exec_driver_sql("COMMIT")


def _values(record: Record) -> dict[str, Any]:
    return {
        "key": str(record.archive),
        "sha256": record.sha256,
        "size": record.size,
        "md5": record.md5,
        "scheme": record.scheme,
        "etag": record.validators.etag,
        "last_modified": record.validators.last_modified,
        "date_is_strong": int(record.validators.date_is_strong),
        "fields": json.dumps(record.fields),
        "source": record.source,
        "fetched": record.fetched,
        "checked": record.checked,
    }


def _newer(values: Mapping[str, Any], table: Any) -> dict[str, Any]:
    """Bytes that are published again keep the later times; what else was known first stays, the entity tag above all."""
    return {name: func.max(table.c[name], values[name]) for name in ("fetched", "checked")}


def _record(row: RowMapping) -> Record:
    authority, slash, target = row["key"].partition("/")
    path, _, query = target.partition("?")
    return Record(
        archive=ArchiveId(authority, slash + path, query),
        sha256=row["sha256"],
        size=row["size"],
        md5=row["md5"],
        scheme=row["scheme"],
        validators=Validators(row["etag"], row["last_modified"], bool(row["date_is_strong"])),
        fields=tuple((name, value) for name, value in json.loads(row["fields"])),
        source=row["source"],
        fetched=row["fetched"],
        checked=row["checked"],
    )
