"""Background checks: a stale archive is served at once, and its origin is asked meanwhile (RFC 5861 3)."""

import time
from collections import OrderedDict
from contextlib import suppress

from dataset_mirror.errors import MirrorError
from dataset_mirror.fetch.fill import Fill
from dataset_mirror.fetch.flights import Flights
from dataset_mirror.fetch.job import Job
from dataset_mirror.origins.asked import Asked, asked
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.origins.model import CatalogEntry, Origin
from dataset_mirror.rules.freshness import CLOCK_SECONDS, RETRY_SECONDS, Freshness, freshness
from dataset_mirror.store.record import Record


class Checks:
    """Decides how fresh a stored archive is, and has stale ones checked."""

    def __init__(self, flights: Flights) -> None:
        self._flights = flights
        self._begun: OrderedDict[ArchiveId, float] = OrderedDict()
        """When, by the monotonic clock, those of late; the first one longest ago."""

    def of(self, record: Record, lifetime: float, expected: CatalogEntry | None) -> Freshness:
        """How fresh a stored archive is whose checks hold for `lifetime` seconds."""
        wanted = (*expected.sha256, *expected.md5) if expected else ()
        had = [digest for digest in (record.sha256, record.md5) if digest]
        return freshness(time.time(), record.checked, lifetime, digests=had, expected=wanted)

    def begin(self, record: Record, origin: Origin, expected: CatalogEntry | None, as_asked: Asked | None = None) -> Fill | None:
        """Checks an archive, unless that was begun a short while ago: a dead origin must not be asked at every hit.

        `as_asked` is the request, if there is one that is more than the archive. The check that is under way, if there is one.
        """
        if running := self._flights.get(record.archive):
            return running  # or just ending: noted as begun now, it would seem to have failed
        as_asked = as_asked or asked(origin, record.archive)
        if as_asked.archive.variant.startswith("post=") and as_asked.question.body is None:
            return None  # nobody knows what was sent
        now = time.monotonic()
        while self._begun and now - next(iter(self._begun.values())) >= RETRY_SECONDS:
            self._begun.popitem(last=False)
        if record.archive in self._begun and not self._succeeded_since(record):
            return None
        self._begun[record.archive] = now
        self._begun.move_to_end(record.archive)
        # Other bytes than the catalog expects are fetched again: the origin would only confirm them.
        known = None if expected and expected.has_digest else record
        with suppress(MirrorError):  # a recent 404: what is there goes on being served
            return self._flights.join(Job(as_asked, origin, expected, known, restricted=record.restricted))
        return None

    def _succeeded_since(self, record: Record) -> bool:
        """Whether the last check went well: with a short `freshness` the next one may come before the time for retries."""
        begun = self._begun.get(record.archive)
        return begun is not None and time.time() - (time.monotonic() - begun) < record.checked <= time.time() + CLOCK_SECONDS
