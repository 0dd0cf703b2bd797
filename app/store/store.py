"""The store: blobs, index, journal and tree, changed together so that a kill at any moment leaves them agreeing."""

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from app.errors import DataFolderError
from app.origins.identity import ArchiveId
from app.settings import Settings
from app.store.blobs import Blobs
from app.store.folder import DataFolder, FillLock
from app.store.index import Index
from app.store.journal import Journal, Removal
from app.store.partial import PartialFile
from app.store.record import Record
from app.store.resumable import Leftovers
from app.store.space import Space
from app.store.tree import Tree
from app.store.wanted import Wanted

log = logging.getLogger("dataset_mirror.store")
T = TypeVar("T")


def open_store(settings: Settings) -> "Store":
    """The store in the data folder that the settings name; DataFolderError if it cannot be used."""
    return Store(settings.data, min_free=settings.min_free, max_size=settings.max_size, database=settings.database)


class Store:
    """Everything that is kept. Writes, scans and pages run in its one worker thread (`in_worker`)."""

    def __init__(self, root: Path, *, min_free: int = 0, max_size: int | None = None, database: str | None = None) -> None:
        """Opens or creates the data folder; DataFolderError if it cannot be used."""
        self.folder = DataFolder(root.absolute())
        self.folder.prepare()
        self.journal = Journal(self.folder.journal)
        self.index = Index(self.folder.index_url(database), new=self.journal.is_empty)
        self.blobs = Blobs(self.folder.blobs)
        self.tree = Tree(self.folder.tree)
        self.leftovers = Leftovers(self.folder.partial)
        """Fills of former runs that can be gone on with; known from `lock` on."""
        self.space = Space(self.folder.root, min_free, max_size, lambda: self.index.total("blob_bytes"))
        self._worker = ThreadPoolExecutor(1, "store")
        self._lock: FillLock | None = None

    def lock(self, *, mend: bool = True) -> FillLock:
        """Becomes the one process that fills this folder, and mends what a killed one left behind."""
        self._lock = FillLock(self.folder.lock)
        if mend:
            self._recover()
        self.leftovers.find(clean=mend)
        return self._lock

    def close(self) -> None:
        """Ends the worker and gives the lock back; nothing is lost by not calling it."""
        self._worker.shutdown()
        self.index.close()
        if self._lock:
            self._lock.release()

    async def in_worker(self, work: Callable[[], T]) -> T:
        """Runs blocking `work` in the store's worker thread."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    def find(self, archive: ArchiveId) -> Record | None:
        return self.index.find(archive)

    def new_partial(self) -> PartialFile:
        """An empty file for a fill, under a name that no other ever had: in a container each run has the same process id."""
        return PartialFile(self.folder.partial / f"{os.getpid()}-{secrets.token_hex(8)}")

    def publish(self, partial: Path, record: Record) -> Record:
        """Makes the whole, fsynced file `partial` the bytes of `record`'s archive; returns what is current then. Blocks.

        The order makes a kill at any moment harmless. The write transaction keeps every other process from unlinking a blob
        that is about to be needed. The journal's line comes first: if the kill falls between the rename and the COMMIT, the
        next start finds the last line without its row, and adds it (`_recover`), so no blob is ever without one. The rename
        happens even onto an existing blob. Only the COMMIT, with synchronous=FULL, makes the archive visible.
        """
        with self.index.transaction() as writing:
            self.journal.append(record)
            self.blobs.put(partial, record.sha256)
            writing.publish(record, used=time.time())
        current = self.index.find(record.archive)
        if current is None:
            raise DataFolderError(f"{record.url} was stored but is not in the index.", "Report this as a bug.")
        self._link(current)
        return current

    def refresh(self, record: Record) -> Record:
        """The origin confirmed these bytes at `record.checked`. Blocks."""
        with self.index.transaction() as writing:
            writing.refresh(record)
        return record

    def want(self, misses: Iterable[Wanted]) -> None:
        """Puts archives on the wanted list, but for those that are there. Blocks."""
        with self.index.transaction() as writing:
            writing.want(misses)

    def unwant(self, archives: Iterable[ArchiveId]) -> int:
        """Takes archives off the wanted list; returns how many were on it. Blocks."""
        with self.index.transaction() as writing:
            return writing.unwant(archives)

    def remove(self, archive: ArchiveId, sha256: str | None = None) -> int:
        """Forgets an archive, or one version of it; returns the bytes that this freed. Blocks.

        First the journal and the index, then the blob, and only if nobody needs it at that moment: after a kill in between
        it is an orphan, which `gc` finds; never is there a row without its blob.
        """
        with self.index.transaction() as writing:
            self.journal.append(Removal(archive, time.time(), sha256))
            unneeded = writing.forget(archive, sha256)
        self._show(archive)
        return sum(self.drop_orphan(digest) for digest in unneeded)

    def drop_orphan(self, sha256: str) -> int:
        """Unlinks a blob that no archive needs; returns its bytes, 0 if it is needed after all. Blocks."""
        with self.index.transaction() as writing:
            if writing.needs(sha256):
                return 0
            size = self.blobs.size(sha256)
            self.blobs.remove(sha256)
        return size

    def quarantine(self, sha256: str, inode: int | None) -> list[Record]:
        """Takes a damaged or lost blob out of use; returns the versions that had it, which are forgotten. Blocks.

        The blob is kept in `quarantine/` for people. Inside the transaction it cannot be published anew; if it was meanwhile,
        and is another file than `inode`, the one that was found damaged, nothing happens.
        """
        with self.index.transaction() as writing:
            if self.blobs.inode(sha256) != inode:
                return []
            had = self.index.users_of(sha256)
            for record in had:
                self.journal.append(Removal(record.archive, time.time(), sha256))
                writing.forget(record.archive, sha256)
            self.blobs.take(sha256, self.folder.quarantine)
        for record in had:
            self._show(record.archive)
        return had

    def _show(self, archive: ArchiveId) -> None:
        """Lets `tree/` say what the index says."""
        if current := self.index.find(archive):
            self._link(current)
        else:
            self.tree.unlink(archive)

    def _link(self, current: Record) -> None:
        if current.private:  # whoever shares this folder does not ask who reads it
            self.tree.unlink(current.archive)
            return
        if not self.tree.link(current.archive, self.blobs.path(current.sha256)):
            log.debug("tree/ cannot hold a name for %s", current.url)

    def _recover(self) -> None:
        """After a kill: completes the publication or removal that was under way."""
        last = self.journal.last()
        if isinstance(last, Record) and self.blobs.has(last.sha256) and not self._has(last.archive, last.sha256):
            with self.index.transaction() as writing:
                writing.publish(last, used=time.time())
            log.info("Completed the publication of %s that was cut off.", last.url)
        if isinstance(last, Removal) and any(version.fetched <= last.at for version in self._versions(last)):
            with self.index.transaction() as writing:
                writing.forget(last.archive, last.sha256)
            log.info("Completed the removal of %s that was cut off.", last.archive)
        if last:
            self._show(last.archive)

    def _has(self, archive: ArchiveId, sha256: str) -> bool:
        return any(version.sha256 == sha256 for version in self.index.versions(archive))

    def _versions(self, removal: Removal) -> list[Record]:
        return [version for version in self.index.versions(removal.archive) if removal.sha256 in (None, version.sha256)]
