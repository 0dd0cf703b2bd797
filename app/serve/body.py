"""Bodies: finished blobs, and files that still grow."""

import os
from collections.abc import Callable
from typing import BinaryIO

from aiofiles.threadpool import wrap

from app.fetch.edition import Edition
from app.fetch.fill import Fill
from app.serve.asgi import Send

CHUNK = 256 * 1024


class Body:
    """Sends bytes of a file as an ASGI body, and counts them."""

    def __init__(self, send: Send, count: Callable[[int], None]) -> None:
        self._send, self._count = send, count

    async def finished(self, file: BinaryIO, start: int, end: int) -> None:
        """Bytes [start, end) of a file that does not change any more; it is read in a thread, for it may not be in memory."""
        reader = wrap(file)
        await reader.seek(start)
        while start < end:
            data = await reader.read(min(CHUNK, end - start))
            if not data:
                raise OSError(f"the file ends {end - start} bytes too early")
            start += len(data)
            await self._write(data)
        await self._end()

    async def growing(self, fill: Fill, edition: Edition, file: BinaryIO, start: int, end: int | None, *, hold: bool) -> None:
        """Bytes [start, end) as they arrive; `end` None means to wherever the archive ends. What just arrived is in memory."""
        while (limit := await fill.readable(edition, start, end, hold=hold)) > start:
            while start < limit:
                data = os.pread(file.fileno(), min(CHUNK, limit - start), start)
                start += len(data)
                await self._write(data)
        await self._end()

    async def _write(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})
        self._count(len(data))

    async def _end(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})
