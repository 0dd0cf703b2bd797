"""How many fills run at once, and how many connections an origin gets. Who is over the limit waits in line.

A fill that brings next to nothing gives its place to whoever waits, and goes on beside: a few origins that drip must not hold up
all others.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import ExitStack, asynccontextmanager
from operator import itemgetter

from dataset_mirror.fetch.pace import Pace
from dataset_mirror.fetch.source import Source

MOST_EXTRA = 64
"""Connections of all fills together beyond the first of each."""
MOST_BESIDE = 64
"""Fills that go on beside, having given up their places."""
PATIENCE = 5.0
"""Seconds that a fill has its place before it counts as slow; its pace looks back as long."""
LOOK_SECONDS = 0.5
"""Between looks for slow fills, while others wait."""


class _Places:
    """So many places, and how many wait for one."""

    def __init__(self, count: int) -> None:
        self._free = asyncio.Semaphore(count)
        self.waiting = 0
        self.lent: list[asyncio.Task[object]] = []
        """Of connections to an origin: who has been lent one beyond its first."""

    @property
    def are_taken(self) -> bool:
        return self._free.locked()

    async def take(self, held: ExitStack) -> None:
        """A place, for as long as it is held."""
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        held.callback(self._free.release)


class Place:
    """What one fill has: a place among the fills, and a connection to its origin."""

    def __init__(self, origin: _Places, pace: Pace, held: ExitStack) -> None:
        self.origin = origin
        self.is_beside = False
        """Whether it was slow, and others have its place now."""
        self._pace, self._held, self._since = pace, held, time.monotonic()

    @property
    def rate(self) -> float:
        """Bytes per second of late; infinite as long as nobody can tell."""
        return self._pace.rate() if time.monotonic() - self._since >= PATIENCE else float("inf")

    def give_up(self) -> None:
        """Others may have it."""
        self.is_beside = True
        self._held.close()


class Limits:
    """The places for fills, and for connections to each origin."""

    def __init__(self, fills: int, slow: Callable[[], float] = lambda: 0) -> None:
        """`slow`: the bytes per second below which a fill gives its place to others that wait."""
        self._fills, self._slow = _Places(fills), slow
        self._origins: dict[tuple[str, int], _Places] = {}
        self._filling: list[Place] = []
        self._looking: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def one_fill(self, source: Source, pace: Pace) -> AsyncIterator[Place]:
        """A place among the fills, with one connection to the source: another fill's extra one ends if there is no other."""
        origin = self._of(source)
        if origin.are_taken and origin.lent:
            origin.lent.pop().cancel()
        with ExitStack() as held:
            # The origin's place first: those who wait for a busy origin must not take the places of others.
            for places in (origin, self._fills):
                if places.are_taken:
                    self._look_for_slow()
                await places.take(held)
            place = Place(origin, pace, held)
            self._filling.append(place)
            try:
                yield place
            finally:
                self._filling.remove(place)

    def may_lend(self, source: Source) -> bool:
        """Whether a fill may have one more connection to the source now."""
        return not self._of(source).are_taken and sum(len(places.lent) for places in self._origins.values()) < MOST_EXTRA

    @asynccontextmanager
    async def lent(self, source: Source) -> AsyncIterator[bool]:
        """One more connection for a fill that has one, or False: it never waits. This task is cancelled when a fill needs its first."""
        if not self.may_lend(source):
            yield False
            return
        places, task = self._of(source), asyncio.current_task()
        assert task is not None
        with ExitStack() as held:
            await places.take(held)
            places.lent.append(task)
            try:
                yield True
            finally:
                if task in places.lent:  # else it was called back
                    places.lent.remove(task)

    # Slow ones

    def _look_for_slow(self) -> None:
        """As long as anybody waits."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._make_way())

    async def _make_way(self) -> None:
        await asyncio.sleep(0)  # whoever began this waits by then
        while any(places.waiting for places in (self._fills, *self._origins.values())):
            for origin in self._origins.values():
                self._give_up(origin, (place for place in self._filling if place.origin is origin))
            self._give_up(self._fills, self._filling)
            await asyncio.sleep(LOOK_SECONDS)

    def _give_up(self, places: _Places, filling: Iterable[Place]) -> None:
        """The slowest of these fills make way for those who wait for such a place."""
        room = MOST_BESIDE - sum(place.is_beside for place in self._filling)
        slow = [(place.rate, place) for place in filling if not place.is_beside]
        slow = sorted((each for each in slow if each[0] < self._slow()), key=itemgetter(0))
        for _, place in slow[: min(places.waiting, room)]:
            place.give_up()

    def _of(self, source: Source) -> _Places:
        key = (source.authority, source.connections)
        if key not in self._origins:
            self._origins[key] = _Places(source.connections)
        return self._origins[key]
