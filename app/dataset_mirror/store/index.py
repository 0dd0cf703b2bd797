"""The index: which archive is which blob. SQLAlchemy Core, synchronous; SQLite in WAL mode by default.

A point read takes some 50 µs and may run in the event loop; everything else belongs into a worker thread.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from threading import Lock
from typing import Any

from sqlalchemy import URL, Connection, Engine, RowMapping, Select, bindparam, create_engine, delete, event, func, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import QueuePool

from dataset_mirror.errors import DataFolderError
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.rules.conditions import Validators
from dataset_mirror.store import wanted
from dataset_mirror.store.listing import Listed, Page, Query, State, page_of, statement
from dataset_mirror.store.migrations import from_1
from dataset_mirror.store.record import VOUCHED, Record, archive_of
from dataset_mirror.store.schema import VERSION, archives, counters, metadata, versions
from dataset_mirror.store.wanted import Wanted, WantedPage

MARKS = ("journal_bytes",)
"""Numbers that are kept among the totals, but are none."""

_FIND = select(archives).where(archives.c.key == bindparam("key"))
_DIGESTS = "SELECT DISTINCT sha256 FROM versions WHERE sha256 > ? ORDER BY sha256 LIMIT ?"
_STEP = 20_000
"""Rows that are read at once where all are."""
_TOTAL = select(counters.c.value).where(counters.c.name == bindparam("name"))

REBUILD = "The archives are safe; make the index anew from archives.ndjson: dataset-mirror doctor --rebuild."


class Index:
    """Facts about archives, in one database. Methods are thread-safe; a write holds the database's only write lock."""

    def __init__(self, url: str | URL, *, new: bool = True) -> None:
        """Opens the database. DataFolderError if it is damaged, of another schema, or missing though it may not be `new`."""
        self._engine = _engine(url)
        try:
            with self._engine.connect() as connection:
                _prepare(connection, url, new=new)
            self._reader = self._engine.connect()
            self._raw = self._reader.connection.cursor()
        except DataFolderError:
            self._engine.dispose()
            raise
        except DatabaseError as error:
            self._engine.dispose()
            raise DataFolderError(f"The index {url} cannot be opened: {error.orig}.", _hint(error)) from error
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
        with self._engine.connect() as connection:
            return [_record(row) for row in connection.execute(_versions_of(archive)).mappings()]

    def listed(self, archive: ArchiveId) -> Listed | None:
        """What lists say of the archive, or None."""
        with self._engine.connect() as connection:
            row = connection.execute(_FIND, {"key": str(archive)}).mappings().first()
            return _listed(row) if row else None

    def page(self, query: Query) -> Page:
        """One page of a list; BadRequest if its cursor is not one."""
        with self._engine.connect() as connection:
            rows = connection.execute(statement(query)).mappings().all()
        return page_of(query, [(row["id"], _listed(row)) for row in rows])

    def every(self, query: Query) -> Iterator[Listed]:
        """All pages of a list, one after the other; what is changed meanwhile may be missed or told twice."""
        while True:
            page = self.page(query)
            yield from page.archives
            if page.next is None:
                return
            query = replace(query, after=page.next)

    def users_of(self, sha256: str) -> list[Record]:
        """Every version of every archive that is this blob."""
        with self._engine.connect() as connection:
            return [_record(row) for row in connection.execute(select(versions).where(versions.c.sha256 == sha256)).mappings()]

    def digests(self) -> Iterator[str]:
        """Every digest that some version has, in order; no transaction stays open between its steps."""
        last: str | None = ""
        while last is not None:
            with self._engine.connect() as connection:  # below SQLAlchemy, whose rows would take longer than all the rest
                found = connection.connection.cursor().execute(_DIGESTS, (last, _STEP)).fetchall()
            yield from (row[0] for row in found)
            last = found[-1][0] if len(found) == _STEP else None

    def shared(self) -> frozenset[str]:
        """Digests that several versions have, of one archive or of several."""
        several = select(versions.c.sha256).group_by(versions.c.sha256).having(func.count() > 1)
        with self._engine.connect() as connection:
            return frozenset(connection.execute(several).scalars())

    def old_versions(self) -> list[Record]:
        """Versions that are not current any more."""
        changed = select(archives.c.key).where(archives.c.state == "changed")
        query = select(versions).where(versions.c.key.in_(changed)).order_by(versions.c.key, versions.c.fetched.desc(), versions.c.sha256)
        with self._engine.connect() as connection:
            records = [_record(row) for row in connection.execute(query).mappings()]
        return [record for before, record in pairwise(records) if before.archive == record.archive]

    def wanted(self, limit: int, after: str | None = None) -> WantedPage:
        """One page of the wanted list, what was asked for last first; BadRequest if `after` is not a cursor of it."""
        with self._engine.connect() as connection:
            return wanted.page(connection, limit, after)

    def all_wanted(self) -> list[Wanted]:
        """The whole wanted list, by name."""
        with self._engine.connect() as connection:
            return wanted.every(connection)

    def number_wanted(self) -> int:
        """How many archives are wanted."""
        with self._engine.connect() as connection:
            return wanted.number(connection)

    def data_version(self) -> int:
        """A number that is another one after each write, by whichever process. Takes 2 µs."""
        with self._reading:
            version: int = self._raw.execute("PRAGMA data_version").fetchone()[0]
        return version

    def total(self, name: str) -> int:
        """One running total; fast enough for the event loop."""
        with self._reading:
            return self._reader.execute(_TOTAL, {"name": name}).scalar() or 0

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
            return {row.name: row.value for row in connection.execute(select(counters)) if row.name not in MARKS}


class Writing:
    """What can be changed inside one write transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def connection(self) -> Connection:
        """For statements about all rows at once."""
        return self._connection

    def publish(self, record: Record, used: float) -> Record:
        """Adds a version; it becomes current if it was fetched latest (ties: the smaller digest). Idempotent; returns what is current.

        Of bytes that were there the facts are `united`, so it does not matter in which order they come. What is there is not
        wanted any more.
        """
        known = self.version(record.archive, record.sha256)
        if known is None and not self.needs(record.sha256):
            self.count("blob_bytes", record.size)
        values = values_of(known.united(record) if known else record)
        self._connection.execute(insert(versions).values(**values).on_conflict_do_update(["key", "sha256"], set_=values))
        self.unwant([record.archive])
        return self._settle(record.archive, used) or record

    def want(self, misses: Iterable[Wanted]) -> None:
        """Puts archives on the wanted list, or adds to what it says of them; those that are there by now are left out."""
        wanted.add(self._connection, misses)

    def unwant(self, gone: Iterable[ArchiveId]) -> int:
        """Takes archives off the wanted list; returns how many were on it."""
        return wanted.take_away(self._connection, gone)

    def forget(self, archive: ArchiveId, sha256: str | None = None) -> list[str]:
        """Takes all versions of an archive away, or that one. Returns digests whose blobs nobody needs any more."""
        which = versions.c.key == str(archive)
        if sha256 is not None:
            which &= versions.c.sha256 == sha256
        gone = self._connection.execute(select(versions.c.sha256, versions.c.size).where(which)).all()
        self._connection.execute(delete(versions).where(which))
        unneeded = [row for row in gone if not self.needs(row.sha256)]
        self.count("blob_bytes", -sum(row.size for row in unneeded))
        self._settle(archive, used=0.0)
        return [row.sha256 for row in unneeded]

    def needs(self, sha256: str) -> bool:
        """Whether any version of any archive is this blob."""
        return self._connection.execute(select(versions.c.id).where(versions.c.sha256 == sha256).limit(1)).first() is not None

    def version(self, archive: ArchiveId, sha256: str) -> Record | None:
        """These bytes of the archive, or None."""
        same = select(versions).where(versions.c.key == str(archive), versions.c.sha256 == sha256)
        row = self._connection.execute(same).mappings().first()
        return _record(row) if row else None

    def current(self, archive: ArchiveId) -> Record | None:
        """What is current for the archive, inside this transaction, or None."""
        row = self._connection.execute(_FIND, {"key": str(archive)}).mappings().first()
        return _record(row) if row else None

    def _settle(self, archive: ArchiveId, used: float) -> Record | None:
        """Makes what is current, which it returns, and the totals follow from the archive's versions; `used` is for a new archive."""
        kept = [_record(row) for row in self._connection.execute(_versions_of(archive)).mappings()]
        known = self._connection.execute(select(archives.c.size).where(archives.c.key == str(archive))).first()
        self.count("archives", bool(kept) - bool(known))
        self.count("archive_bytes", (kept[0].size if kept else 0) - (known.size if known else 0))
        if not kept:
            self._connection.execute(delete(archives).where(archives.c.key == str(archive)))
            return None
        row = {**values_of(kept[0]), "origin": archive.authority, "state": _state(kept)}
        put = insert(archives).values(**row, hits=0, used=used)
        self._connection.execute(put.on_conflict_do_update(["key"], set_=row))
        return kept[0]

    def refresh(self, record: Record) -> None:
        """The origin confirmed these bytes at `record.checked`, with what it then said of them."""
        known = values_of(record)
        facts = {name: known[name] for name in ("checked", "fields", "etag", "last_modified", "date_is_strong")}
        for table in (archives, versions):
            same = (table.c.key == str(record.archive)) & (table.c.sha256 == record.sha256)
            self._connection.execute(update(table).where(same).values(**facts))

    def use(self, hits: Mapping[ArchiveId, tuple[int, float]]) -> None:
        """Adds hits and sets the time of the last use, for many archives at once."""
        if hits:
            statement = (
                update(archives)
                .where(archives.c.key == bindparam("at"))
                .values(hits=archives.c.hits + bindparam("more"), used=bindparam("now"))
            )
            self._connection.execute(statement, [{"at": str(archive), "more": more, "now": at} for archive, (more, at) in hits.items()])

    def marked(self, name: str) -> int | None:
        """A number that was set by `mark`; None if it never was."""
        value: int | None = self._connection.execute(_TOTAL, {"name": name}).scalar()
        return value

    def mark(self, name: str, value: int) -> None:
        """Sets a number among the totals."""
        put = insert(counters).values(name=name, value=value)
        self._connection.execute(put.on_conflict_do_update(["name"], set_={"value": value}))

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


def _hint(error: DatabaseError) -> str:
    """What to do about a database that cannot be opened: if it is damaged it can be made anew, else it is in the way of its place."""
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    return REBUILD if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) else "Check that its folder can be written."


def _prepare(connection: Connection, url: str | URL, *, new: bool) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")  # two processes may create it at once
    version: int = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    if not 0 <= version <= VERSION:
        raise DataFolderError(f"The index {url} has schema {version}; this program knows {VERSION}.", "Use the version that made it.")
    if version == 0 and not new:
        raise DataFolderError(f"The index {url} is lost, though archives were kept.", f"{REBUILD} Or put the index back to its place.")
    if version == 1:
        from_1(connection)
    # From version 2 to 3 a table was added, which comes by itself.
    metadata.create_all(connection)
    connection.exec_driver_sql(f"PRAGMA user_version={VERSION}")
    connection.exec_driver_sql("COMMIT")


def values_of(record: Record) -> dict[str, Any]:
    """A record as the columns that both tables have."""
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
        "private": int(record.private),
    }


def _record(row: RowMapping) -> Record:
    return Record(
        archive=archive_of(row["key"]),
        sha256=row["sha256"],
        size=row["size"],
        md5=row["md5"],
        scheme=row["scheme"],
        validators=Validators(row["etag"], row["last_modified"], bool(row["date_is_strong"])),
        fields=tuple((name, value) for name, value in json.loads(row["fields"])),
        source=row["source"],
        fetched=row["fetched"],
        checked=row["checked"],
        private=bool(row["private"]),
    )


def _versions_of(archive: ArchiveId) -> Select[Any]:
    return select(versions).where(versions.c.key == str(archive)).order_by(versions.c.fetched.desc(), versions.c.sha256)


def _state(kept: list[Record]) -> State:
    if len(kept) > 1:
        return "changed"
    source = kept[0].source
    return "verified" if source in VOUCHED else "adopted" if source == "adopted" else "computed"


def _listed(row: RowMapping) -> Listed:
    return Listed(_record(row), row["state"], row["used"], row["hits"])
