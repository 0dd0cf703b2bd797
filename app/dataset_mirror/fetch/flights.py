"""Single flight: one fill per archive, however many ask; and what is remembered of those that failed."""

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dataset_mirror.errors import MirrorError, OriginSaysNo, Stopping
from dataset_mirror.fetch.cause import cause
from dataset_mirror.fetch.eviction import Eviction
from dataset_mirror.fetch.fill import Fill
from dataset_mirror.fetch.intake import Intake
from dataset_mirror.fetch.job import Job
from dataset_mirror.fetch.limits import Limits
from dataset_mirror.fetch.promises import Promises
from dataset_mirror.fetch.scopes import Knowledge
from dataset_mirror.fetch.shared import SharedSource
from dataset_mirror.fetch.source import OriginSource, Source
from dataset_mirror.fetch.traffic import Traffic
from dataset_mirror.fetch.upstream import Upstream
from dataset_mirror.origins.asked import Asked
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.rules.counted import counted
from dataset_mirror.rules.secrets import without_secrets
from dataset_mirror.store.changes import CLIENT, Kind
from dataset_mirror.store.failures import MOST, Failed
from dataset_mirror.store.store import Store

if TYPE_CHECKING:
    from dataset_mirror.store.shared.store import SharedStore

log = logging.getLogger(__name__)

REMEMBERED, REMEMBERED_SECONDS = 10_000, 60.0
"""How many 404 and 410 of origins are remembered, and how long."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A fill that failed: when (seconds since the epoch), of what, and the error that its clients got."""

    at: float
    url: str
    error: MirrorError


def _failure(known: Failed) -> Failure:
    """One of a former run."""
    error = MirrorError(known.detail, known.hint)
    error.status = known.status
    return Failure(known.at, known.url, error)


class Flights:
    """The fills under way."""

    def __init__(
        self,
        store: Store,
        upstream: Upstream,
        eviction: Eviction,
        traffic: Traffic,
        promises: Promises,
        most: int,
        slow: Callable[[], float],
    ) -> None:
        """At most `most` fills run at once, and beside them those that bring less than `slow()` bytes per second."""
        self._store, self._upstream, self._eviction, self._traffic = store, upstream, eviction, traffic
        self._promises = promises
        self.knowledge = Knowledge(store)
        self._limits = Limits(most, slow)
        self._digesting = ThreadPoolExecutor(most, "digest")
        self._fills: dict[ArchiveId, Fill] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._absent: OrderedDict[ArchiveId, tuple[float, MirrorError]] = OrderedDict()
        self.shared: SharedStore | None = None
        """Where other mirrors are asked, if there are any."""
        self.failures: deque[Failure] = deque((_failure(known) for known in store.index.failures()), maxlen=MOST)
        """The latest, without those of archives that came after all."""
        self._noted = self._facts()

    def __iter__(self) -> Iterator[Fill]:
        return iter(list(self._fills.values()))

    def get(self, archive: ArchiveId) -> Fill | None:
        return self._fills.get(archive)

    def join(self, job: Job) -> Fill:
        """The fill under way for the archive, or a new one. Raises a recent 404 or 410 of the origin again."""
        fill = self._fills.get(job.archive)
        if fill is None:
            if (error := self.absence(job.asked)) is not None:
                raise error
            fill = self._fills[job.archive] = self._new(job)
            task = asyncio.create_task(self._fly(fill))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return fill

    def _new(self, job: Job) -> Fill:
        source: Source = OriginSource.of(self._upstream, job.origin, job.asked)
        if self.shared:
            source = SharedSource(OriginSource.of(self._upstream, job.origin, job.asked), self.shared, job)
        intake = Intake(job, self._store, self._eviction, self._traffic)
        return Fill(job, source, intake, self._store, self._limits, self._digesting, self._promises)

    def _facts(self) -> list[Failed]:
        known = self.failures
        return [
            Failed(one.at, one.url, one.error.status, without_secrets(one.error.detail), without_secrets(one.error.hint)) for one in known
        ]

    def cancel(self, archive: ArchiveId, error: MirrorError) -> Fill | None:
        """Ends the fill of an archive, if one is under way: its readers get this error."""
        fill = self._fills.get(archive)
        if fill:
            fill.cancel(error)
        return fill

    def forget(self, archive: ArchiveId) -> None:
        """Nothing is remembered of what its origin said a short while ago: it is asked again."""
        self._absent.pop(archive, None)

    async def flush(self) -> None:
        """Writes down what failed, if that has changed: it is known after a restart, too."""
        if (known := self._facts()) != self._noted:
            await self._store.in_worker(lambda: self._store.note_failures(known))
            self._noted = known

    async def stop(self) -> None:
        """Ends every fill; its readers get Stopping."""
        for fill in self:
            fill.stop()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._digesting.shutdown(wait=False)

    async def _fly(self, fill: Fill) -> None:
        log.info("Checking %s." if fill.job.known else "Fetching %s.", fill.job.url)
        await fill.run()
        try:
            await fill.source.ended(fill.record)
        finally:
            del self._fills[fill.job.archive]
        self._report(fill)
        if isinstance(fill.error, OriginSaysNo):
            await self.knowledge.refused(fill.job.asked, fill.error)

    def _report(self, fill: Fill) -> None:
        seconds = max(time.time() - fill.began, 1e-3)
        known = fill.job.known
        if fill.record:
            self.failures = deque((failure for failure in self.failures if failure.url != fill.job.url), maxlen=self.failures.maxlen)
        if fill.record and known and known.sha256 == fill.record.sha256:
            self._traffic.ended(fill.job.archive, "confirmed")
            log.info("Checked %s: its origin still has the same.", fill.job.url)
            return
        if fill.record:
            self._traffic.ended(fill.job.archive, "stored", seconds)
            if known:
                self._traffic.change(fill.job.url)
                log.warning("%s changed at its origin; from now on the new bytes are served.", fill.job.url)
            size = fill.record.size
            kind: Kind = "changed" if known else "added"
            self._store.changes.note(kind, fill.job.url, size, by=CLIENT if cause() == "request" else "")
            log.info("Fetched %s: %s in %.1f s (%.1f MB/s).", fill.job.url, counted(size, "byte"), seconds, size / seconds / 1e6)
            return
        assert fill.error is not None
        self._traffic.ended(fill.job.archive, fill.error.problem, seconds)
        if isinstance(fill.error, OriginSaysNo) and fill.error.status in (404, 410):
            self._absent[fill.job.archive] = (time.monotonic() + REMEMBERED_SECONDS, fill.error)
            while len(self._absent) > REMEMBERED:
                self._absent.popitem(last=False)
        if not isinstance(fill.error, Stopping):
            self.failures.append(Failure(time.time(), fill.job.url, fill.error))
        log.warning("Failed after %.1f s: %s", seconds, fill.error)

    def absence(self, what: Asked) -> MirrorError | None:
        """What a 404 or 410 of the origin, not longer than a minute ago or as long as the rule says, was answered with."""
        until, error = self._absent.get(what.archive, (0.0, None))
        if error is not None and time.monotonic() >= until:
            del self._absent[what.archive]
            error = None
        return error or self.knowledge.absence(what)
