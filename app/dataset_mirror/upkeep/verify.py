"""Re-hashing what is kept. A damaged blob is put into quarantine, never served again, and fetched again where that is possible."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from dataset_mirror.errors import DataFolderError, MirrorError, OriginSaysNo, StoreFull, SystemFailure
from dataset_mirror.mirror import Mirror
from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.store.digests import Hashing
from dataset_mirror.store.listing import Listed, Query
from dataset_mirror.store.record import Record
from dataset_mirror.upkeep.fetching import fetch
from dataset_mirror.upkeep.stored import select_known

log = logging.getLogger(__name__)

_STEP = 1024 * 1024

State = Literal["checking", "good", "damaged", "lost", "fetching", "fetched", "failed"]


GONE = (404, 410)
"""What an origin answers for an archive that it has removed: nobody waits for it any more."""
OVER = ("good", "damaged", "lost", "fetched", "failed")
"""States after which nothing may follow for an archive; a damaged one may be fetched again."""


@dataclass(frozen=True, slots=True)
class Verified:
    """How far the verification of one archive is; `checked` and `total` in bytes."""

    url: str
    state: State
    checked: int = 0
    total: int = 0
    error: MirrorError | None = None

    @property
    def over(self) -> bool:
        """Whether this is the last word on it, if a damaged one is not fetched again."""
        return self.state in ("good", "fetched", "failed")


class Rehash:
    """One blob as it is read; `done` in bytes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.done = 0
        self.inode: int | None = None
        """Which file was read: it may be replaced by a good one meanwhile."""
        self.stopped = False

    def sha256(self) -> str | None:
        """In hex; None if the blob is not there. OSError if it cannot be opened, and so nobody knows. Blocks."""
        hashing = Hashing(md5=False)
        try:
            file = self._path.open("rb", buffering=0)
        except FileNotFoundError:
            return None
        with file:
            self.inode = os.fstat(file.fileno()).st_ino
            try:
                while not self.stopped and (data := file.read(_STEP)):
                    hashing.update(data)
                    self.done = hashing.size
            except OSError:  # the disk cannot read it: as damaged as can be
                return ""
        return hashing.digests.sha256


async def verify(mirror: Mirror, wanted: Iterable[str] = (), every: float = 0.2) -> AsyncIterator[Verified]:
    """Verifies stored archives (all, if none is named) and tells how far it is; each ends good, fetched or failed.

    UsageError if a name means none.
    """
    store, names = mirror.store, list(wanted)
    index = store.index
    lines, again = await _chosen(mirror, names)
    good: set[str] = set()
    while (line := await store.in_worker(partial(next, lines, None))) is not None:
        for record in await store.in_worker(partial(index.versions, line.record.archive)):
            if record.sha256 in good:
                yield Verified(record.url, "good", record.size, record.size)
                continue
            rehash = Rehash(store.blobs.path(record.sha256))
            async for step in _checked(record, rehash, every):
                yield step
            if step.state == "good":
                good.add(record.sha256)
            if step.state not in ("damaged", "lost"):
                continue
            try:
                had = await store.in_worker(partial(store.quarantine, record.sha256, rehash.inode))
            except (StoreFull, DataFolderError) as error:  # it stays where it is, and the others are looked at all the same
                yield Verified(record.url, "failed", rehash.done, record.size, error)
                continue
            if had:
                log.error("The blob of %s is %s: it is not served any more.", record.url, step.state)
            again |= dict.fromkeys(user.archive for user in had)
    async for step in _fetched_anew(mirror, again, every):
        yield step


async def _chosen(mirror: Mirror, names: list[str]) -> tuple[Iterator[Listed], dict[ArchiveId, None]]:
    """What is to be read, and what is known to be damaged and only to be fetched again."""
    store = mirror.store
    if not names:
        return iter(store.index.every(Query(limit=1000))), dict.fromkeys(one.archive for one in await store.in_worker(store.index.damaged))
    lines, damaged = await store.in_worker(lambda: select_known(store.index, mirror.origins, names))
    return iter(lines), dict.fromkeys(one.archive for one in damaged)


async def _checked(record: Record, rehash: Rehash, every: float) -> AsyncIterator[Verified]:
    """Ends good, damaged or lost; failed if the blob cannot be opened at present."""
    hashing = asyncio.create_task(asyncio.to_thread(rehash.sha256))
    try:
        while not (await asyncio.wait([hashing], timeout=every))[0]:
            yield Verified(record.url, "checking", rehash.done, record.size)
        sha256 = hashing.result()
    except OSError as error:
        yield Verified(record.url, "failed", rehash.done, record.size, SystemFailure.of(error))
        return
    finally:
        rehash.stopped = True
    state: State = "good" if sha256 == record.sha256 else "lost" if sha256 is None else "damaged"
    yield Verified(record.url, state, rehash.done, record.size)


async def _fetched_anew(mirror: Mirror, archives: Iterable[ArchiveId], every: float) -> AsyncIterator[Verified]:
    async for progress in fetch(mirror, archives, every, refetch=True):
        if isinstance(progress.error, OriginSaysNo) and progress.error.status in GONE:
            await mirror.store.in_worker(partial(mirror.store.give_up, [parse_url(progress.url)]))
        state: State = "fetched" if progress.state == "fetched" else "failed" if progress.state == "failed" else "fetching"
        yield Verified(progress.url, state, progress.received, progress.total or 0, progress.error)
