"""Digests of a growing file: hashed in a thread, in order, behind the prefix that is there."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor

from dataset_mirror.store.digests import Digests, Hashing
from dataset_mirror.store.partial import PartialFile

STEP = 1024 * 1024
"""Least bytes that are worth a hop to the thread."""
_MOST = 16 * STEP


class Hasher:
    """Follows the prefix of a partial file."""

    def __init__(self, partial: PartialFile, executor: Executor, *, md5: bool) -> None:
        self._partial, self._executor = partial, executor
        self._hashing = Hashing(md5=md5)

    async def follow(self, grown: Callable[[], Awaitable[object]], ended: Callable[[], bool]) -> Digests:
        """Hashes until `ended()`; waits for `grown()` while less than a step is there."""
        loop = asyncio.get_running_loop()
        while True:
            last = ended()  # asked before the prefix, so that nothing can arrive in between
            ready = self._partial.prefix
            if ready - self._hashing.size >= STEP or (last and ready > self._hashing.size):
                await loop.run_in_executor(self._executor, self._hash, min(ready, self._hashing.size + _MOST))
            elif last:
                return self._hashing.digests
            else:
                await grown()

    def _hash(self, until: int) -> None:
        while self._hashing.size < until:
            self._hashing.update(self._partial.read(self._hashing.size, min(STEP, until - self._hashing.size)))
