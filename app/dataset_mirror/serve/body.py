"""Bodies: finished blobs, and files that still grow. Where the server offers it the kernel sends them, else Python does."""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from aiofiles.threadpool import wrap

from dataset_mirror.fetch.edition import Edition
from dataset_mirror.fetch.fill import Fill
from dataset_mirror.serve.asgi import ZERO_COPY, Send
from dataset_mirror.serve.page_cache import STEP, is_in_memory

CHUNK = 256 * 1024
TURN = 4 * 1024 * 1024
"""Bytes that Python sends of all bodies together before everything else has a turn."""


class Body:
    """Sends bytes of a file as an ASGI body, and counts them."""

    under_way = 0
    """Those that Python sends."""

    def __init__(self, send: Send, count: Callable[[int], None], *, zero_copy: bool) -> None:
        self._send, self._count, self._zero_copy = send, count, zero_copy
        self._in_turn = 0

    async def finished(self, file: BinaryIO, start: int, end: int) -> None:
        """Bytes [start, end) of a file that does not change any more."""
        if self._zero_copy:
            await self._by_kernel(file, start, end)
        else:
            await self._by_reading(file, start, end)
        await self._end()

    async def growing(self, fill: Fill, edition: Edition, file: BinaryIO, start: int, end: int | None, *, hold: bool) -> None:
        """Bytes [start, end) as they arrive; `end` None means to wherever the archive ends. What just arrived is in memory."""
        by_kernel = self._zero_copy and end is not None  # an unknown length goes in chunks
        while (limit := await fill.readable(edition, start, end, hold=hold)) > start:
            await (self._by_kernel if by_kernel else self._inline)(file, start, limit)
            start = limit
        await self._end()

    async def part(self, file: BinaryIO, start: int, end: int) -> None:
        """Bytes [start, end) of a file, which are not the last of the body; nothing else reads from `file`."""
        await (self._by_kernel if self._zero_copy else self._by_reading)(file, start, end)

    async def _by_kernel(self, file: BinaryIO, start: int, end: int) -> None:
        for at in range(start, end, STEP):
            count = min(STEP, end - at)
            await self._send({"type": ZERO_COPY, "file": file, "offset": at, "count": count, "more_body": True})
            self._count(count)

    async def _by_reading(self, file: BinaryIO, start: int, end: int) -> None:
        """What is in memory is read at once, since a thread would cost more than the reading; the file has no other reader."""
        reader = wrap(file)
        with _counted():
            while start < end:
                stop = min(start + CHUNK, end)
                if is_in_memory(file.fileno(), start, stop):
                    data = os.pread(file.fileno(), stop - start, start)
                else:
                    await reader.seek(start)
                    data = await reader.read(stop - start)
                start += await self._write(data)

    async def _inline(self, file: BinaryIO, start: int, end: int) -> None:
        with _counted():
            while start < end:
                start += await self._write(os.pread(file.fileno(), min(CHUNK, end - start), start))

    async def _write(self, data: bytes) -> int:
        if not data:
            raise OSError("the file ends too early")
        await self._send({"type": "http.response.body", "body": data, "more_body": True})
        self._count(len(data))
        self._in_turn += len(data)
        if self._in_turn >= TURN // Body.under_way:  # a client that takes it at once would have all of it before others have any
            self._in_turn = 0
            await asyncio.sleep(0)
        return len(data)

    async def _end(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


@contextmanager
def _counted() -> Iterator[None]:
    Body.under_way += 1
    try:
        yield
    finally:
        Body.under_way -= 1
