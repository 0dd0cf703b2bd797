"""What went through this process, by origin. Labels are origins, never URLs: their number is bounded by the configuration."""

import time
from collections import Counter, deque
from dataclasses import dataclass

from dataset_mirror.fetch.cause import Cause, cause
from dataset_mirror.fetch.throttle import Throttle
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.store.usage import Usage


@dataclass(slots=True)
class Passages:
    """What went past the archives, in numbers."""

    tunnels: int = 0
    """Tunnels that are open."""
    tunnelled: int = 0
    """Tunnels since the start."""
    refused: int = 0
    """CONNECT requests that were refused."""
    relayed: int = 0
    """Requests for other paths of the origins' hosts."""


class Traffic:
    """Running totals, in requests and bytes; by archive they are for `usage`, which writes them down."""

    def __init__(self, usage: Usage) -> None:
        self.usage = usage
        self.passages = Passages()
        self.hits = 0
        self.misses = 0
        self.served = 0
        self.fetched = 0
        self.requests: Counter[tuple[str, str]] = Counter()
        """By origin (empty if none was named) and outcome: `hit`, `miss`, or the problem that was answered."""
        self.sent: Counter[str] = Counter()
        self.received: Counter[str] = Counter()
        self.fills: Counter[tuple[str, str]] = Counter()
        """By origin and result: `stored`, `confirmed`, or the problem that it failed with."""
        self.causes: Counter[tuple[str, Cause]] = Counter()
        """Downloads that ended, by origin and by why they were begun."""
        self.throttle = Throttle()
        self.notifications: Counter[str] = Counter()
        """By whether they were `sent` or `failed`."""
        self.changed: deque[tuple[float, str]] = deque(maxlen=100)
        """Archives whose bytes changed at their origins, the latest last: when (seconds since the epoch), and their URLs."""

    def answered(self, archive: ArchiveId | None, outcome: str) -> None:
        """A request for an archive, if it is known which, was answered, or will be."""
        self.requests[archive.authority if archive else "", outcome] += 1
        if outcome == "hit":
            self.hits += 1
        elif outcome == "miss":
            self.misses += 1
        elif outcome == "head":
            return
        if archive:
            asked = self.usage.of(archive)
            asked.hits += outcome == "hit"
            asked.misses += outcome == "miss"
            asked.failures += outcome not in ("hit", "miss")

    def send(self, archive: ArchiveId, size: int) -> None:
        """So many bytes of a body went to a client."""
        self.sent[archive.authority] += size
        self.served += size
        self.usage.of(archive).served += size

    def send_from_memory(self, archive: ArchiveId, size: int) -> None:
        """A hit, and its whole body at once: all that is counted of it."""
        origin = archive.authority
        self.requests[origin, "hit"] += 1
        self.sent[origin] += size
        self.hits += 1
        self.served += size
        asked = self.usage.note(archive)
        asked.hits += 1
        asked.served += size

    def receive(self, archive: ArchiveId, size: int) -> None:
        """So many bytes of a body came from an upstream."""
        self.received[archive.authority] += size
        self.fetched += size
        self.usage.of(archive).fetched += size

    def change(self, url: str) -> None:
        """An archive has other bytes at its origin now, which are served from now on."""
        self.changed.append((time.time(), url))

    def ended(self, archive: ArchiveId, result: str, seconds: float = 0.0) -> None:
        """A fill or a check ended; `seconds` is what its bytes took."""
        self.fills[archive.authority, result] += 1
        self.causes[archive.authority, cause()] += 1
        self.usage.of(archive).seconds += seconds
