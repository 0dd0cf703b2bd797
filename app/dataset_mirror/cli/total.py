"""How far many archives are together, and how long the rest takes."""

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

_WINDOW = 10.0
"""Seconds whose bytes say how fast it goes."""
_LEAST = 1.0
"""Seconds after which a speed means something."""


@dataclass(slots=True)
class _One:
    done: int = 0
    size: int | None = None
    over: bool = False
    there: bool = False
    """It was there before: no work."""


class Total:
    """The sum of all archives of a command. Sizes that nobody knows yet are taken for the mean of those that are known."""

    def __init__(self, number: int | None, sizes: Mapping[str, int | None], size: int | None = None) -> None:
        """`number` archives are to come; `sizes` by URL without its scheme; `size` of all together, if it is known."""
        self._all = max(number or 0, len(sizes))
        self._size = size
        self._archives = {url: _One(size=known) for url, known in sizes.items()}
        self._arrived: deque[tuple[float, int]] = deque()

    def expect(self, url: str, size: int | None) -> None:
        """One more is to come."""
        self._archives.setdefault(_key(url), _One(size=size))

    def take(self, url: str, done: int, size: int | None, *, over: bool, failed: bool, there: bool, now: float | None = None) -> None:
        """So far is one of them: `done` of `size` bytes."""
        now = time.monotonic() if now is None else now
        one = self._archives.setdefault(_key(url), _One())
        if not there and done > one.done:
            self._arrived.append((now, done - one.done))
        one.done, one.over, one.there = done, over, there
        one.size = done if over and (failed or size is None) else size if size is not None else one.size
        while self._arrived and now - self._arrived[0][0] > _WINDOW:
            self._arrived.popleft()

    @property
    def number(self) -> int:
        """Archives that are over."""
        return sum(one.over for one in self._archives.values())

    @property
    def expected(self) -> int:
        """Archives that are over, or are to come."""
        return max(self._all, len(self._archives))

    @property
    def done(self) -> int:
        """Bytes that are there, without those of archives that were there before."""
        return sum(one.done for one in self._archives.values() if not one.there)

    @property
    def size(self) -> int | None:
        """Bytes that all of them have together, without those that were there; None as long as nothing is known."""
        if self._size is not None:
            return self._size
        open_ones = [one for one in self._archives.values() if not one.there]
        known = [one.size for one in open_ones if one.size is not None]
        unknown = len(open_ones) - len(known) + max(0, self._all - len(self._archives))
        if not known:
            return 0 if not unknown else None
        sized = [one.size for one in self._archives.values() if one.size] or [0]
        return sum(known) + unknown * (sum(sized) // len(sized))

    def seconds(self, now: float | None = None) -> float | None:
        """Seconds until all are there, at the speed of the last seconds; None if that cannot be told."""
        now, size = time.monotonic() if now is None else now, self.size
        if size is None or not self._arrived:
            return None
        passed = now - self._arrived[0][0]
        rate = sum(count for _, count in self._arrived) / passed if passed >= _LEAST else 0.0
        return max(0, size - self.done) / rate if rate else None

    def left(self, now: float | None = None) -> str:
        """The same for people: `1:02:03 left`."""
        seconds = self.seconds(now)
        if seconds is None:
            return ""
        minutes, rest = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{rest:02} left"


def _key(url: str) -> str:
    """Without its scheme."""
    return url[url.find("//") :] if "//" in url else url
