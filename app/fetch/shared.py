"""What all fills share: the way out, the store, limits, threads, and what was counted."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from app.fetch.upstream import Upstream
from app.origins.model import Origin
from app.store.store import Store


@dataclass(slots=True)
class Traffic:
    """Running totals of this process, in bytes and requests."""

    hits: int = 0
    misses: int = 0
    served: int = 0
    fetched: int = 0


class Limits:
    """How many fills run at once, and how many connections an origin gets. Who is over the limit waits in line."""

    def __init__(self, fills: int) -> None:
        self._fills = asyncio.Semaphore(fills)
        self._connections: dict[tuple[str, int], asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(1))

    @asynccontextmanager
    async def one_fill(self, origin: Origin) -> AsyncIterator[None]:
        """A place among the fills, with one connection to the origin."""
        key = (origin.authority, origin.connections)
        if key not in self._connections:
            self._connections[key] = asyncio.Semaphore(origin.connections)
        # The origin's place first: those who wait for a busy origin must not take the places of others.
        async with self._connections[key], self._fills:
            yield


@dataclass(frozen=True, slots=True)
class Shared:
    """Handed to every fill."""

    store: Store
    upstream: Upstream
    limits: Limits
    executor: ThreadPoolExecutor
    traffic: Traffic = field(default_factory=Traffic)
