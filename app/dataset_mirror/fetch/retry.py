"""When a failing upstream is asked again."""

import math
import random
import time
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime

_MOST_ASKED = 86_400.0
LONGEST_WAIT = 30.0
"""Seconds of Retry-After that are honoured; longer ones become a 503."""


class Backoff:
    """A budget of attempts without progress: waits of 0.5 s, doubling, with jitter."""

    def __init__(self, attempts: int, seconds: float = float("inf")) -> None:
        self._attempts, self._seconds = attempts, seconds
        self.progress()

    def progress(self) -> None:
        """Something arrived: the budget is whole again."""
        self.failures = 0
        self.story: list[str] = []
        """What went wrong since then, for the last error."""
        self._began = time.monotonic()

    def next_wait(self, asked: float | None = None) -> float | None:
        """Seconds to wait after one more failure (`asked` by the upstream, if it did); None if the budget is spent."""
        self.failures += 1
        if self.failures >= self._attempts or time.monotonic() - self._began > self._seconds:
            return None
        own: float = 0.5 * 2 ** (self.failures - 1) * random.uniform(0.75, 1.25)
        return max(own, asked or 0.0)


@dataclass(frozen=True, slots=True)
class Patience:
    """Until when (monotonic) a connection must stand, names and TLS included, and until when the head of an answer must be there."""

    connected: float = math.inf
    answered: float = math.inf

    @classmethod
    def of(cls, seconds: float) -> "Patience":
        """So long from now on."""
        now = time.monotonic()
        return cls(now + seconds, now + seconds)

    def with_silence(self, seconds: float) -> "Patience":
        """Who is connected may be silent for so long, if that is longer."""
        return replace(self, answered=max(self.answered, time.monotonic() + seconds))

    def share(self, left: int) -> "Patience":
        """The first part of `left` equal ones: who does not answer leaves the others theirs."""
        now = time.monotonic()
        return Patience(now + (self.connected - now) / left, now + (self.answered - now) / left)

    def longer(self, seconds: float) -> "Patience":
        """A wait that an upstream asked for is not at its expense."""
        return Patience(self.connected + seconds, self.answered + seconds)


ENDLESS = Patience()


def retry_after(field: str | None, date: str | None) -> float | None:
    """Seconds that a Retry-After field asks to wait (RFC 9110 10.2.3), a day at most; None if there is none or it cannot be read.

    A time counts from that of the answer, its Date field: our clock and the upstream's may differ by any amount. Without one, or
    if that time was before, nothing is said of how long.
    """
    given = (field or "").strip()
    if given.isascii() and given.isdecimal():
        return min(float(given), _MOST_ASKED)
    until, now = _moment(given), _moment(date)
    return min(until - now, _MOST_ASKED) if until is not None and now is not None and until >= now else None


def _moment(text: str | None) -> float | None:
    try:
        return parsedate_to_datetime(text or "").timestamp()
    except (ValueError, OverflowError):
        return None
