"""uvicorn's protocol, made to tell its clients the truth: a body that does not reach its end ends in a reset.

Without it every failure in the middle of a body (an exception, a cancellation, SIGTERM past its grace, SIGKILL) ends in a
clean FIN, and clients that do not compare lengths keep the short file.

What is used of uvicorn's insides, each with a test in tests/serve/test_protocol.py:
- `_start_asgi_task(cycle, app)` is where every request begins, pipelined ones too; the cycle's class is changed there;
- the cycle's `send`, `run_asgi`, `disconnected`, `keep_alive`, `flow`, `transport`, `chunked_encoding`, `expected_content_length`;
- the protocol's `on_message_begin`, `on_headers_complete`, `send_400_response`, `on_response_complete`, `url`, `scope`, `cycle`.
"""

import asyncio
import logging
import re
import socket
import struct
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.errors import MirrorError
from app.serve.asgi import EXTENSION, ClientGone

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope

log = logging.getLogger("dataset_mirror.serve")

_END_OF_AUTHORITY = re.compile(rb"[/?#]")
_RESET = struct.pack("ii", 1, 0)
_NORMAL = struct.pack("ii", 0, 0)


class MirrorProtocol(HttpToolsProtocol):
    """One connection of a client."""

    half_closed = False
    running: RequestResponseCycle | None = None
    """The request that is being answered; uvicorn's `cycle` is the latest to come, which may still wait in line."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # A send returns when all of it is the kernel's: memory per client is bounded by one chunk, and "the last byte
        # was handed over" can be known.
        transport.set_write_buffer_limits(high=0)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: {}}

    def on_headers_complete(self) -> None:
        if not self.url.startswith(b"/"):
            # uvicorn drops the authority of an absolute-form target, which wins over Host (RFC 9112 3.2.2). It is taken raw:
            # httptools would drop userinfo, which is to be refused, and the brackets of an IPv6 address.
            authority = _END_OF_AUTHORITY.split(self.url.partition(b"://")[2], maxsplit=1)[0]
            self.scope["extensions"] = {EXTENSION: {"authority": authority.decode("latin-1")}}
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: "ASGI3Application") -> None:
        cycle.__class__ = ArmedCycle
        self.running = cycle
        super()._start_asgi_task(cycle, app)

    def connection_lost(self, exc: Exception | None) -> None:
        """uvicorn tells only the latest request that its client left, and the one before it would go on for nobody."""
        if self.running is not None and not self.running.response_complete:
            self.running.disconnected = True
            self.running.message_event.set()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """A client that only closed its sending side still gets its answer."""
        self.half_closed = True
        return self._answering

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.half_closed and not self._answering:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Garbage after a request: never written into the body that is being sent."""
        if self._answering:
            self.transport.abort()
        else:
            super().send_400_response(msg)

    @property
    def _answering(self) -> bool:
        return bool(self.pipeline) or (self.cycle is not None and not self.cycle.response_complete)


class ArmedCycle(RequestResponseCycle):
    """One request and its answer. While a body is on its way, closing the connection by whatever cause resets it."""

    async def run_asgi(self, app: "ASGI3Application") -> None:
        async def guarded(scope: "Scope", receive: "ASGIReceiveCallable", send: "ASGISendCallable") -> None:
            try:
                await app(scope, receive, send)
            except ClientGone:
                self._fail("the client left")
            except asyncio.CancelledError:
                self._fail("the mirror is being stopped")
            except MirrorError as error:
                log.warning("Broke off an answer: %s", error)
                self._fail("deliberately")
            except BaseException:
                if not self.response_started:
                    raise
                log.exception("An answer failed in the middle.")
                self._fail("exception")

        await super().run_asgi(guarded)

    def _fail(self, why: str) -> None:
        """Breaks the connection; uvicorn is not to report it once more."""
        log.debug("Broke the connection: %s.", why)
        self.disconnected = True
        self.transport.abort()

    async def send(self, message: "ASGISendEvent") -> None:
        self._check_connected()
        if message["type"] == "http.response.start":
            self._set_linger(_RESET)
            self._end_by_close_for_http_1_0(message)
            return await super().send(message)
        body = message.get("body", b"") if message["type"] == "http.response.body" else b""
        if self._ends_by_close:
            self.expected_content_length = len(body)
        if message["type"] != "http.response.body" or message.get("more_body", False):
            await super().send(message)
            return await self._handed_over()
        if body:
            await super().send({"type": "http.response.body", "body": body, "more_body": True})
        await self._handed_over()
        if self.expected_content_length == 0 or self.scope["method"] == "HEAD":
            self._set_linger(_NORMAL)
        await super().send({"type": "http.response.body", "body": b"", "more_body": False})

    _ends_by_close = False

    def _end_by_close_for_http_1_0(self, message: Any) -> None:
        """HTTP/1.0 does not know chunks, yet uvicorn would send them (RFC 9112 7)."""
        if self.scope["http_version"] == "1.0" and not any(name.lower() == b"content-length" for name, _ in message["headers"]):
            self._ends_by_close, self.chunked_encoding = True, False

    async def _handed_over(self) -> None:
        """Waits until the kernel has all that was sent."""
        if self.flow.write_paused:
            await self.flow.drain()
        self._check_connected()

    def _check_connected(self) -> None:
        """uvicorn's `send` returns silently after a disconnect, and the answer would go on for nobody."""
        if self.disconnected:
            raise ClientGone

    def _set_linger(self, value: bytes) -> None:
        connection = self.transport.get_extra_info("socket")
        if connection is not None and connection.fileno() >= 0:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, value)
