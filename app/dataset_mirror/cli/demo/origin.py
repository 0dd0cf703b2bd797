"""The throwaway origin of `demo`: generated archives, sent slowly on purpose; it counts what it is asked for."""

import asyncio
import hashlib
import io
import os
import zipfile
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

RATE = 8_000_000
"""Bytes per second of each connection."""
LATENCY = 0.1
"""Seconds before an answer begins, as if the origin were far away."""
_SLICE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Sample:
    """A generated archive: what the catalog expects (`sha256`), and what the origin `sends`."""

    name: str
    sha256: str
    sends: bytes

    @property
    def sent_sha256(self) -> str:
        return hashlib.sha256(self.sends).hexdigest()


def generated(name: str, size: int, *, damaged: bool = False) -> Sample:
    """A zip archive with `size` random bytes in it. If `damaged`, the origin sends one byte of them wrong."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("samples.bin", os.urandom(size))
    right = file.getvalue()
    sends = bytearray(right)
    if damaged:
        sends[size // 2] ^= 0xFF
    return Sample(name, hashlib.sha256(right).hexdigest(), bytes(sends))


class SlowOrigin:
    """An HTTP/1.1 server on a free loopback port, while its context lasts."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self.requests: Counter[str] = Counter()
        """By name: GETs that came."""
        self.sent: Counter[str] = Counter()
        """By name: bytes of bodies that left."""
        self._samples = {sample.name: sample for sample in samples}
        self._answering: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Goes away, as an origin does: its port is closed, its answers break off. May be called twice."""
        self._server.close()
        for task in self._answering:
            task.cancel()
        if self._answering:
            await asyncio.wait(self._answering)
        await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._answering.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._answer(await reader.readuntil(b"\r\n\r\n"), writer)
        finally:
            self._answering.discard(task)
            writer.close()

    async def _answer(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        """One answer per connection: enough for a demo."""
        method, target = head.decode("latin-1").split()[:2]
        sample = self._samples.get(target.removeprefix("/"))
        if method != "GET" or sample is None:
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return await writer.drain()
        self.requests[sample.name] += 1
        await asyncio.sleep(LATENCY)
        fields = f'Content-Type: application/zip\r\nContent-Length: {len(sample.sends)}\r\nETag: "{sample.name}-1"\r\nConnection: close'
        writer.write(f"HTTP/1.1 200 OK\r\n{fields}\r\n\r\n".encode())
        await self._send_slowly(sample, writer)

    async def _send_slowly(self, sample: Sample, writer: asyncio.StreamWriter) -> None:
        """What a late turn of the loop missed is made up for, so that the rate is kept on a busy machine."""
        loop, sent = asyncio.get_running_loop(), 0
        began = loop.time()
        while sent < len(sample.sends):
            due = min(len(sample.sends), sent + _SLICE, int((loop.time() - began) * RATE))
            writer.write(sample.sends[sent:due])
            self.sent[sample.name] += due - sent
            sent = due
            await writer.drain()
            await asyncio.sleep(max(0.0, (sent + _SLICE) / RATE - (loop.time() - began)))
