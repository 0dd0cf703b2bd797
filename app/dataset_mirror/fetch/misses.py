"""Requests that got no bytes because nothing could be fetched, on their way to the wanted list."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy.exc import DatabaseError

from dataset_mirror.errors import FillFailed, IndexDamaged, MirrorError, Offline, OriginBusy, OriginUnreachable, StoreFull
from dataset_mirror.fetch.fill import Fill
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.rules.anonymous import Anonymising, anonymised
from dataset_mirror.store.store import Store
from dataset_mirror.store.wanted import Wanted

log = logging.getLogger(__name__)

UNFETCHED = (Offline, OriginUnreachable, OriginBusy, FillFailed)
"""What another mirror with another network may well get. An origin's own refusal is none: a 404 is one everywhere."""


class Misses:
    """Writes misses in batches: those that come while a batch is being written make the next one."""

    def __init__(self, store: Store, anonymising: Callable[[], Anonymising]) -> None:
        """`anonymising` says what is kept of clients' addresses."""
        self._store, self._anonymising = store, anonymising
        self._new: dict[ArchiveId, Wanted] = {}
        self._next: asyncio.Task[bool] | None = None
        """The write that takes along what is new; None if nothing is."""
        self._turn = asyncio.Lock()
        self._left: dict[Fill, Counter[str | None]] = {}
        """Clients that left, by address."""
        self._tasks: set[asyncio.Task[object]] = set()

    async def note(self, archive: ArchiveId, asked_by: str | None, count: int = 1) -> bool:
        """Puts a miss on the list, and returns when it is there; False if the index cannot be written, which the log says."""
        now = time.time()
        asked_by = anonymised(asked_by, self._anonymising()) if asked_by else asked_by
        known = self._new.get(archive, Wanted(archive, 0, now, now))
        self._new[archive] = replace(known, count=known.count + count, last=now, asked_by=asked_by)
        if self._next is None:
            self._next = asyncio.create_task(self._write())
            self._keep(self._next)
        return await asyncio.shield(self._next)  # a client that leaves does not take the others' misses with it

    async def _write(self) -> bool:
        async with self._turn:
            misses, self._new, self._next = self._new, {}, None
            try:
                await self._store.in_worker(lambda: self._store.want(misses.values()))
            except (DatabaseError, StoreFull, IndexDamaged) as error:
                log.error("The wanted list cannot be written: %s", error)
                return False
            return True

    def left(self, fill: Fill, asked_by: str | None) -> None:
        """A client that waited for a fill has left. If the fill fails, that was a miss all the same."""
        if fill not in self._left:
            self._left[fill] = Counter()
            self._keep(asyncio.create_task(self._note_if_failed(fill)))
        self._left[fill][asked_by] += 1

    async def _note_if_failed(self, fill: Fill) -> None:
        await fill.ended()
        for asked_by, count in self._left.pop(fill).items():
            if is_miss(fill.error):
                await self.note(fill.job.archive, asked_by, count)

    async def stop(self) -> None:
        """Waits until everything is written; the fills have ended before."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def is_miss(error: MirrorError | None) -> bool:
    """Whether an archive could not be fetched, though it may exist."""
    return isinstance(error, UNFETCHED)
