"""Room for fills: what was used longest ago goes first, and only if its upstream confirms at that moment that it still has it.

Archives of one catalog name go together, none while somebody reads it, and none at all unless enough can go.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice

from dataset_mirror.errors import NotAllowed, StoreFull
from dataset_mirror.fetch.confirm import Unreachable, confirms
from dataset_mirror.fetch.source import OriginSource
from dataset_mirror.fetch.upstream import Upstream
from dataset_mirror.origins.asked import asked
from dataset_mirror.rules.counted import counted
from dataset_mirror.settings import Configuration
from dataset_mirror.store.changes import MIRROR
from dataset_mirror.store.listing import Listed, Query
from dataset_mirror.store.record import Record
from dataset_mirror.store.space import Reservation
from dataset_mirror.store.store import Store

log = logging.getLogger(__name__)

SEARCH_SECONDS = 60.0
"""How long clients of a fill wait at most until enough is found that may go."""
_ASKED_AT_ONCE = 8

Busy = Callable[[Record], bool]


@dataclass(frozen=True, slots=True)
class Leaving:
    """What goes together: one archive, or those of a catalog name, and what shares their blobs; `freed` in bytes."""

    records: tuple[Record, ...]
    freed: int


class Eviction:
    """Finds what may go, and lets it go."""

    def __init__(
        self, store: Store, upstream: Upstream, configuration: Configuration, busy: Busy, flush: Callable[[], Awaitable[None]]
    ) -> None:
        """`busy` tells whether somebody reads or fetches an archive; `flush` writes down when archives were used last."""
        self._store, self._upstream, self._busy, self._flush = store, upstream, busy, flush
        self._configuration = configuration
        self._making = asyncio.Lock()

    async def reserve(self, size: int, url: str, *, there: int = 0) -> Reservation:
        """A reservation of `size` bytes for the archive at `url`, for which others may have to go; StoreFull, with figures.

        `there` of them are on the disk already, from a former run.
        """
        reservation = Reservation(url, self._store.space)
        reservation.found(there)
        try:
            await self.grow(reservation, size - there)
        except BaseException:
            reservation.release()
            raise
        return reservation

    async def grow(self, reservation: Reservation, size: int) -> None:
        """Reserves more for a fill under way; StoreFull, with figures."""
        if self._grown(reservation, size):
            return
        async with self._making:
            while not self._grown(reservation, size):
                await self._make(size, reservation.what)

    def _grown(self, reservation: Reservation, size: int) -> bool:
        if self._store.space.missing(size):
            return False
        reservation.grow(size)
        return True

    async def _make(self, size: int, url: str) -> None:
        """Lets go what frees enough for `size` bytes; StoreFull, and nothing goes, if that cannot be found."""
        leaving, wanted = [], self._store.space.missing(size)
        async for each in self.leaving(wanted):
            leaving.append(each)
        if sum(each.freed for each in leaving) < wanted:
            why = (
                "No other archive can make room: none is idle and confirmed by its origin."
                if not leaving
                else (f"Idle archives whose origins confirm them now would free {sum(each.freed for each in leaving):,}.")
            )
            raise self._store.space.full(size, url, why)
        await self.let_go(leaving)

    async def let_go(self, leaving: list[Leaving]) -> int:
        """Removes these bytes, but for what somebody has begun to read or fetch; returns how many that freed."""
        freed = 0
        for record in chain.from_iterable(each.records for each in leaving):
            if self._busy(record):  # by now: each removal takes its time
                continue
            size = await self._store.in_worker(partial(self._store.remove, record.archive, record.sha256))
            self._store.changes.note("evicted", record.url, size, by=MIRROR)
            freed += size
            log.info("Evicted %s (%s) to make room; its origin still has it.", record.url, counted(record.size, "byte"))
        return freed

    async def leaving(self, wanted: int, *, last_copies: bool = False) -> AsyncIterator[Leaving]:
        """What may go to free `wanted` bytes, used longest ago first; with `last_copies` no origin is asked."""
        silent: set[str] = set()
        until = time.monotonic() + SEARCH_SECONDS
        with suppress(StoreFull):  # then the order of their uses is that of the last time
            await self._flush()
        candidates = await self._store.in_worker(lambda: iter(self._by_last_use()))
        while wanted > 0 and time.monotonic() < until:
            batch = await self._store.in_worker(lambda: list(islice(candidates, _ASKED_AT_ONCE)))
            if not batch:
                return
            may_go = await asyncio.gather(*(self._may_go(each, silent, last_copies=last_copies) for each in batch))
            for each, may in zip(batch, may_go, strict=True):
                if may and wanted > 0:
                    wanted -= each.freed
                    yield each

    def _by_last_use(self) -> Iterator[Leaving]:
        """Everything that could go by itself, in its order; blocks."""
        for line in self._store.index.every(Query("used", limit=200)):
            together = self._together(line)
            if all((other.used, str(other.record.archive)) <= (line.used, str(line.record.archive)) for other in together):
                blobs = {other.record.sha256: other.record.size for other in together}
                yield Leaving(tuple(other.record for other in together), sum(blobs.values()))

    def _together(self, line: Listed) -> list[Listed]:
        """The archive, those of its catalog name, and whatever shares a blob with any of them."""
        found, more = {line.record.archive: line}, [line]
        while more:
            record = more.pop().record
            entry = self._configuration.origins.expected(record.archive)
            siblings = {other.archive for other in self._configuration.origins.named(entry.name)} if entry and entry.name else set()
            siblings |= {user.archive for user in self._store.index.users_of(record.sha256)}
            new = [self._store.index.listed(archive) for archive in siblings - found.keys()]
            more += [other for other in new if other]
            found |= {other.record.archive: other for other in new if other}
        return list(found.values())

    async def _may_go(self, leaving: Leaving, silent: set[str], *, last_copies: bool) -> bool:
        """Whether nobody needs it, and it can be had again. Older versions cannot, so an archive that has some stays."""
        if any(self._busy(record) for record in leaving.records):
            return False
        if last_copies:
            return True
        for record in leaving.records:
            if not await self._again(record, silent):
                return False
        return True

    async def _again(self, record: Record, silent: set[str]) -> bool:
        if record.archive.authority in silent or len(await self._store.in_worker(lambda: self._store.index.versions(record.archive))) > 1:
            return False
        if self._store.telling.is_on and await self._store.in_worker(lambda: self._store.index.is_kept(record)):
            return True  # the bucket has it, so nobody has to be asked
        try:
            origin = self._configuration.origins.of(record.archive)
            if not record.archive.can_be_asked_for or record.restricted or record.archive.variant.startswith("post="):
                return False  # who asked for it is not here to ask again
            what = asked(origin, record.archive).of_size(record.size)
            return await confirms(OriginSource.of(self._upstream, origin, what), record)
        except Unreachable:
            silent.add(record.archive.authority)
        except (NotAllowed, StoreFull):
            pass
        return False
