"""Which upstreams fail: those are left alone for a while, and asked again then."""

import time
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from dataset_mirror.rules.freshness import initial_age

REST, LONGEST_REST = 30.0, 300.0
"""Seconds that a failing upstream is left alone: doubled with each failure in a row, up to the longest."""
_MOST_DOUBLINGS = 10
"""After which it is the longest anyway: one that is away for days fails more often than a float has room for."""


@dataclass(slots=True)
class Health:
    """How one upstream (scheme and authority) has been doing."""

    failures: int = 0
    """In a row."""
    last_error: str | None = None
    failed_at: float | None = None
    """Seconds since the epoch."""
    until: float = 0.0
    """When it is asked again (monotonic)."""

    @property
    def resting(self) -> bool:
        return time.monotonic() < self.until


class UpstreamHealth:
    """All upstreams that were ever asked."""

    def __init__(self) -> None:
        self.by_place: dict[str, Health] = {}
        self.clocks: dict[str, float] = {}
        """Seconds by which our clock is ahead of each upstream's, by its last answer."""

    def failed(self, place: str, why: str) -> None:
        health = self.by_place.setdefault(place, Health())
        health.failures += 1
        health.last_error, health.failed_at = why, time.time()
        doublings = min(health.failures - 1, _MOST_DOUBLINGS)
        health.until = time.monotonic() + min(REST * 2**doublings, LONGEST_REST)

    def succeeded(self, place: str) -> None:
        health = self.by_place.setdefault(place, Health())
        health.failures, health.until = 0, 0.0

    def release(self, named: str) -> list[str]:
        """Upstreams on hold, of this host or scheme and host, are asked again at once; returns them."""
        found = [place for place in self.by_place if named in (place, place.partition("://")[2]) and self.resting(place)]
        for place in found:
            self.by_place[place].failures, self.by_place[place].until = 0, 0.0
        return found

    def told_time(self, place: str, date: str | None, age: str | None) -> None:
        """Date and Age of an answer that has just come (RFC 9110 6.6.1, RFC 9111 5.1)."""
        with suppress(ValueError, OverflowError):
            self.clocks[place] = time.time() - parsedate_to_datetime(date or "").timestamp() - initial_age(age)

    def resting(self, place: str) -> bool:
        return place in self.by_place and self.by_place[place].resting
