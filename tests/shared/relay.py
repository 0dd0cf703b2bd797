"""A TCP relay between two servers, which fails on command."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import Literal, Self

from tests.ports import free_port

Mode = Literal["pass", "refuse", "silent", "503", "slow"]
_BUSY = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
SLOW = 200_000
"""Bytes per second of each connection in the mode `slow`."""


class Relay:
    """Leads from a port of its own to `port`. A change of mode concerns the connections that are open, too."""

    def __init__(self, port: int = 0) -> None:
        self.target = port
        self.port = free_port()
        self.mode: Mode = "pass"
        self.accepted = 0
        """Connections that came."""
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def become(self, mode: Mode) -> None:
        """From now on; what is open is cut if it may not be there any more."""
        self.mode = mode
        if mode in ("refuse", "503"):
            self._loop.call_soon_threadsafe(self._cut)

    def _cut(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._came, "127.0.0.1", self.port))
        self._loop.call_soon(self._ready.set)
        self._loop.run_forever()
        server.close()
        for task in self._tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))

    async def _came(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.accepted += 1
        self._tasks.add(task)
        self._open.add(writer)
        try:
            if self.mode == "503":
                await reader.read(65536)
                writer.write(_BUSY)
                await writer.drain()
            elif self.mode != "refuse":
                await self._between(reader, writer)
        except OSError:
            pass
        finally:
            self._open.discard(writer)
            self._tasks.discard(task)
            writer.close()

    async def _between(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.target)
        self._open.add(back)
        try:
            ways = [asyncio.ensure_future(self._copy(reader, back)), asyncio.ensure_future(self._copy(there, writer))]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
        finally:
            self._open.discard(back)
            back.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                while self.mode == "silent":  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
                if self.mode == "slow":
                    await asyncio.sleep(len(data) / SLOW)
                writer.write(data)
                await writer.drain()
