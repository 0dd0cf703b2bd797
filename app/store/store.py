"""The store: blobs, index, journal and tree, changed together so that a kill at any moment leaves them agreeing."""

import asyncio
import logging
import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from app.errors import DataFolderError
from app.origins.identity import ArchiveId
from app.settings import Settings
from app.store.blobs import Blobs
from app.store.folder import DataFolder, FillLock
from app.store.index import Index
from app.store.journal import Journal
from app.store.partial import PartialFile
from app.store.record import Record
from app.store.space import Space
from app.store.tree import Tree

log = logging.getLogger("dataset_mirror.store")
T = TypeVar("T")


def open_store(settings: Settings) -> "Store":
    """The store in the data folder that the settings name; DataFolderError if it cannot be used."""
    return Store(settings.data, min_free=settings.min_free, database=settings.database)


class Store:
    """Everything that is kept. Writes, scans and pages run in its one worker thread (`in_worker`)."""

    def __init__(self, root: Path, *, min_free: int = 0, database: str | None = None) -> None:
        """Opens or creates the data folder; DataFolderError if it cannot be used."""
        self.folder = DataFolder(root.absolute())
        self.folder.prepare()
        self.index = Index(self.folder.index_url(database))
        self.blobs = Blobs(self.folder.blobs)
        self.journal = Journal(self.folder.journal)
        self.tree = Tree(self.folder.tree)
        self.space = Space(self.folder.root, min_free)
        self._worker = ThreadPoolExecutor(1, "store")
        self._lock: FillLock | None = None
        self._partials = 0

    def lock(self) -> FillLock:
        """Becomes the one process that fills this folder, and mends what a killed one left behind."""
        self._lock = FillLock(self.folder.lock)
        self._recover()
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
        """An empty file for a fill."""
        self._partials += 1
        return PartialFile(self.folder.partial / f"{os.getpid()}-{self._partials}")

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

    def _link(self, current: Record) -> None:
        if not self.tree.link(current.archive, self.blobs.path(current.sha256)):
            log.debug("tree/ cannot hold a name for %s", current.url)

    def _recover(self) -> None:
        """After a kill: completes the publication that was under way, and reclaims the leftovers of fills."""
        last = self.journal.last()
        if last and self.blobs.has(last.sha256) and not any(v.sha256 == last.sha256 for v in self.index.versions(last.archive)):
            with self.index.transaction() as writing:
                writing.publish(last, used=time.time())
            log.info("Completed the publication of %s that was cut off.", last.url)
        if last and (current := self.index.find(last.archive)):
            self._link(current)
        shutil.rmtree(self.folder.partial)
        self.folder.partial.mkdir()
