"""The heart: resolve → look up → have it? serve it. Missing? join the fill, or start one."""

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import BinaryIO, Literal

from anyio.lowlevel import checkpoint

from dataset_mirror.errors import IndexDamaged, MirrorError, Offline, StoreFull
from dataset_mirror.fetch.checks import Checks
from dataset_mirror.fetch.confirm import HEAD_REFUSED
from dataset_mirror.fetch.edition import Edition
from dataset_mirror.fetch.eviction import Eviction
from dataset_mirror.fetch.fill import Fill
from dataset_mirror.fetch.flights import Flights
from dataset_mirror.fetch.job import Job
from dataset_mirror.fetch.misses import Misses, is_miss
from dataset_mirror.fetch.opening import PASSED_ON, judge
from dataset_mirror.fetch.source import OriginSource
from dataset_mirror.fetch.traffic import Traffic
from dataset_mirror.fetch.unlisted import Unlisted
from dataset_mirror.fetch.upstream import Broken, Reply, Upstream
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.origins.table import Origins
from dataset_mirror.rules.freshness import Freshness
from dataset_mirror.settings import Configuration, Settings
from dataset_mirror.store.record import Record
from dataset_mirror.store.store import Store
from dataset_mirror.store.usage import Usage

log = logging.getLogger(__name__)

FLUSH_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Hit:
    """An archive that is there, its blob opened; whoever gets it closes `file`."""

    record: Record
    file: BinaryIO


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the fetching of one archive is; sizes in bytes, `total` None while unknown."""

    url: str
    state: Literal["waiting", "fetching", "present", "fetched", "failed"]
    received: int = 0
    total: int | None = None
    error: MirrorError | None = None

    @property
    def over(self) -> bool:
        return self.state in ("present", "fetched", "failed")


class Mirror:
    """Everything that a running mirror does, without HTTP servers and without FastAPI."""

    def __init__(self, configuration: Configuration, store: Store) -> None:
        self.configuration = configuration
        self.store = store
        self.began = time.time()
        self.upstream = Upstream(configuration)
        self.traffic = Traffic()
        self.reading: Counter[str] = Counter()
        """Answers under way, by the digest of the blob that they send."""
        self.usage = Usage(store, self.traffic)
        self.eviction = Eviction(store, self.upstream, configuration, self._busy, self.usage.flush)
        self.flights = Flights(store, self.upstream, self.eviction, self.traffic, self.settings.max_fills)
        self.misses = Misses(store)
        self.unlisted = Unlisted(self.misses)
        self._checks = Checks(self.flights)
        self._flushing: asyncio.Task[None] | None = None

    @property
    def settings(self) -> Settings:
        """Those of the moment."""
        return self.configuration.settings

    @property
    def origins(self) -> Origins:
        """Those of the moment."""
        return self.configuration.origins

    def reload(self) -> None:
        """Reads the configuration once more and takes it up; UsageError, and nothing changes, if it is wrong now.

        Data folder, database, address and `max_fills` stay as they are until the next start.
        """
        self.configuration.reload()
        log.info("Reloaded the configuration %s.", self.configuration.file)

    async def start(self) -> None:
        await checkpoint()  # what httpx runs on loads its parts at the first use: that is not to cost the first client
        self._flushing = asyncio.create_task(self._flush_for_ever())

    async def stop(self) -> None:
        """Ends fills, and writes down what was counted."""
        await self.flights.stop()
        await self.misses.stop()
        if self._flushing:
            self._flushing.cancel()
        await self.upstream.close()
        with suppress(StoreFull, IndexDamaged):
            await self.usage.flush()
            await self.flights.flush()

    async def _flush_for_ever(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            try:
                await self.usage.flush()
                await self.flights.flush()
            except (StoreFull, IndexDamaged) as error:  # the store has said it, and so does /status; the counts stay
                log.debug("The counts of hits cannot be written now: %s", error)
            except Exception:  # counting must never end the mirror; the counts stay and are tried again
                log.exception("The counts of hits and the failures could not be written.")

    # One archive

    def find(self, archive: ArchiveId) -> Hit | Fill:
        """The archive's bytes if they are there, else the fill that brings them. Raises NotAllowed, Offline, or a recent 404."""
        return self.hit(archive) or self._fill(archive)

    def hit(self, archive: ArchiveId) -> Hit | None:
        """The archive's bytes if they are there."""
        record = self.store.find(archive)
        return self.opened(record) if record else None

    def freshness(self, record: Record) -> Freshness:
        """How fresh a stored archive is; if it is stale, its origin is asked in the background."""
        origin = self.origins.of(record.archive)
        expected = self.origins.expected(record.archive)
        found = self._checks.of(record, origin.lifetime(record.archive.path), expected)
        if found.is_stale and not self.settings.offline:
            self._checks.begin(record, origin, expected)
        return found

    def ttl(self, record: Record) -> float | None:
        """Seconds until a stored archive is checked, negative if that is overdue; None if never. Its origin is not asked."""
        origin = self.origins.get(record.archive.authority)
        lifetime = origin.lifetime(record.archive.path) if origin else math.inf
        found = self._checks.of(record, lifetime, self.origins.expected(record.archive))
        return None if found.ttl == math.inf else found.ttl

    def refusal(self, archive: ArchiveId) -> MirrorError | None:
        """Why an archive that is not stored would not be fetched now, if so."""
        if self.settings.offline:
            return self._offline(archive)
        return self.flights.absence(archive)

    def opened(self, record: Record) -> Hit | None:
        """The blob of a record, opened; None, said in the log, if it has gone."""
        try:
            return Hit(record, self.store.blobs.open(record.sha256))
        except FileNotFoundError:
            log.warning("The blob of %s has gone from the data folder; it is fetched again.", record.url)
            return None

    @contextmanager
    def read(self, hit: Hit) -> Iterator[BinaryIO]:
        """The blob of a hit, for one answer; nobody makes room of it meanwhile."""
        self.reading[hit.record.sha256] += 1
        try:
            with hit.file as file:
                yield file
        finally:
            self.reading[hit.record.sha256] -= 1

    def _busy(self, record: Record) -> bool:
        return self.reading[record.sha256] > 0 or self.flights.get(record.archive) is not None

    def _fill(self, archive: ArchiveId) -> Fill:
        origin = self.origins.of(archive)
        if self.settings.offline:
            raise self._offline(archive)
        return self.flights.join(Job(archive, origin, self.origins.expected(archive)))

    def _offline(self, archive: ArchiveId) -> Offline:
        url = self.origins.of(archive).url_of(archive)
        return Offline(f"The mirror is offline and does not have {url}.", "Fetch it while it is online, or import it.")

    async def missed(self, archive: ArchiveId, error: MirrorError, asked_by: str | None) -> MirrorError:
        """The error of a request for an archive, as its client gets it: what could not be fetched is on the wanted list by then."""
        listed = is_miss(error) and await self.misses.note(archive, asked_by)
        if not listed or not isinstance(error, Offline):
            return error
        return Offline(
            f"{error.detail} It is on the list of what is wanted now.",
            "Carry that list to where there is a network: dataset-mirror wanted --export wanted.txt",
        )

    async def head(self, archive: ArchiveId) -> Record | Edition | Reply:
        """What a HEAD is answered from when the archive is not there: a fill under way, else the origin's own answer to HEAD.

        Nothing is fetched, unless the origin refuses HEAD; then the fill starts. A Reply comes back closed.
        """
        source = OriginSource(self.upstream, self.origins.of(archive), archive)
        if self.settings.offline or self.flights.get(archive):
            return await self._fill(archive).opened()
        try:
            reply = await source.ask(method="HEAD")
        except Broken:
            return await self._fill(archive).opened()  # which retries, and has the right error in the end
        try:
            if reply.status == 200:
                return reply
            if reply.status in PASSED_ON and reply.status not in HEAD_REFUSED:
                await judge(reply, source.url, quoted=not source.private)
        finally:
            await reply.close()
        return await self._fill(archive).opened()

    # Many archives

    async def fetch(self, archives: Iterable[ArchiveId], every: float = 0.2, *, anew: bool = False) -> AsyncIterator[Progress]:
        """Makes sure that all of them are there; tells how far each is every so many seconds, and each one's end once.

        `anew`: what is there is fetched once more.
        """
        waiting = {}
        for archive in archives:
            started = self._started(archive, anew=anew)
            if isinstance(started, Fill):
                waiting[archive] = started
            else:
                yield started
        while waiting:
            for archive, fill in list(waiting.items()):
                progress = _progress(fill)
                if progress.over:
                    del waiting[archive]
                if progress.state != "waiting":
                    yield progress
            if waiting:
                await _any_over(waiting.values(), every)

    def _started(self, archive: ArchiveId, *, anew: bool) -> Fill | Progress:
        url = f"https://{archive}"
        try:
            url = self.origins.of(archive).url_of(archive)
            found = self._fill(archive) if anew else self.find(archive)
        except MirrorError as error:
            return Progress(url, "failed", error=error)
        if isinstance(found, Fill):
            return found
        found.file.close()
        return Progress(url, "present", found.record.size, found.record.size)


def _progress(fill: Fill) -> Progress:
    url = fill.job.url
    if fill.record:
        return Progress(url, "fetched", fill.record.size, fill.record.size)
    if fill.error:
        return Progress(url, "failed", fill.received, fill.total, fill.error)
    return Progress(url, "fetching" if fill.running else "waiting", fill.received, fill.total)


async def _any_over(fills: Iterable[Fill], seconds: float) -> None:
    """Waits until one of the fills ended, at most so long."""
    ends = [asyncio.create_task(fill.ended()) for fill in fills if fill.running]
    if not ends:
        await asyncio.sleep(seconds)
        return
    await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for end in ends:
        end.cancel()


@asynccontextmanager
async def running(configuration: Configuration, store: Store) -> AsyncIterator[Mirror]:
    """A mirror from start to stop."""
    mirror = Mirror(configuration, store)
    await mirror.start()
    try:
        yield mirror
    finally:
        await mirror.stop()
