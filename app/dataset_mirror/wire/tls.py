"""Connections in TLS that the mirror answers: started on a plain connection, by `CONNECT` or on a port of their own.

A reset beneath TLS looks like a clean end to Python 3.10, 3.11 and 3.12 (cpython#115627). So a body that does not reach its end
is ended by a fatal alert, written in plain bytes beneath TLS: every client takes it for a broken record.
"""

import asyncio
import contextlib
import logging
import os
import socket
import ssl
from asyncio import sslproto
from typing import Any
from weakref import WeakSet

from dataset_mirror.serve.asgi import EXTENSION
from dataset_mirror.wire.protocol import MirrorProtocol
from dataset_mirror.wire.sockets import is_armed, set_linger, writable

log = logging.getLogger(__name__)

ALERT = bytes.fromhex("15030300020250")
"""A fatal alert, internal_error, of TLS 1.2 (RFC 8446 6.2; 1.3 writes that version on the wire, too)."""
_UNRECOGNISED_NAME = bytes.fromhex("15030300020270")
_HANDSHAKE_FAILED = bytes.fromhex("15030300020228")
_NOT_TLS = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
sslproto.SSLProtocol.max_size = 32 * 1024
"""Bytes that asyncio keeps for what arrives at each connection, instead of 256 KiB: most of what an idle one would cost."""
_EVERYTHING = 2**31 - 1
_ending: "WeakSet[asyncio.Transport]" = WeakSet()
"""Connections whose last bytes, the alert among them, the kernel has not got yet."""


class TlsTransport(asyncio.Transport):
    """asyncio's transport in TLS, which ends bodies with the truth: `abort`, and `close` while armed, send an alert.

    It does not wait for the client's own close_notify: that of one that does not read would hold up the mirror's end.
    """

    def __init__(self, tls: asyncio.Transport, raw: asyncio.Transport) -> None:
        super().__init__()
        self._tls, self._raw = tls, raw

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._tls.get_extra_info(name, default)

    def is_closing(self) -> bool:
        return self._raw.is_closing() or self._tls.is_closing()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._tls.write(data)

    def get_write_buffer_size(self) -> int:
        return self._tls.get_write_buffer_size() + self._raw.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """asyncio's TLS takes 0 for "paused although there is nothing to write", so the least is 1."""
        self._tls.set_write_buffer_limits(high=1 if high == 0 else high, low=low)

    def pause_reading(self) -> None:
        """Beneath TLS: asyncio's TLS would notice a half-closed client all the same, and drop what is written to it from then on."""
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        self._raw.resume_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._tls.set_protocol(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._tls.get_protocol()

    async def flushed(self) -> None:
        """Waits until the kernel has all that was written, or the connection is lost."""
        await _flushed(self._raw)

    def close(self) -> None:
        if self.is_closing():
            return None
        if is_armed(self.get_extra_info("socket")):
            return self.abort()
        self._tls.close()
        if not self._tls.get_write_buffer_size():
            self._raw.close()

    def abort(self) -> None:
        """Ends the connection with a fatal alert. The kernel is given more room, lest a client that does not read misses it."""
        if self._raw.is_closing():
            return
        connection = self._raw.get_extra_info("socket")
        set_linger(connection, reset=False)
        self._raw.write(ALERT)
        if self._raw.get_write_buffer_size():
            _make_room(connection)
            _ending.add(self._raw)
        self._raw.close()


def _make_room(connection: Any) -> None:
    if hasattr(socket, "TCP_NOTSENT_LOWAT") and connection.family != socket.AF_UNIX:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _EVERYTHING)
    if connection.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) < 1024 * 1024:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1024 * 1024)


async def alerts_sent(seconds: float) -> None:
    """Waits until the kernel has the alerts of all connections that ended, at most so long."""
    waiting = [asyncio.ensure_future(_flushed(raw)) for raw in _ending]
    if waiting:
        _, late = await asyncio.wait(waiting, timeout=seconds)
        for each in late:
            each.cancel()


async def _flushed(raw: asyncio.Transport) -> None:
    while raw.get_write_buffer_size():
        await writable(raw.get_extra_info("socket"))


class _Beneath(asyncio.BufferedProtocol):
    """Between a connection and asyncio's TLS, which writes what waited a turn of the loop after there was room for it.

    If it wrote at once, and the client were gone, asyncio would end the connection twice, the second time with an exception.
    """

    def __init__(self, tls: asyncio.BufferedProtocol, raw: asyncio.Transport) -> None:
        self.get_buffer = tls.get_buffer  # type: ignore[method-assign]
        self.buffer_updated = tls.buffer_updated  # type: ignore[method-assign]
        self.eof_received = tls.eof_received  # type: ignore[method-assign]
        self._tls = tls
        self._is_full = self._is_paused = raw.get_write_buffer_size() > 0
        """Whether the connection takes nothing more, and whether TLS was told so."""
        self._is_lost = False

    def pause_writing(self) -> None:
        self._is_full = True
        if not self._is_paused:
            self._is_paused = True
            self._tls.pause_writing()

    def resume_writing(self) -> None:
        self._is_full = False
        asyncio.get_running_loop().call_soon(self._resume)

    def _resume(self) -> None:
        if self._is_paused and not self._is_full and not self._is_lost:
            self._is_paused = False
            self._tls.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        self._tls.connection_lost(exc)


class TlsProtocol(MirrorProtocol):
    """One connection of a client in TLS; `authority` is that of the CONNECT which led to it."""

    authority: str | None = None
    _is_lost = False

    def begin(self, transport: TlsTransport) -> None:
        """The handshake is done; what arrived with its end, as it does with TLS 1.3, is read now."""
        if self._is_lost:
            return
        self.connection_made(transport)
        if self.authority is not None:
            self._extensions[EXTENSION] = {"authority": self.authority, "intercepted": self.authority}
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)
        early, self._early = self._early, b""
        if early:
            self.data_received(early)

    _early = b""

    def data_received(self, data: bytes) -> None:
        if self.transport is None:
            self._early += data
        else:
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        if self.transport is not None:
            super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """asyncio's TLS cannot write any more then, so an answer under way ends as broken."""
        if self.transport is not None and not super().eof_received():
            return False
        if self.transport is not None:
            self.transport.abort()
        return False

    def _answered_from_memory(self) -> bool:
        """Only for the host of the CONNECT around."""
        if self.authority is not None and [value for name, value in self.headers if name == b"host"] != [self.authority.encode()]:
            return False
        return super()._answered_from_memory()

    def pause_writing(self) -> None:
        if self.transport is not None:
            super().pause_writing()

    def resume_writing(self) -> None:
        if self.transport is not None:
            super().resume_writing()


async def start(raw: asyncio.Transport, context: ssl.SSLContext, protocol: TlsProtocol, seconds: float) -> None:
    """Answers TLS on a plain connection, then HTTP in it. A client that fails at the handshake is told so, and that is all."""
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as ends:
        duplicate = os.dup(raw.get_extra_info("socket").fileno())  # asyncio closes the connection before it could be told
        ends.callback(os.close, duplicate)
        try:
            tls = await loop.start_tls(raw, protocol, context, server_side=True, ssl_handshake_timeout=seconds)
        except ssl.SSLError as error:
            log.debug("No TLS: %s.", error.reason)
            with contextlib.suppress(OSError):
                os.write(duplicate, _farewell(error.reason))
            return
        except OSError as error:  # it left, or took too long
            log.debug("No TLS: %s.", error)
            return
    if tls is not None:
        beneath = raw.get_protocol()
        assert isinstance(beneath, asyncio.BufferedProtocol)
        raw.set_protocol(_Beneath(beneath, raw))
        protocol.begin(TlsTransport(tls, raw))


def _farewell(reason: str | None) -> bytes:
    if reason == "HTTP_REQUEST":
        return _NOT_TLS
    return _UNRECOGNISED_NAME if reason == "CALLBACK_FAILED" else _HANDSHAKE_FAILED
