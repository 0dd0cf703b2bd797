"""How fast a download is, as of the last few seconds."""

import time
from collections import deque

WINDOW = 5.0
"""Seconds that are looked back."""
_STEP = 0.25


class Pace:
    """Bytes that arrived lately."""

    def __init__(self) -> None:
        self._arrived: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])
        """The first is where the window begins; its bytes came before."""

    def arrived(self, size: int) -> None:
        """So many bytes came just now."""
        now = time.monotonic()
        at, before = self._arrived[-1]
        if len(self._arrived) > 1 and now - at < _STEP:
            self._arrived[-1] = (at, before + size)
            return
        self._arrived.append((now, size))
        self._forget(now)

    def rate(self, more: int = 0) -> float:
        """Bytes per second; `more` arrived that are not counted yet."""
        now = time.monotonic()
        self._forget(now)
        seconds = now - self._arrived[0][0]
        return (more + sum(size for _, size in self._arrived) - self._arrived[0][1]) / max(seconds, _STEP)

    def _forget(self, now: float) -> None:
        while len(self._arrived) > 1 and now - self._arrived[0][0] > WINDOW:
            self._arrived.popleft()
