"""Hits and totals, gathered in memory and written in batches: a request never waits for a write."""

import asyncio
import time
from typing import Protocol

from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.store.store import Store


class Counted(Protocol):
    """Running totals of a process."""

    hits: int
    misses: int
    served: int
    fetched: int


Hits = dict[ArchiveId, tuple[int, float]]
"""How often each archive was asked for, and when last, in seconds since the epoch."""
_NONE = (0, 0.0)
_TOTALS = ("hits", "misses", "served", "fetched")


class Usage:
    """What was asked for since the last flush."""

    def __init__(self, store: Store, traffic: Counted) -> None:
        self._store, self._traffic = store, traffic
        self._hits: Hits = {}
        self._written = dict.fromkeys(_TOTALS, 0)
        self._flushing = asyncio.Lock()

    def note(self, archive: ArchiveId) -> None:
        """Somebody asked for the archive, and gets it."""
        self._hits[archive] = (self._hits.get(archive, _NONE)[0] + 1, time.time())

    def take(self) -> Hits:
        """What was noted, which is somebody else's to write down."""
        taken, self._hits = self._hits, {}
        return taken

    def add(self, hits: Hits) -> None:
        """Adds what was noted elsewhere, or could not be written."""
        for archive, (more, at) in hits.items():
            count, last = self._hits.get(archive, _NONE)
            self._hits[archive] = (count + more, max(at, last))

    @property
    def pending(self) -> dict[str, int]:
        """What the totals of the index lack yet."""
        return {name: getattr(self._traffic, name) - written for name, written in self._written.items()}

    async def flush(self) -> None:
        """Writes what was noted. If that fails it is kept, for the next time; being cancelled does not stop it half-way.

        The worker would go on with a write that was cancelled here, and a second flush would count the same again.
        """
        await asyncio.shield(asyncio.create_task(self._flush()))

    async def _flush(self) -> None:
        async with self._flushing:
            await self._flush_now()

    async def _flush_now(self) -> None:
        now = {name: getattr(self._traffic, name) for name in _TOTALS}
        if not self._hits and now == self._written:
            return
        hits, self._hits = self._hits, {}
        try:
            await self._store.in_worker(lambda: self._write(hits, now))
        except BaseException:
            self.add(hits)
            raise
        self._written = now

    def _write(self, hits: Hits, now: dict[str, int]) -> None:
        with self._store.transaction("The counts of hits") as writing:
            writing.use(hits)
            for name, value in now.items():
                writing.count(name, value - self._written[name])
