"""A connection that gives what has arrived in large parts: each part passes through all layers above, which costs more than its bytes.

Most of a body goes past them, into a file: see `body.py`.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpcore

from dataset_mirror.fetch.network import steps
from dataset_mirror.fetch.network.heads import check_head, count_in, is_awaited
from dataset_mirror.fetch.network.tls import Records

LARGEST = 1024 * 1024
"""Bytes that are taken from a connection at once, if they are there."""

Receive = Callable[[memoryview], int | None]
Write = Callable[[memoryview], object]


class Stream(httpcore.AsyncNetworkStream):
    """A TCP connection in the clear. Nobody but httpcore's timeouts ends a read: there is one reader and one writer at a time."""

    def __init__(self, connection: socket.socket, keep: Callable[[Stream], None] | None = None) -> None:
        """`keep`: takes it when it could serve once more, although httpcore closes it."""
        self._socket = connection
        self._loop = asyncio.get_running_loop()
        self._keep, self._may_serve_again = keep, False
        self._above: TlsStream | None = None
        self._flows = False
        """Whether the last step brought so much that the next one need not wait."""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What is there, at least a byte, however little was asked for; nothing at the end."""
        with _told_as(httpcore.ReadTimeout, httpcore.ReadError):
            check_head()
            async with asyncio.timeout(timeout):
                return count_in(await self._loop.sock_recv(self._socket, _most(max_bytes)))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        with _told_as(httpcore.WriteTimeout, httpcore.WriteError):
            async with asyncio.timeout(timeout):
                await self._loop.sock_sendall(self._socket, buffer)

    async def pour(self, write: Write, most: int, timeout: float | None) -> int:
        """Takes up to `most` bytes and writes them: at least a byte; 0 at the end. httpcore's errors, or those of `write`."""
        return await self.pour_through(partial(steps.received, self._socket), write, most, timeout)

    async def pour_through(self, receive: Receive, write: Write, most: int, timeout: float | None) -> int:
        """The same of what `receive` makes of it."""

        def step() -> int | None:
            into = steps.buffers()[0][:most]
            with _told_as(httpcore.ReadTimeout, httpcore.ReadError):
                size = receive(into)
            if size:
                write(into[:size])
            return size

        try:
            async with asyncio.timeout(timeout):
                while (size := await self._taken(step)) is None:
                    await steps.readable(self._socket)
        except TimeoutError as error:
            raise httpcore.ReadTimeout(str(error)) from error
        return size

    async def _taken(self, step: Callable[[], int | None]) -> int | None:
        large = self._flows or steps.waiting(self._socket) >= steps.WORTH_A_THREAD
        size = await steps.beside(step) if large else step()
        self._flows = size is not None and size >= steps.WORTH_A_THREAD
        return size

    @property
    def can_pour(self) -> bool:
        """Whether it pays: past httpcore means that httpcore will close it, and then somebody has to keep it."""
        return self._keep is not None

    def may_serve_again(self) -> None:
        """Notes that an answer was read to its end past httpcore."""
        self._may_serve_again = True

    @property
    def is_idle(self) -> bool:
        """Whether it is open, and nothing has come that nobody asked for."""
        return not steps.is_readable(self._socket) and (self._above is None or self._above.is_idle)

    async def aclose(self) -> None:
        if self._may_serve_again and self._keep is not None:
            self._may_serve_again = False
            self._keep(self)
        else:
            self.close()

    def close(self) -> None:
        self._socket.close()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        if self._above is None:
            self._above = await secured(self, ssl_context, server_hostname, timeout)
        return self._above  # one that serves once more: to the same host, with the same context

    def get_extra_info(self, info: str) -> Any:
        if info == "socket":
            return self._socket
        if info == "is_readable":
            return steps.is_readable(self._socket)
        names = {"client_addr": self._socket.getsockname, "server_addr": self._socket.getpeername}
        return names[info]() if info in names else None


class TlsStream(httpcore.AsyncNetworkStream):
    """TLS over any stream, also over another one of its kind (to a proxy)."""

    def __init__(self, below: httpcore.AsyncNetworkStream, records: Records) -> None:
        self._below, self._records = below, records

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """All that could be decrypted of what is there, at least a byte; nothing at the end, marked as one or not (HTTP frames bodies)."""
        with _told_as(httpcore.ReadTimeout, httpcore.ReadError):
            while True:
                plain = await self._records.plain()
                await self._flush(timeout)
                if plain is not None:
                    return plain
                self._records.arrived(await self._below.read(LARGEST, timeout))

    async def pour(self, write: Write, most: int, timeout: float | None) -> int:
        """As above."""
        assert isinstance(self._below, Stream)
        size = await self._below.pour_through(self._received, write, most, timeout)
        await self._flush(timeout)
        return size

    def _received(self, into: memoryview) -> int | None:
        """How many bytes were decrypted of what is there or on its way; 0 at the end, None if none are there."""
        connection, size = self._below.get_extra_info("socket"), 0
        while size < len(into):
            count = self._records.plain_into(into[size:])
            if count is not None:
                size += count
            if count == 0:
                break
            if size < len(into):
                coming = steps.buffers()[1]
                try:
                    came = steps.received(connection, coming, size)
                except OSError:
                    if not size:
                        raise
                    came = None
                if came is None:
                    return size or None
                self._records.arrived(coming[:came])
        return size

    @property
    def can_pour(self) -> bool:
        return isinstance(self._below, Stream) and self._below.can_pour

    def may_serve_again(self) -> None:
        assert isinstance(self._below, Stream)
        self._below.may_serve_again()

    @property
    def is_idle(self) -> bool:
        return self._records.is_empty

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        with _told_as(httpcore.WriteTimeout, httpcore.WriteError):
            if buffer:
                self._records.send(buffer)
            await self._flush(timeout)

    async def handshake(self, timeout: float | None = None) -> None:
        """ssl.SSLError if the other side is not who it should be."""
        while not self._records.shaken():
            await self._flush(timeout)
            self._records.arrived(await self._below.read(LARGEST, timeout))
        await self._flush(timeout)

    async def _flush(self, timeout: float | None) -> None:
        if waiting := self._records.to_send():
            await self._below.write(waiting, timeout)

    async def aclose(self) -> None:
        await self._below.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        return await secured(self, ssl_context, server_hostname, timeout)

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object":
            return self._records.ssl_object
        return self._below.get_extra_info(info)


async def secured(
    below: httpcore.AsyncNetworkStream, context: ssl.SSLContext, server_hostname: str | None, timeout: float | None
) -> TlsStream:
    """TLS over `below`, its handshake done within `timeout` seconds; else `below` is closed."""
    stream = TlsStream(below, Records(context, server_hostname))
    try:
        with _told_as(httpcore.ConnectTimeout, httpcore.ConnectError):
            async with asyncio.timeout(timeout):
                await stream.handshake()
    except BaseException:
        await stream.aclose()
        raise
    return stream


@contextmanager
def _told_as(timed_out: type[httpcore.TimeoutException], broken: type[httpcore.NetworkError]) -> Iterator[None]:
    """What goes wrong in the words of httpcore."""
    try:
        yield
    except (TimeoutError, httpcore.TimeoutException) as error:
        raise timed_out(str(error)) from error
    except (OSError, httpcore.NetworkError) as error:  # ssl.SSLError is an OSError
        raise broken(str(error)) from error


def _most(asked: int) -> int:
    """As much as is there, however little was asked for; but a head alone, if one is awaited."""
    return asked if is_awaited() else LARGEST
