"""Digests of a growing file: hashed in a thread, in order, behind the prefix that is there."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from dataset_mirror.store.partial import PartialFile

STEP = 1024 * 1024
"""Least bytes that are worth a hop to the thread."""
_MOST = 16 * STEP


@dataclass(frozen=True, slots=True)
class Digests:
    """In hex; `md5` only where it was asked for."""

    sha256: str
    md5: str | None = None


class Hasher:
    """Follows the prefix of a partial file."""

    def __init__(self, partial: PartialFile, executor: Executor, *, md5: bool) -> None:
        self._partial, self._executor = partial, executor
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False) if md5 else None
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
                return Digests(self._sha256.hexdigest(), self._md5.hexdigest() if self._md5 else None)
            else:
                await grown()

    def _hash(self, until: int) -> None:
        while self._at < until:
            data = self._partial.read(self._at, min(STEP, until - self._at))
            self._sha256.update(data)
            if self._md5:
                self._md5.update(data)
            self._at += len(data)
