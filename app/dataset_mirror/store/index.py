"""The index: which archive is which blob. SQLAlchemy Core, synchronous; SQLite in WAL mode by default.

A point read takes some 50 µs and may run in the event loop; everything else belongs into a worker thread.
"""

import logging
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import pairwise
from threading import Lock
from typing import TypeVar

from sqlalchemy import URL, Connection, Engine, func, select
from sqlalchemy.exc import DatabaseError

from dataset_mirror.errors import DataFolderError, IndexDamaged, MirrorError, SharedAway, StoreFull
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.store import damaged, failures, knowledge, outbox, paging, rows, sums, wanted
from dataset_mirror.store.damaged import Damaged
from dataset_mirror.store.database import REBUILD, WRITING, ForReading, for_writing, place_of, why_unwritable
from dataset_mirror.store.failures import Failed
from dataset_mirror.store.knowledge import Fact, Kind
from dataset_mirror.store.listing import Listed, Page, Query, page_of
from dataset_mirror.store.migrations import prepare
from dataset_mirror.store.outbox import Letter
from dataset_mirror.store.record import Record
from dataset_mirror.store.schema import VERSION, archives, counters, versions
from dataset_mirror.store.wanted import Wanted, WantedPage
from dataset_mirror.store.writing import MARKS, TOTAL, Writing

log = logging.getLogger(__name__)
T = TypeVar("T")

_DIGESTS = "SELECT DISTINCT sha256 FROM versions WHERE sha256 > ? ORDER BY sha256 LIMIT ?"
_STEP = 20_000
"""Rows that are read at once where all are."""

_CHECK = "Check that its folder can be written, and that the disk has room."
_REMEMBERED = 20_000
"""Records in memory, for when the database cannot be read any more."""


class Index:
    """Facts about archives, in one database. Methods are thread-safe; a write holds the database's only write lock."""

    trouble: SharedAway | None = None
    """Never set: a local index is always looked through as a whole."""

    def __init__(self, url: str | URL, *, new: bool = True, creates: bool = True) -> None:
        """Opens the database; only for reading, with the reason in `why_read_only`, if its disk is full or cannot be written.

        DataFolderError if it is damaged, has another schema, or is missing and may not be made: it is not `new`, or not `creates`.
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
                prepare(connection, self._url, new=self._new)
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
        """Logs damage once: it concerns every request from then on."""
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
                row = rows.current(self._reader, archive)
            found = rows.record_of(row) if row else None
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
            return rows.versions_of(connection, [archive])[archive]

    def versions_of(self, those: Sequence[ArchiveId]) -> dict[ArchiveId, list[Record]]:
        """As `versions`, for up to a thousand archives."""
        with self._engine.connect() as connection:
            return rows.versions_of(connection, those)

    def listed(self, archive: ArchiveId) -> Listed | None:
        """What lists say of the archive, or None."""
        with self._engine.connect() as connection:
            row = rows.current(connection, archive)
            return rows.listed(row) if row else None

    def page(self, query: Query) -> Page:
        """One page of a list; BadRequest if its cursor is not one. A page may have less than its limit, and yet a next one."""
        with self._engine.connect() as connection:
            found, reached = paging.rows_of(connection, query)
        return page_of(query, [(row["id"], rows.listed(row)) for row in found], reached)

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
            found = paging.largest_unused(connection, since, most)
            return sums.unused(connection, since), [rows.listed(row) for row in found]

    def users_of(self, sha256: str) -> list[Record]:
        """Every version of every archive that is this blob."""
        with self._engine.connect() as connection:
            return rows.users_of(connection, sha256)

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
        """All versions but the current ones."""
        changed = select(archives.c.key).where(archives.c.state == "changed")
        query = select(versions).where(versions.c.key.in_(changed)).order_by(versions.c.key, versions.c.fetched.desc(), versions.c.sha256)
        with self._engine.connect() as connection:
            records = [rows.record_of(row) for row in connection.execute(query).mappings()]
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
            return self._reader.execute(TOTAL, {"name": name}).scalar() or 0

    @contextmanager
    def transaction(self) -> Iterator[Writing]:
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
