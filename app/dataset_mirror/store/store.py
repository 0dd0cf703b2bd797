"""The store: blobs, index, journal and tree, changed together so that a kill at any moment leaves them agreeing."""

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import copy_context
from pathlib import Path
from typing import TypeVar

from sqlalchemy.exc import DatabaseError

from dataset_mirror.errors import IndexDamaged, StoreFull
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.rules.counted import counted
from dataset_mirror.settings import Configuration
from dataset_mirror.store import changes, damaged, failures, knowledge
from dataset_mirror.store.blobs import Blobs
from dataset_mirror.store.changes import Changes
from dataset_mirror.store.database import meaning, place_of, why_unwritable
from dataset_mirror.store.durable import tighten
from dataset_mirror.store.failures import Failed
from dataset_mirror.store.filling import FillLock
from dataset_mirror.store.folder import DataFolder
from dataset_mirror.store.index import Index
from dataset_mirror.store.journal import Journal, Removal
from dataset_mirror.store.knowledge import Fact, Kind
from dataset_mirror.store.ledger import Ledger
from dataset_mirror.store.partial import PartialFile, remove_unheld
from dataset_mirror.store.pins import Pin, Pins
from dataset_mirror.store.record import Record
from dataset_mirror.store.resumable import Leftovers
from dataset_mirror.store.space import Space, of_disk
from dataset_mirror.store.telling import Telling
from dataset_mirror.store.tree import Tree
from dataset_mirror.store.wanted import Wanted
from dataset_mirror.store.writing import Writing

log = logging.getLogger(__name__)
T = TypeVar("T")
_INCOMING = "in-"
_MOMENT = 0.001
"""Seconds between two fetchings, if a clock does not tell them apart."""


def open_store(configuration: Configuration, *, creates: bool = True) -> "Store":
    """The store in the data folder that the settings name, under their limits of the moment; DataFolderError if it cannot be used.

    `creates` as Store has it.
    """
    store = Store(configuration.settings.data, database=configuration.settings.database, creates=creates)
    store.space.limits = lambda: configuration.settings
    store.telling.is_on = configuration.settings.shared is not None
    return store


class Store:
    """Everything that is kept. Writes, scans and pages run in its one worker thread (`in_worker`)."""

    def __init__(
        self, root: Path, *, min_free: int = 0, max_size: int | None = None, database: str | None = None, creates: bool = True
    ) -> None:
        """Opens or creates the data folder; DataFolderError if it cannot be used.

        Without `creates` nothing is made, not even what is missing: for processes that read what another one keeps.
        """
        self.folder = DataFolder(root.absolute())
        if creates:
            self.folder.prepare(place_of(database) if database else None)
        else:
            self.folder.check()
        self.journal = Journal(self.folder.journal)
        self.index = Index(self.folder.index_url(database), new=self.journal.size == 0, creates=creates)
        if database is None and creates:
            tighten(self.folder.index)
        self.blobs = Blobs(self.folder.blobs)
        self.tree = Tree(self.folder.tree)
        self.pins = Pins(self.folder.pins)
        self.changes = Changes()
        self.leftovers = Leftovers(self.folder.partial)
        """Fills of former runs that can be gone on with; known from `lock` on."""
        self.space = Space(self.folder.root, min_free, max_size, lambda: self.index.total("blob_bytes"))
        self.telling = Telling(self.transaction)
        self.ledger = Ledger(self.index, self.journal, self.blobs, self.tree, self.telling, self.folder.set_aside)
        self._worker = ThreadPoolExecutor(1, "store")
        self._lock: FillLock | None = None

    def lock(self, *, repair: bool = True) -> FillLock:
        """Becomes the one process that fills this folder, and mends what a killed one left behind."""
        self._lock = FillLock(self.folder.lock)
        writable = self.why_read_only is None
        if repair and writable:
            self.mend()
        self.leftovers.find(clean=repair and writable)
        return self._lock

    def renew_lock(self) -> None:
        """Says again who has the lock, if a full disk had no room for it."""
        if self._lock:
            self._lock.renew()

    @property
    def why_read_only(self) -> str | None:
        """Why nothing new is kept, if that is so: the disk of data folder or index is full or read-only."""
        return self.index.why_read_only or why_unwritable(self.folder.root)

    @property
    def troubles(self) -> list[str]:
        """What people should know of the store, in sentences; none if all is well. Blocks for a moment."""
        found = [str(self.index.damage)] if self.index.damage else []
        if why := self.why_read_only:
            found.append(f"Nothing new can be kept in {self.folder.root}: {why}. What is there is served.")
        if aside := len(self.ledger.set_aside()):
            where = f"{counted(aside, 'line')} of the journal {'was' if aside == 1 else 'were'} set aside in {self.folder.set_aside}."
            found.append(f"{where} Stop the mirror and run: dataset-mirror doctor --rebuild")
        return found

    def close(self) -> None:
        """Ends the worker and gives the lock back; nothing but lines of the log of changes is lost by not calling it."""
        self._worker.shutdown()
        with suppress(StoreFull, IndexDamaged, DatabaseError):
            self._write_changes()
        self.index.close()
        if self._lock:
            self._lock.release()

    async def in_worker(self, work: Callable[[], T]) -> T:
        """Runs blocking `work` in the store's worker thread."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, copy_context().run, work)

    def find(self, archive: ArchiveId) -> Record | None:
        return self.index.find(archive)

    def moment_after(self, archive: ArchiveId, now: float) -> float:
        """When bytes were fetched that came now: later than all that were there, whatever the clock said then, so that they count."""
        known = self.index.find(archive)
        return now if known is None or known.fetched < now else known.fetched + _MOMENT

    def new_partial(self) -> PartialFile:
        """An empty file for a fill, under a name that no other ever had: in a container each run has the same process id."""
        return self._new_file("")

    def _new_file(self, prefix: str) -> PartialFile:
        for _ in range(3):  # whoever clears the folder just then may take it before it is held
            with suppress(FileNotFoundError):
                return PartialFile(self.folder.partial / f"{prefix}{os.getpid()}-{secrets.token_hex(8)}")
        return PartialFile(self.folder.partial / f"{prefix}{os.getpid()}-{secrets.token_hex(8)}")

    def publish(self, partial: Path, record: Record, *, kept: bool = False) -> Record:
        """Makes the whole, fsynced file `partial` the bytes of `record`'s archive; returns what is current then. Blocks.

        `kept`: all mirrors know it already, and the bucket has it.

        The order makes a kill at any moment harmless, and several processes may publish at once (a server, `import`, `adopt`):
        no lock but this transaction is needed. It keeps every other process from unlinking a blob that is about to be needed.
        The journal's line comes first: if the kill falls between the rename and the COMMIT, the next writer, whoever it is,
        finds the line without its row, and adds it (`Ledger.writing`), so no blob is ever without one. The rename happens even onto
        an existing blob. Only the COMMIT, with synchronous=FULL, makes the archive visible; the link in `tree/` is made
        before, since nobody would make it up after a kill.
        """
        with self._changing(record.url) as writing:
            record = self.ledger.publication(record, writing)
            self.blobs.put(partial, record.sha256)
            current = writing.publish(record, used=time.time())
            self.telling.published(record, writing, kept=kept)
            self._show(current.archive, current)
        return current

    @contextmanager
    def incoming(self) -> Iterator[PartialFile]:
        """An empty file for bytes that come from elsewhere than an origin; it is gone at the end if it was not published.

        Nobody clears it meanwhile: needs no fill lock.
        """
        partial = self.new_incoming()
        try:
            yield partial
        finally:
            partial.discard()

    def new_incoming(self) -> PartialFile:
        """An empty file as `incoming` has it, for who must end it elsewhere."""
        return self._new_file(_INCOMING)

    def clear_incoming(self) -> int:
        """Removes what killed imports left behind; returns the bytes that were freed. Blocks."""
        return sum(remove_unheld(path) for path in self.folder.partial.glob(f"{_INCOMING}*"))

    def also(self, record: Record) -> Record | None:
        """Makes bytes that are kept those of `record`'s archive, too; returns what is current then, None if they are not kept. Blocks."""
        with self._changing(record.url) as writing:
            if not self.blobs.has(record.sha256):
                return None
            record = self.ledger.publication(record, writing)
            current = writing.publish(record, used=time.time())
            self.telling.published(record, writing)
            self._show(current.archive, current)
        return current

    def also_all(self, records: Sequence[Record]) -> bool:
        """As `also`, for one or more archives that are all the same blob, together; False, and nothing is done, without it. Blocks."""
        with self._changing(records[0].url) as writing:
            if not all(self.blobs.has(sha256) for sha256 in {record.sha256 for record in records}):
                return False
            united = writing.united(_once(records))
            self.ledger.note(writing, *united)
            for current in writing.publish_all(united, used=time.time()):
                self._show(current.archive, current)
            for record in united:
                self.telling.published(record, writing)
        return True

    @contextmanager
    def _changing(self, what: str) -> Iterator[Writing]:
        """`Ledger.writing` for a change of `what`; if it fails its line is completed or undone at once. StoreFull if there is no room."""
        try:
            with self._full_if_it_is(what), self.ledger.writing() as writing:
                yield writing
        except Exception:
            with suppress(Exception):  # whoever writes next tries again
                self.mend()
            raise

    @contextmanager
    def transaction(self, what: str) -> Iterator[Writing]:
        """A change of the index alone. StoreFull if there is no room for `what`."""
        with self._full_if_it_is(what), self.index.transaction() as writing:
            yield writing

    @contextmanager
    def _full_if_it_is(self, what: str) -> Iterator[None]:
        try:
            yield
        except (OSError, DatabaseError) as error:
            said = of_disk(error, what) if isinstance(error, OSError) else meaning(error.orig, what)
            if said is None:
                raise
            raise said from error

    def mend(self) -> None:
        """Completes or undoes what was cut off. Blocks."""
        with self.ledger.writing():
            pass

    def pin(self, names: Iterable[str]) -> list[Pin]:
        """Pins names; returns those that are new. Other processes that pin wait for the index' write lock. Blocks."""
        with self.transaction("The pins"):
            return self._pinned("pinned", self.pins.add(names))

    def unpin(self, names: Iterable[str]) -> list[Pin]:
        """Takes pins away; returns them. Blocks."""
        with self.transaction("The pins"):
            return self._pinned("unpinned", self.pins.remove(names))

    def _pinned(self, kind: changes.Kind, pins: list[Pin]) -> list[Pin]:
        for pin in pins:
            self.changes.note(kind, pin.name)
        return pins

    def refresh(self, record: Record) -> Record:
        """The origin confirmed these bytes at `record.checked`. Blocks."""
        with self.transaction(record.url) as writing:
            writing.refresh(record)
        return record

    def know(self, fact: Fact) -> None:
        """Keeps what an origin said unless it said something later, in the journal too if it is news. Blocks.

        The journal, which never gets shorter, has only as many refusals as the index keeps.
        """
        now = time.time()
        with self._changing(fact.about) as writing:
            before = knowledge.find(writing.connection, fact.kind, fact.about)
            if before and before.age(now) < fact.age(now):
                return
            knowledge.put(writing.connection, fact)
            is_one_too_many = fact.kind == "refusal" and knowledge.tidy(writing.connection)
            if not is_one_too_many and not fact.says_the_same_as(before):
                self.ledger.note(writing, fact)

    def unknow(self, kind: Kind, about: str) -> None:
        """Deletes a fact: its origin says otherwise now. Blocks."""
        with self.transaction(about) as writing:
            knowledge.forget(writing.connection, kind, about)

    def want(self, misses: Iterable[Wanted]) -> None:
        """Puts archives on the wanted list, but for those that are there. Blocks."""
        with self.transaction("The wanted list") as writing:
            writing.want(misses)

    def unwant(self, archives: Iterable[ArchiveId]) -> int:
        """Takes archives off the wanted list; returns how many were on it. Blocks."""
        with self.transaction("The wanted list") as writing:
            return writing.unwant(archives)

    def remove(self, archive: ArchiveId, sha256: str | None = None, *, everywhere: bool = False) -> int:
        """Forgets an archive, or one version of it; returns the bytes that this freed. Blocks.

        `everywhere`: the other mirrors are to forget it, too.

        First the journal and the index, then the blob, and only if nobody needs it at that moment: after a kill in between
        it is an orphan, which `gc` finds; never is there a row without its blob.
        """
        with self._changing(f"The removal of {archive}") as writing:
            self.ledger.note(writing, Removal(archive, time.time(), sha256))
            self.telling.removed(archive, sha256, writing, everywhere=everywhere)
            unneeded = writing.forget(archive, sha256)
            self._show(archive, writing.current(archive))
        return sum(self.drop_orphan(digest) for digest in unneeded)

    def drop_orphan(self, sha256: str) -> int:
        """Unlinks a blob that no archive needs; returns its bytes, 0 if it is needed after all. Blocks."""
        with self._full_if_it_is("The index"), self.ledger.writing() as writing:
            if writing.needs(sha256) or sha256 in self.ledger.spared():
                return 0
            size = self.blobs.size(sha256)
            self.blobs.remove(sha256)
        return size

    def quarantine(self, sha256: str, inode: int | None) -> list[Record]:
        """Takes a damaged or lost blob out of use; returns the versions that had it, which are forgotten, and wanted. Blocks.

        The blob is kept in `quarantine/` for people. Inside the transaction it cannot be published again; if it was meanwhile,
        and is another file than `inode`, the one that was found damaged, nothing happens. DataFolderError if no blob is there at all.
        """
        if inode is None:
            self.blobs.check()
        with self._changing(f"The quarantine of {sha256}") as writing:
            if self.blobs.inode(sha256) != inode:
                return []
            had = writing.users_of(sha256)
            self.ledger.note(writing, *(Removal(record.archive, time.time(), sha256) for record in had))
            for record in had:
                self.telling.removed(record.archive, sha256, writing)
                writing.forget(record.archive, sha256)
                self._show(record.archive, writing.current(record.archive))
            self.blobs.take(sha256, self.folder.quarantine)
            self._miss(had, writing)
        for record in had:
            self.changes.note("damaged", record.url, record.size)
        return had

    def _miss(self, had: Iterable[Record], writing: Writing) -> None:
        """Puts archives without any bytes left onto the lists of damaged and of wanted ones, until they come again."""
        now = time.time()
        lost = [record for record in had if writing.current(record.archive) is None]
        for record in lost:
            damaged.add(writing.connection, record, now)
        writing.want(Wanted(record.archive, 1, now, now) for record in lost)

    def give_up(self, archives: Iterable[ArchiveId]) -> None:
        """Takes damaged archives off both lists: their origin, or a person, has removed them. Blocks."""
        with self.transaction("The list of damaged archives") as writing:
            for archive in archives:
                damaged.heal(writing.connection, archive)
                writing.unwant([archive])

    def note_failures(self, known: Iterable[Failed]) -> None:
        """Writes down which downloads failed, the latest last. Blocks."""
        with self.transaction("The list of failures") as writing:
            failures.put(writing.connection, known)

    async def write_changes(self) -> None:
        """Writes down what changed; if that fails it waits for the next time."""
        if self.changes.waiting:
            await self.in_worker(self._write_changes)

    def _write_changes(self) -> None:
        lines = [self.changes.waiting.popleft() for _ in range(len(self.changes.waiting))]
        if not lines:
            return
        try:
            with self.transaction("The log of changes") as writing:
                changes.put(writing.connection, lines)
        except BaseException:
            self.changes.give_back(lines)
            raise

    def _show(self, archive: ArchiveId, current: Record | None) -> None:
        self.tree.show(archive, current, self.blobs.path)


def _once(records: Iterable[Record]) -> list[Record]:
    """Each archive once, with what all records say of its bytes, which are the same."""
    found: dict[ArchiveId, Record] = {}
    for record in records:
        found[record.archive] = found[record.archive].united(record) if record.archive in found else record
    return list(found.values())
