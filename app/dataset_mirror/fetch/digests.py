"""Digests of a growing file: hashed in a thread, in order, behind the prefix that is there."""

import asyncio
import hashlib
import zlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol

import google_crc32c

from dataset_mirror.rules.digests import Algorithm
from dataset_mirror.store.partial import PartialFile

STEP = 1024 * 1024
"""Least bytes that are worth a hop to the thread."""
_MOST = 16 * STEP


@dataclass(frozen=True, slots=True)
class Digests:
    """In hex by algorithm: `sha256` always, others where they were asked for."""

    known: Mapping[str, str]

    @property
    def sha256(self) -> str:
        return self.known["sha256"]

    @property
    def md5(self) -> str | None:
        return self.known.get("md5")


class Digesting:
    """Several digests of the same bytes."""

    def __init__(self, also: Iterable[Algorithm] = ()) -> None:
        self._sums = {name: _sum(name) for name in _with_sha256(also)}

    def update(self, data: bytes | memoryview) -> None:
        for each in self._sums.values():
            each.update(data)

    @property
    def digests(self) -> Digests:
        return Digests({name: each.hexdigest() for name, each in self._sums.items()})


class _Sum(Protocol):
    def update(self, data: bytes | memoryview, /) -> None: ...
    def hexdigest(self) -> str: ...


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes | memoryview) -> None:
        self._value = zlib.crc32(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


class _Crc32c(_Crc32):
    def update(self, data: bytes | memoryview) -> None:
        self._value = google_crc32c.extend(self._value, bytes(data))


_CHECKSUMS: dict[str, type[_Crc32]] = {"crc32": _Crc32, "crc32c": _Crc32c}


def _with_sha256(also: Iterable[Algorithm]) -> tuple[Algorithm, ...]:
    return ("sha256", *also)


def _sum(algorithm: Algorithm) -> _Sum:
    return _CHECKSUMS[algorithm]() if algorithm in _CHECKSUMS else hashlib.new(algorithm, usedforsecurity=False)


class Hasher:
    """Follows the prefix of a partial file."""

    def __init__(self, partial: PartialFile, executor: Executor, also: Iterable[Algorithm]) -> None:
        self._partial, self._executor = partial, executor
        self._digesting = Digesting(also)
        self._at = 0
        self._buffer = memoryview(bytearray(STEP))

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
            count = self._partial.read_into(self._buffer[: until - self._at], self._at)
            self._digesting.update(self._buffer[:count])
            self._at += count
