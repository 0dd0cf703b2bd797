"""A connection that gives what has arrived in large parts: each part passes through all layers above, which costs more than its bytes."""

import asyncio
import select
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpcore

from dataset_mirror.fetch.network.heads import check_head, count_in
from dataset_mirror.fetch.network.tls import Records

LARGEST = 1024 * 1024
"""Bytes that are taken from a connection at once, if they are there."""


class Stream(httpcore.AsyncNetworkStream):
    """A TCP connection in the clear. Nobody but httpcore's timeouts ends a read: there is one reader and one writer at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._loop = asyncio.get_running_loop()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What is there, at least a byte, however little was asked for; nothing at the end."""
        with _told_as(httpcore.ReadTimeout, httpcore.ReadError):
            check_head()
            async with asyncio.timeout(timeout):
                return count_in(await self._loop.sock_recv(self._socket, LARGEST))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        with _told_as(httpcore.WriteTimeout, httpcore.WriteError):
            async with asyncio.timeout(timeout):
                await self._loop.sock_sendall(self._socket, buffer)

    async def aclose(self) -> None:
        self._socket.close()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        return await secured(self, ssl_context, server_hostname, timeout)

    def get_extra_info(self, info: str) -> Any:
        if info == "socket":
            return self._socket
        if info == "is_readable":
            return _is_readable(self._socket)
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


def _is_readable(connection: socket.socket) -> bool:
    """Whether a read would not wait: for a connection that is idle this means that the other side has closed it."""
    if connection.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))
