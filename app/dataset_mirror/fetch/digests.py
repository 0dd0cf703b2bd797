"""Digests of a growing file: hashed in a thread, in order, behind the prefix that is there."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Executor

from dataset_mirror.rules.digests import Algorithm
from dataset_mirror.store.digests import Digesting, Digests
from dataset_mirror.store.partial import PartialFile

STEP = 1024 * 1024
"""Least bytes that are worth a hop to the thread."""
_MOST = 16 * STEP


class Hasher:
    """Follows the prefix of a partial file."""

    def __init__(self, partial: PartialFile, executor: Executor, also: Iterable[Algorithm]) -> None:
        self._partial, self._executor = partial, executor
        self._digesting = Digesting(also)
        self._at = 0

    async def follow(self, grown: Callable[[], Awaitable[object]], ended: Callable[[], bool]) -> Digests:
        """Hashes until `ended()`; waits for `grown()` while less than a step is there."""
        loop = asyncio.get_running_loop()
        while True:
            last = ended()  # asked before the prefix, so that nothing can arrive in between
            ready = self._partial.prefix
            if ready - self._at >= STEP or (last and ready > self._at):
                await loop.run_in_executor(self._executor, self._hash, min(ready, self._at + _MOST))
            elif last:
                return self._digesting.digests
            else:
                await grown()

    def _hash(self, until: int) -> None:
        while self._at < until:
            data = self._partial.read(self._at, min(STEP, until - self._at))
            self._digesting.update(data)
            self._at += len(data)
