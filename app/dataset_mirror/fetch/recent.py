"""Who asks for what, and asked lately, in memory and bounded: behind `log`, `clients`, `top` and the latencies of /metrics."""

from bisect import bisect_left
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Protocol

from dataset_mirror.rules.anonymous import Anonymising, anonymised
from dataset_mirror.store.history import Counts

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
    counted: int = 0
    """Bytes of it that were told of while it was under way."""


class UnderWay(Protocol):
    """An answer with an archive's bytes that is under way. Times in seconds since the epoch, rates in bytes per second."""

    @property
    def id(self) -> str: ...

    @property
    def client(self) -> str: ...

    @property
    def archive(self) -> str: ...

    @property
    def outcome(self) -> str: ...

    @property
    def total(self) -> int | None: ...

    @property
    def sent(self) -> int:
        """Bytes of its body that the client's connection took."""

    @property
    def rate(self) -> float: ...

    @property
    def since(self) -> float: ...

    def news(self) -> int:
        """Bytes that are not counted yet, and are from now on."""


@dataclass(frozen=True, slots=True, eq=False)
class Elsewhere:
    """An answer that another process of this mirror gives, as it was when it last told of it. That one counts its bytes."""

    id: str
    client: str
    archive: str
    outcome: str
    total: int | None
    sent: int
    rate: float
    since: float

    @classmethod
    def of(cls, one: UnderWay) -> "Elsewhere":
        return cls(one.id, one.client, one.archive, one.outcome, one.total, one.sent, one.rate, one.since)

    def news(self) -> int:
        return 0


@dataclass(slots=True)
class Client:
    """What one address asked for since the start."""

    address: str
    requests: int = 0
    hits: int = 0
    misses: int = 0
    failures: int = 0
    size: int = 0
    """Bytes of bodies."""
    fetched: int = 0
    """Those of them that had to be fetched for it."""
    last: float = 0.0
    told: Counts = field(default_factory=Counts)
    """What of it is in the history."""

    def add(self, more: "Client") -> None:
        """What another process was asked by the same address."""
        self.requests += more.requests
        self.hits += more.hits
        self.misses += more.misses
        self.failures += more.failures
        self.size += more.size
        self.fetched += more.fetched
        self.last = max(self.last, more.last)

    def send(self, outcome: str, size: int) -> None:
        """It was sent so many bytes."""
        self.size += size
        if outcome == "miss":
            self.fetched += size

    def news(self) -> Counts:
        """What it asked for since this was called last."""
        now = Counts(served=self.size, fetched=self.fetched, hits=self.hits, misses=self.misses, failures=self.failures)
        fresh = now.without(self.told)
        self.told = now
        return fresh


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
        self.under_way: set[UnderWay] = set()
        self._gone: dict[str, Counts] = {}
        """What those asked for of whom there were too many to be remembered."""

    def note(self, asked: Asked) -> None:
        """A request was answered."""
        self.requests.append(asked)
        if asked.outcome in self.first_bytes and asked.method == "GET":
            self.first_bytes[asked.outcome].add(asked.first_byte)
        if asked.archive:
            self.count(asked.client, asked.outcome, asked.size - asked.counted, asked.at)

    def count(self, address: str, outcome: str, size: int, at: float) -> None:
        """A client was answered, so many bytes; of small archives in memory nothing but this is noted."""
        client = self._client(address)
        client.requests += 1
        if outcome == "hit":
            client.hits += 1
        elif outcome == "miss":
            client.misses += 1
        elif outcome != "head":
            client.failures += 1
        client.send(outcome, size)
        client.last = at

    def news(self, how: Anonymising) -> dict[str, Counts]:
        """What each network of clients asked for since this was called last, answers under way included."""
        for answer in self.under_way:
            self._client(answer.client).send(answer.outcome, answer.news())
        found: dict[str, Counts] = {}
        gone, self._gone = self._gone, {}
        for address, counts in (*gone.items(), *((one.address, one.news()) for one in self.clients.values())):
            if counts:
                found.setdefault(anonymised(address, "all" if how == "all" else "network"), Counts()).add(counts)
        return found

    def take(self) -> "Recent":
        """What was noted, answers under way included; it is somebody else's to tell, and here counting starts again."""
        for answer in self.under_way:
            self._client(answer.client).send(answer.outcome, answer.news())
        taken = Recent()
        for name in ("requests", "clients", "first_bytes", "_gone"):
            mine, fresh = getattr(self, name), getattr(taken, name)
            setattr(taken, name, mine)
            setattr(self, name, fresh)
        return taken

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
            self._client(more.address).add(more)
        for address, counts in other._gone.items():
            self._gone.setdefault(address, Counts()).add(counts)

    def _client(self, address: str) -> Client:
        """What is known of an address, which is heard of just now."""
        client = self.clients.get(address)
        if client is None:
            client = self.clients[address] = Client(address)
            if len(self.clients) > MOST_CLIENTS:
                longest_silent, lost = self.clients.popitem(last=False)
                self._gone.setdefault(longest_silent, Counts()).add(lost.news())
        else:
            self.clients.move_to_end(address)
        return client


def _ended(asked: Asked) -> float:
    return asked.at + asked.seconds
