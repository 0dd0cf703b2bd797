"""Connections that could serve once more, though httpcore has closed them: it did not see the end of a body that went past it.

They are kept beneath it, and given instead of new ones to the same place: host and port, as httpcore's own pool has it, so that
the name was checked and the certificate is that of the name.
"""

import time
from collections import deque

from dataset_mirror.fetch.network.stream import Stream

MOST, SECONDS = 64, 30.0
"""Connections that are kept, and for how long."""

Place = tuple[str, int]


class Spare:
    """Idle connections, of which the latest are given first."""

    def __init__(self) -> None:
        self._kept: deque[tuple[Place, float, Stream]] = deque()

    def keep(self, place: Place, stream: Stream) -> None:
        """Keeps a connection that has read all it asked for; others are closed that are too old, or too many."""
        self._kept.append((place, time.monotonic() + SECONDS, stream))
        while len(self._kept) > MOST or self._kept[0][1] < time.monotonic():
            self._kept.popleft()[2].close()

    def take(self, place: Place) -> Stream | None:
        """One to that place which is open still."""
        for kept in reversed([kept for kept in self._kept if kept[0] == place]):
            self._kept.remove(kept)
            if kept[1] >= time.monotonic() and kept[2].is_idle:
                return kept[2]
            kept[2].close()
        return None

    def close(self) -> None:
        while self._kept:
            self._kept.pop()[2].close()
