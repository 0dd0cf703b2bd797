"""Background checks: a stale archive is served at once, and its origin is asked meanwhile (RFC 5861 3)."""

import time
from contextlib import suppress

from dataset_mirror.errors import MirrorError
from dataset_mirror.fetch.flights import Flights
from dataset_mirror.fetch.job import Job
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.origins.model import CatalogEntry, Origin
from dataset_mirror.rules.freshness import CLOCK_SECONDS, RETRY_SECONDS, Freshness, freshness
from dataset_mirror.store.record import Record


class Checks:
    """Decides how fresh a stored archive is, and has stale ones checked."""

    def __init__(self, flights: Flights) -> None:
        self._flights = flights
        self._begun: dict[ArchiveId, float] = {}

    def of(self, record: Record, lifetime: float, expected: CatalogEntry | None) -> Freshness:
        """How fresh a stored archive is whose checks hold for `lifetime` seconds."""
        wanted = (*expected.sha256, *expected.md5) if expected else ()
        had = [digest for digest in (record.sha256, record.md5) if digest]
        return freshness(time.time(), record.checked, lifetime, digests=had, expected=wanted)

    def begin(self, record: Record, origin: Origin, expected: CatalogEntry | None) -> None:
        """Checks an archive, unless that was begun a short while ago: a dead origin must not be asked at every hit."""
        if self._flights.get(record.archive):
            return  # one is under way, or just ending: noted as begun now, it would seem to have failed
        now = time.monotonic()
        if now - self._begun.get(record.archive, -RETRY_SECONDS) < RETRY_SECONDS and not self._succeeded_since(record):
            return
        self._begun = {archive: at for archive, at in self._begun.items() if now - at < RETRY_SECONDS} | {record.archive: now}
        # Other bytes than the catalog expects are fetched anew: the origin would only confirm them.
        known = None if expected and expected.has_digest else record
        with suppress(MirrorError):  # a recent 404: what is there goes on being served
            self._flights.join(Job(record.archive, origin, expected, known))

    def _succeeded_since(self, record: Record) -> bool:
        """Whether the last check went well: with a short `freshness` the next one may come before the time for retries."""
        begun = self._begun.get(record.archive)
        return begun is not None and time.time() - (time.monotonic() - begun) < record.checked <= time.time() + CLOCK_SECONDS
