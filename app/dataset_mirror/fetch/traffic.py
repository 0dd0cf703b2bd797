"""What went through this process, by origin. Labels are origins, never URLs: their number is bounded by the configuration."""

import time
from collections import Counter, deque
from dataclasses import dataclass

from dataset_mirror.fetch.cause import Cause, cause
from dataset_mirror.fetch.throttle import Throttle


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
    """Running totals, in requests and bytes."""

    def __init__(self) -> None:
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

    def answered(self, origin: str, outcome: str) -> None:
        """A request for an archive of `origin` was answered, or will be."""
        self.requests[origin, outcome] += 1
        self.hits += outcome == "hit"
        self.misses += outcome == "miss"

    def add(self, requests: Counter[tuple[str, str]], sent: Counter[str]) -> None:
        """What another process of this mirror answered and sent."""
        self.requests.update(requests)
        self.sent.update(sent)
        for (_, outcome), number in requests.items():
            self.hits += number * (outcome == "hit")
            self.misses += number * (outcome == "miss")
        self.served += sent.total()

    def send(self, origin: str, size: int) -> None:
        """So many bytes of bodies went to clients."""
        self.sent[origin] += size
        self.served += size

    def receive(self, origin: str, size: int) -> None:
        """So many bytes of bodies came from upstreams."""
        self.received[origin] += size
        self.fetched += size

    def change(self, url: str) -> None:
        """An archive has other bytes at its origin now, which are served from now on."""
        self.changed.append((time.time(), url))

    def ended(self, origin: str, result: str) -> None:
        """A fill or a check ended."""
        self.fills[origin, result] += 1
        self.causes[origin, cause()] += 1
