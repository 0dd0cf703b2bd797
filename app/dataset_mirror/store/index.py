"""The index: which archive is which blob. SQLAlchemy Core, synchronous; SQLite in WAL mode by default.

A point read takes some 50 µs and may run in the event loop; everything else belongs into a worker thread.
"""

import json
import logging
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from threading import Lock
from typing import Any, TypeVar

from sqlalchemy import URL, BindParameter, Connection, Engine, RowMapping, Table, bindparam, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DatabaseError

from dataset_mirror.errors import DataFolderError, IndexDamaged, MirrorError, SharedAway, StoreFull
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.rules.conditions import Validators
from dataset_mirror.rules.fields import Fields
from dataset_mirror.store import damaged, failures, knowledge, outbox, paging, sums, wanted
from dataset_mirror.store.damaged import Damaged
from dataset_mirror.store.database import REBUILD, WRITING, ForReading, for_writing, place_of, why_unwritable
from dataset_mirror.store.database import damaged as damage_of
from dataset_mirror.store.failures import Failed
from dataset_mirror.store.knowledge import Fact, Kind
from dataset_mirror.store.listing import Listed, Page, Query, page_of, state_of
from dataset_mirror.store.migrations import from_1, from_4, from_5
from dataset_mirror.store.outbox import Letter
from dataset_mirror.store.record import Record, archive_of
from dataset_mirror.store.schema import VERSION, archives, counters, metadata, versions
from dataset_mirror.store.wanted import Wanted, WantedPage

log = logging.getLogger(__name__)
T = TypeVar("T")

MARKS = ("journal_bytes", "shared_seen", "shared_database")
"""Numbers that are kept among the totals, but are none."""

_FIND = select(archives).where(archives.c.key == bindparam("key"))
_DIGESTS = "SELECT DISTINCT sha256 FROM versions WHERE sha256 > ? ORDER BY sha256 LIMIT ?"
_STEP = 20_000
"""Rows that are read at once where all are."""
_TOTAL = select(counters.c.value).where(counters.c.name == bindparam("name"))

_CHECK = "Check that its folder can be written, and that the disk has room."
_REMEMBERED = 20_000
"""Records in memory, for when the database cannot be read any more."""


class Index:
    """Facts about archives, in one database. Methods are thread-safe; a write holds the database's only write lock."""

    trouble: SharedAway | None = None
    """None: of what is here everything is looked through."""

    def __init__(self, url: str | URL, *, new: bool = True, creates: bool = True) -> None:
        """Opens the database; for reading, and `why_read_only` says why, if it is there and its disk takes no more bytes.

        DataFolderError if it is damaged, of another schema, or missing though it may not be `new`, or this process `creates` none.
        """
        self._url, self._new, self._creates = url, new and creates, creates
        self._reading, self._reopening = Lock(), Lock()
        self._known: OrderedDict[ArchiveId, Record] = OrderedDict()
        self._seen_version = 0
        self.why_read_only: str | None = None
        self.damage: IndexDamaged | None = None
        """What was found to be damaged; it stays so until a rebuild."""
        self._copy: ForReading | None = None
        self._is_open = False
        try:
            self._open()
        except IndexDamaged as error:
            raise DataFolderError(f"The index {url} cannot be opened: {error.__cause__}.", REBUILD) from error
        except StoreFull as error:
            self._open_for_reading(error)
        except DatabaseError as error:
            raise DataFolderError(f"The index {url} cannot be opened: {error.orig}.", _CHECK) from error
        self._is_open = True

    def _open(self) -> None:
        """For writing. What goes wrong comes out, and nothing stays open."""
        engine = for_writing(self._url, self._failed, creates=self._creates)
        try:
            with engine.connect() as connection:
                _prepare(connection, self._url, new=self._new)
            self._read_from(engine)
        except BaseException:
            engine.dispose()
            raise

    def _open_for_reading(self, error: StoreFull) -> None:
        place = place_of(self._url)
        why = why_unwritable(place.parent) if place.is_file() else None
        if why is None:
            raise DataFolderError(f"The index {self._url} cannot be opened: {error.__cause__}.", _CHECK) from error
        self._copy = ForReading(self._url, self._failed)
        with self._copy.engine.connect() as connection:
            if (version := connection.exec_driver_sql("PRAGMA user_version").scalar_one()) != VERSION:
                raise DataFolderError(f"The index {place} has schema {version}, and cannot be changed: {why}.", _CHECK)
        self._read_from(self._copy.engine)
        self.why_read_only = why
        log.info("The index %s cannot be written (%s): what is there is served, and nothing new is kept.", place, why)

    def _read_from(self, engine: Engine) -> None:
        reader = engine.connect()
        with self._reading:
            self._engine, self._reader, self._raw = engine, reader, reader.connection.cursor()

    def _can_be_written(self) -> bool:
        """Whether it can by now, where it could not be at the start. Threads that come together open it once."""
        with self._reopening:
            if self.why_read_only is None:
                return True
            reader, copy = self._reader, self._copy
            try:
                self._open()
            except (MirrorError, DatabaseError):
                return False
            self.why_read_only = self._copy = None
        reader.close()
        if copy:
            copy.close()
        log.info("The index %s can be written again.", place_of(self._url))
        return True

    def _failed(self, error: MirrorError) -> None:
        """Damage is said once: it concerns every request from then on."""
        if isinstance(error, IndexDamaged) and self._is_open and self.damage is None:
            self.damage = error
            log.error("%s What is known in memory is served until then.", error)

    def close(self) -> None:
        self._reader.close()
        self._engine.dispose()
        if self._copy:
            self._copy.close()

    def find(self, archive: ArchiveId) -> Record | None:
        """What is current for `archive`, or None. Fast enough for the event loop.

        Of a damaged index what was read before counts; IndexDamaged if that was nothing.
        """
        try:
            with self._reading:
                row = self._reader.execute(_FIND, {"key": str(archive)}).mappings().first()
            found = record_of(row) if row else None
        except IndexDamaged as error:
            self._failed(error)
            if archive in self._known:
                return self._known[archive]
            raise
        self._remember(archive, found)
        return found

    def _remember(self, archive: ArchiveId, found: Record | None) -> None:
        if found is None:
            self._known.pop(archive, None)
            return
        self._known[archive] = found
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    def versions(self, archive: ArchiveId) -> list[Record]:
        """Everything ever published for `archive`, the latest fetched first."""
        with self._engine.connect() as connection:
            return _versions_of(connection, [archive])[archive]

    def versions_of(self, those: Sequence[ArchiveId]) -> dict[ArchiveId, list[Record]]:
        """As `versions`, for up to a thousand archives."""
        with self._engine.connect() as connection:
            return _versions_of(connection, those)

    def listed(self, archive: ArchiveId) -> Listed | None:
        """What lists say of the archive, or None."""
        with self._engine.connect() as connection:
            row = connection.execute(_FIND, {"key": str(archive)}).mappings().first()
            return _listed(row) if row else None

    def page(self, query: Query) -> Page:
        """One page of a list; BadRequest if its cursor is not one. A page may have less than its limit, and yet a next one."""
        with self._engine.connect() as connection:
            rows, reached = paging.rows_of(connection, query)
        return page_of(query, [(row["id"], _listed(row)) for row in rows], reached)

    def every(self, query: Query) -> Iterator[Listed]:
        """All pages of a list, one after the other; what is changed meanwhile may be missed or told twice."""
        while True:
            page = self.page(query)
            yield from page.archives
            if page.next is None:
                return
            query = replace(query, after=page.next)

    def unused(self, since: float, most: int) -> tuple[sums.Held, list[Listed]]:
        """What was not used since then (seconds since the epoch): number and bytes, equal ones for each archive, and the largest."""
        with self._engine.connect() as connection:
            rows = paging.largest_unused(connection, since, most)
            return sums.unused(connection, since), [_listed(row) for row in rows]

    def users_of(self, sha256: str) -> list[Record]:
        """Every version of every archive that is this blob."""
        with self._engine.connect() as connection:
            return _users_of(connection, sha256)

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
            records = [record_of(row) for row in connection.execute(query).mappings()]
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

    def damaged(self) -> list[Damaged]:
        """Archives that are damaged and have not come again, by name."""
        with self._engine.connect() as connection:
            return damaged.every(connection)

    def number_damaged(self) -> int:
        with self._engine.connect() as connection:
            return damaged.number(connection)

    def failures(self) -> list[Failed]:
        """The latest downloads that failed, the latest last, as they were noted."""
        with self._engine.connect() as connection:
            return failures.every(connection)

    def outbox(self, most: int) -> list[Letter]:
        """What other mirrors are still to be told, the oldest first."""
        with self._engine.connect() as connection:
            return outbox.waiting(connection, most)

    def number_in_outbox(self) -> int:
        with self._engine.connect() as connection:
            return outbox.number(connection)

    def is_in_outbox(self, archive: ArchiveId) -> bool:
        """Whether anything of the archive is still to be told; fast enough for the event loop."""
        with self._reading:
            return outbox.has(self._reader, archive)

    def is_kept(self, record: Record) -> bool:
        """Whether all mirrors know it, and the bucket has its bytes."""
        with self._engine.connect() as connection:
            return outbox.is_kept(connection, record.archive, record.sha256)

    def known(self, kind: Kind, about: str) -> Fact | None:
        """What an origin said, or None; fast enough for the event loop."""
        with self._reading:
            return knowledge.find(self._reader, kind, about)

    def facts(self, scopes: Iterable[str] | None = None) -> list[Fact]:
        """All that origins said, or what they said of these scopes."""
        with self._engine.connect() as connection:
            return knowledge.every(connection, scopes)

    def look(self, work: Callable[[Connection], T]) -> T:
        """Reads other tables of the index: `work` gets a connection."""
        with self._engine.connect() as connection:
            return work(connection)

    def data_version(self) -> int:
        """A number that is another one after each write, by whichever process. Takes 2 µs."""
        with self._reading, suppress(sqlite3.Error):  # of a damaged one nobody knows: what is in memory counts
            self._seen_version = self._raw.execute("PRAGMA data_version").fetchone()[0]
        return self._seen_version

    def total(self, name: str) -> int:
        """One running total; fast enough for the event loop."""
        with self._reading:
            return self._reader.execute(_TOTAL, {"name": name}).scalar() or 0

    @contextmanager
    def transaction(self) -> Iterator["Writing"]:
        """A write transaction that begins at once (BEGIN IMMEDIATE), commits at the end and rolls back on any error.

        StoreFull if the database was opened for reading, OperationalError if it finds no room.
        """
        if self.why_read_only and not self._can_be_written():
            raise StoreFull(f"Nothing can be kept in {place_of(self._url).parent}: {self.why_read_only}.", _CHECK)
        with self._engine.connect() as connection:
            connection.info[WRITING] = True
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield Writing(connection)
                connection.exec_driver_sql("COMMIT")
            except BaseException:
                connection.connection.rollback()  # not the statement: a full disk has rolled back already, and it would fail
                raise
            finally:
                del connection.info[WRITING]

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
        return self.publish_all([record], used)[0]

    def publish_all(self, records: Sequence[Record], used: float) -> list[Record]:
        """As `publish`, for several archives, each of which is there once: a bundle may have a great many."""
        kept = _versions_of(self._connection, [record.archive for record in records])
        united = [_united(record, kept[record.archive]) for record in records]
        new = {one.sha256: one.size for one in united if not _of(one, kept[one.archive])}
        self.count("blob_bytes", sum(size for sha256, size in new.items() if not self.needs(sha256)))
        with ExitStack() as counting:
            for sha256, size in new.items():
                counting.enter_context(sums.owned(self._connection, sha256, size))
            self._connection.execute(_PUT_VERSION, [values_of(one) for one in united])
        self.unwant(kept)
        knowledge.forget(self._connection, "refusal", *map(str, kept))
        damaged.heal(self._connection, *kept)
        for one in united:
            others = [each for each in kept[one.archive] if each.sha256 != one.sha256]
            kept[one.archive] = sorted([one, *others], key=lambda each: (-each.fetched, each.sha256))
        self._settle(kept, used)
        return [kept[one.archive][0] for one in united]

    def united(self, records: Sequence[Record]) -> list[Record]:
        """What is known of these bytes of their archives once they are published."""
        kept = _versions_of(self._connection, [record.archive for record in records])
        return [_united(record, kept[record.archive]) for record in records]

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
        with ExitStack() as counting:
            for row in gone:
                counting.enter_context(sums.owned(self._connection, row.sha256, row.size))
            self._connection.execute(delete(versions).where(which))
        unneeded = [row for row in gone if not self.needs(row.sha256)]
        self.count("blob_bytes", -sum(row.size for row in unneeded))
        self._settle(_versions_of(self._connection, [archive]), used=0.0)
        return [row.sha256 for row in unneeded]

    def needs(self, sha256: str) -> bool:
        """Whether any version of any archive is this blob."""
        return self._connection.execute(_NEEDED, {"digest": sha256}).first() is not None

    def users_of(self, sha256: str) -> list[Record]:
        """Every version of every archive that is this blob, inside this transaction."""
        return _users_of(self._connection, sha256)

    def version(self, archive: ArchiveId, sha256: str) -> Record | None:
        """These bytes of the archive, or None."""
        row = self._connection.execute(_VERSION, {"at": str(archive), "digest": sha256}).mappings().first()
        return record_of(row) if row else None

    def versions(self, archive: ArchiveId) -> list[Record]:
        """All bytes of the archive, inside this transaction, the latest fetched first."""
        return _versions_of(self._connection, [archive])[archive]

    def current(self, archive: ArchiveId) -> Record | None:
        """What is current for the archive, inside this transaction, or None."""
        row = self._connection.execute(_FIND, {"key": str(archive)}).mappings().first()
        return record_of(row) if row else None

    def _settle(self, kept: Mapping[ArchiveId, Sequence[Record]], used: float) -> None:
        """Makes what is current, and the totals, follow from archives' versions, the latest first; `used` is for new archives."""
        known = {row.key: row.size for row in self._connection.execute(_SIZES, {"keys": [str(archive) for archive in kept]})}
        current = {archive: of[0] for archive, of in kept.items() if of}
        self.count("archives", len(current) - len(known))
        for archive, of in kept.items():
            sums.count(self._connection, str(archive), archives=bool(of) - (str(archive) in known))
        self.count("archive_bytes", sum(record.size for record in current.values()) - sum(known.values()))
        if gone := [{"at": str(archive)} for archive, of in kept.items() if not of]:
            self._connection.execute(_DROP_ARCHIVE, gone)
        if rows := [
            {**values_of(record), "origin": archive.authority, "state": state_of(kept[archive]), "hits": 0, "used": used}
            for archive, record in current.items()
        ]:
            self._connection.execute(_PUT_ARCHIVE, rows)

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

    @contextmanager
    def part(self) -> Iterator[None]:
        """A part of the transaction: what changed in it is undone if it fails, and the rest is not."""
        self._connection.exec_driver_sql("SAVEPOINT part")
        try:
            yield
        except BaseException:
            self._connection.exec_driver_sql("ROLLBACK TO part")
            raise
        finally:
            self._connection.exec_driver_sql("RELEASE part")

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
            self._connection.execute(_COUNT, {"name": name, "value": more})


def _prepare(connection: Connection, url: str | URL, *, new: bool) -> None:
    if connection.exec_driver_sql("PRAGMA user_version").scalar_one() == VERSION:
        return
    connection.exec_driver_sql("BEGIN IMMEDIATE")  # two processes may create it at once
    version: int = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    if not 0 <= version <= VERSION:
        raise DataFolderError(f"The index {url} has schema {version}; this program knows {VERSION}.", "Use the version that made it.")
    if version == 0 and not new:
        raise DataFolderError(f"The index {url} is lost, though archives were kept.", f"{REBUILD} Or put the index back to its place.")
    if version == 1:
        from_1(connection)
    if 1 <= version <= 4:
        from_4(connection)
    if 1 <= version <= 5:
        from_5(connection)
    # Tables that were added (one from 2 to 3, two from 3 to 4, three from 4 to 5, three from 5 to 6, two from 6 to 7) come by themselves.
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
        "fields": _written(record.fields),
        "source": record.source,
        "fetched": record.fetched,
        "checked": record.checked,
        "private": int(record.private),
        "restricted": record.restricted,
    }


@lru_cache(1024)
def _written(fields: Fields) -> str:
    """Most archives of an origin have the same."""
    return json.dumps(fields)


def record_of(row: RowMapping) -> Record:
    """The record in the columns that both tables have; IndexDamaged if they make no sense."""
    try:
        return _record(row)
    except (ValueError, TypeError, AttributeError) as error:
        raise damage_of("of archives", error) from error


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
        restricted=row["restricted"],
    )


def _upsert(table: Table, key: Collection[str], but: Collection[str] = ()) -> Any:
    """A row in the place of the one with that key; what was in the columns `but` stays."""
    adding = insert(table)
    names = [column.name for column in table.columns if column.name not in ("id", *key, *but)]
    return adding.on_conflict_do_update(list(key), set_={name: adding.excluded[name] for name in names})


# Made once: SQLAlchemy takes several times as long to make a statement as SQLite to run it, and a bundle may have many archives.
_KEYS: BindParameter[Any] = bindparam("keys", expanding=True)
_VERSIONS = select(versions).where(versions.c.key.in_(_KEYS)).order_by(versions.c.fetched.desc(), versions.c.sha256)
_VERSION = select(versions).where(versions.c.key == bindparam("at"), versions.c.sha256 == bindparam("digest"))
_USERS = select(versions).where(versions.c.sha256 == bindparam("digest")).order_by(versions.c.key)
_NEEDED = select(versions.c.id).where(versions.c.sha256 == bindparam("digest")).limit(1)
_SIZES = select(archives.c.key, archives.c.size).where(archives.c.key.in_(_KEYS))
_DROP_ARCHIVE = delete(archives).where(archives.c.key == bindparam("at"))
_PUT_VERSION = _upsert(versions, ("key", "sha256"))
_PUT_ARCHIVE = _upsert(archives, ("key",), but=("hits", "used"))
_ADDING = insert(counters)
_COUNT = _ADDING.on_conflict_do_update(["name"], set_={"value": counters.c.value + _ADDING.excluded.value})


def _versions_of(connection: Connection, those: Iterable[ArchiveId]) -> dict[ArchiveId, list[Record]]:
    """All versions of archives, the latest first."""
    kept: dict[ArchiveId, list[Record]] = {archive: [] for archive in those}
    for row in connection.execute(_VERSIONS, {"keys": [str(archive) for archive in kept]}).mappings():
        record = record_of(row)
        kept[record.archive].append(record)
    return kept


def _users_of(connection: Connection, sha256: str) -> list[Record]:
    return [record_of(row) for row in connection.execute(_USERS, {"digest": sha256}).mappings()]


def _of(record: Record, kept: Iterable[Record]) -> Record | None:
    """What is known of the bytes of a record among versions of its archive."""
    return next((each for each in kept if each.sha256 == record.sha256), None)


def _united(record: Record, kept: Iterable[Record]) -> Record:
    known = _of(record, kept)
    return known.united(record) if known else record


def _listed(row: RowMapping) -> Listed:
    return Listed(record_of(row), row["state"], row["used"], row["hits"])
