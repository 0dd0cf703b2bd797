"""Bytes that pass from a file to another, hashed on the way: in a thread beside the reading and writing, since hashing frees the GIL."""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, Self

from dataset_mirror.store.digests import Hashing

STEP = 1024 * 1024
"""Bytes per read: two buffers of it are all that is ever in memory."""


class Reads(Protocol):
    """Something that can be read in order."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fills the buffer as far as one read goes; 0 at the end."""


class HashingCopy:
    """Passes bytes, file after file; a context manager."""

    def __init__(self) -> None:
        self._buffers = [memoryview(bytearray(STEP)) for _ in range(2)]
        self._pool = ThreadPoolExecutor(1, "digest")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def copy(self, source: Reads, size: int, write: Callable[[memoryview], object], *, md5: bool = False) -> Hashing:
        """Reads `size` bytes, fewer if the source ends, and gives them to `write`; its errors come out. Blocks."""
        copied, hashed, left = Hashing(md5=md5), None, size
        while left and (read := source.readinto(self._buffers[0][: min(STEP, left)])):
            buffer, left = self._buffers[0], left - read
            if hashed:
                hashed.result()  # the other buffer is free after this
            hashed = self._pool.submit(copied.update, buffer[:read])
            self._buffers.reverse()
            try:
                write(buffer[:read])
            except BaseException:
                _wait(hashed)
                raise
        _wait(hashed)
        return copied


def _wait(hashed: "Future[None] | None") -> None:
    if hashed:
        hashed.result()


class Opened:
    """A descriptor, read in order. What the disk cannot read ends there, and is too short."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def readinto(self, buffer: memoryview) -> int:
        try:
            return os.readv(self._descriptor, [buffer])
        except OSError:
            return 0
