"""Who asked for what lately, in memory and bounded: behind `log`, `clients`, `top` and the latencies of /metrics."""

from bisect import bisect_left
from collections import OrderedDict, deque
from dataclasses import dataclass, field

MOST_REQUESTS, MOST_CLIENTS = 10_000, 1_000
"""How many are remembered; what is older, or was longest silent, goes first."""
BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds, in seconds, of the histogram of first bytes."""


@dataclass(slots=True)  # frozen ones take five times as long to make
class Asked:
    """One request that was answered; nobody changes it. Times in seconds, `at` since the epoch; `size` in bytes of the body."""

    at: float
    id: str
    client: str
    method: str
    target: str
    status: int
    outcome: str
    """`hit`, `miss`, `head`, `page`, or the problem that was answered."""
    archive: str = ""
    size: int = 0
    first_byte: float = 0.0
    seconds: float = 0.0
    why: str = ""
    """Why it was no hit."""
    is_whole: bool = True
    """Whether all of the answer left."""


@dataclass(slots=True)
class Client:
    """What one address asked for since the start."""

    address: str
    requests: int = 0
    hits: int = 0
    misses: int = 0
    size: int = 0
    """Bytes of bodies."""
    last: float = 0.0


@dataclass(slots=True)
class Histogram:
    """How many took how long; the last count is of what took longer than all bounds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    total: float = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds

    def merge(self, other: "Histogram") -> None:
        """Adds what another one has."""
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        self.total += other.total


class Recent:
    """The latest requests, and totals by client."""

    def __init__(self) -> None:
        self.requests: deque[Asked] = deque(maxlen=MOST_REQUESTS)
        self.clients: OrderedDict[str, Client] = OrderedDict()
        """The one that was heard of last comes last."""
        self.first_bytes = {"hit": Histogram(), "miss": Histogram()}

    def note(self, asked: Asked) -> None:
        """A request was answered."""
        self.requests.append(asked)
        if asked.outcome in self.first_bytes and asked.method == "GET":
            self.first_bytes[asked.outcome].add(asked.first_byte)
        if asked.archive:
            self.count(asked.client, asked.outcome, asked.size, asked.at)

    def count(self, address: str, outcome: str, size: int, at: float) -> None:
        """A client was answered, so many bytes; of small archives in memory nothing but this is noted."""
        client = self._client(address)
        client.requests += 1
        client.hits += outcome == "hit"
        client.misses += outcome == "miss"
        client.size += size
        client.last = at

    def add(self, other: "Recent") -> None:
        """Adds what another process noted since it last told; the latest request stays the last."""
        if other.requests:
            first, later = _ended(other.requests[0]), list(other.requests)
            while self.requests and _ended(self.requests[-1]) > first:
                later.append(self.requests.pop())
            self.requests += sorted(later, key=_ended)
        for outcome, found in other.first_bytes.items():
            self.first_bytes[outcome].merge(found)
        for more in other.clients.values():
            client = self._client(more.address)
            client.requests += more.requests
            client.hits += more.hits
            client.misses += more.misses
            client.size += more.size
            client.last = max(client.last, more.last)

    def _client(self, address: str) -> Client:
        """What is known of an address, which is heard of just now."""
        client = self.clients.get(address)
        if client is None:
            client = self.clients[address] = Client(address)
            if len(self.clients) > MOST_CLIENTS:
                self.clients.popitem(last=False)
        else:
            self.clients.move_to_end(address)
        return client


def _ended(asked: Asked) -> float:
    return asked.at + asked.seconds
