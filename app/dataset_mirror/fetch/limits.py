"""How many fills run at once, and how many connections an origin gets. Who is over the limit waits in line."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dataset_mirror.fetch.source import Source

MOST_EXTRA = 64
"""Connections of all fills together beyond the first of each."""


class _Places:
    """The connections to one origin, and who has been lent one beyond its first."""

    def __init__(self, count: int) -> None:
        self.free = asyncio.Semaphore(count)
        self.lent: list[asyncio.Task[object]] = []


class Limits:
    """The places for fills, and for connections to each origin."""

    def __init__(self, fills: int) -> None:
        self._fills = asyncio.Semaphore(fills)
        self._places: dict[tuple[str, int], _Places] = {}

    @asynccontextmanager
    async def one_fill(self, source: Source) -> AsyncIterator[None]:
        """A place among the fills, with one connection to the source: another fill's extra one ends if there is no other."""
        places = self._of(source)
        if places.free.locked() and places.lent:
            places.lent.pop().cancel()
        # The origin's place first: those who wait for a busy origin must not take the places of others.
        async with places.free, self._fills:
            yield

    def may_lend(self, source: Source) -> bool:
        """Whether a fill may have one more connection to the source now."""
        return not self._of(source).free.locked() and sum(len(places.lent) for places in self._places.values()) < MOST_EXTRA

    @asynccontextmanager
    async def lent(self, source: Source) -> AsyncIterator[bool]:
        """One more connection for a fill that has one, or False: it never waits. This task is cancelled when a fill needs its first."""
        if not self.may_lend(source):
            yield False
            return
        places, task = self._of(source), asyncio.current_task()
        assert task is not None
        async with places.free:
            places.lent.append(task)
            try:
                yield True
            finally:
                if task in places.lent:  # else it was called back
                    places.lent.remove(task)

    def _of(self, source: Source) -> _Places:
        key = (source.authority, source.connections)
        if key not in self._places:
            self._places[key] = _Places(source.connections)
        return self._places[key]
