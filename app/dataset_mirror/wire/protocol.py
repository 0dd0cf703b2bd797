"""uvicorn's protocol, made to tell its clients the truth: a body that does not reach its end ends in a reset.

Without it every failure in the middle of a body (an exception, a cancellation, SIGTERM past its grace, SIGKILL) ends in a
clean FIN, and clients that do not compare lengths keep the short file.

What is used of uvicorn's insides, each with a test in tests/wire/test_protocol.py:
- `_start_asgi_task(cycle, app)` is where every request begins, pipelined ones too; the cycle's class is changed there;
- the cycle's `send`, `run_asgi`, `disconnected`, `keep_alive`, `flow`, `transport`, `chunked_encoding`, `expected_content_length`;
- the protocol's `on_message_begin`, `on_headers_complete`, `on_body`, `on_message_complete`, `send_400_response`,
  `on_response_complete`, `url`, `headers`, `parser`, `scope`, `cycle`, `app`, `access_log` and `server_state.default_headers`.
"""

import asyncio
import logging
import os
import re
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from dataset_mirror.errors import MirrorError
from dataset_mirror.serve.asgi import EXTENSION, RELAYED, ClientGone
from dataset_mirror.wire import sendfile
from dataset_mirror.wire.hot import Hot
from dataset_mirror.wire.sockets import set_linger, tune

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope

log = logging.getLogger(__name__)

_END_OF_AUTHORITY = re.compile(rb"[/?#]")


class MirrorProtocol(HttpToolsProtocol):
    """One connection of a client."""

    half_closed = False
    _armed = False
    """Whether an answer from memory has armed the connection."""
    _was_hot = False
    """Whether the request that is being read was answered from memory."""
    running: RequestResponseCycle | None = None
    """The request that is being answered; uvicorn's `cycle` is the latest to come, which may still wait in line."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # A send returns when all of it is the kernel's: memory per client is bounded by one chunk, and "the last byte
        # was handed over" can be known.
        transport.set_write_buffer_limits(high=0)
        self._socket = transport.get_extra_info("socket")
        tune(self._socket)
        self._extensions: dict[str, dict[object, object]] = {EXTENSION: {}}
        if transport.get_extra_info("sslcontext") is None and hasattr(os, "sendfile"):
            self._extensions[sendfile.EXTENSION] = {}
        self._hot: Hot | None = getattr(self.app, "hot", None)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = self._extensions

    def on_headers_complete(self) -> None:
        self._was_hot = self._answered_from_memory()
        if self._was_hot:
            return
        if not self.url.startswith(b"/"):
            # uvicorn drops the authority of an absolute-form target, which wins over Host (RFC 9112 3.2.2). It is taken raw:
            # httptools would drop userinfo, which is to be refused, and the brackets of an IPv6 address.
            authority = _END_OF_AUTHORITY.split(self.url.partition(b"://")[2], maxsplit=1)[0]
            ours = self._extensions[EXTENSION] | {"authority": authority.decode("latin-1")}
            self.scope["extensions"] = self._extensions | {EXTENSION: ours}
        super().on_headers_complete()

    def _answered_from_memory(self) -> bool:
        """Answers a plain GET of a small archive at once, if nothing else is being answered.

        From the first such answer on the connection stays armed: it is disarmed only where it is closed in order. That costs
        one call of the kernel for a connection, not two for an answer.
        """
        if self._hot is None or self.access_log or self._answering or self.half_closed or self.flow.write_paused:
            return False
        if self.parser.get_method() != b"GET" or self.parser.get_http_version() != "1.1":
            return False
        answer = self._hot.answer(self.url, self.headers, self.server_state.default_headers)
        if answer is None:
            return False
        if not self._armed:
            self._armed = True
            set_linger(self._socket, reset=True)
        self.transport.write(answer)
        self.on_response_complete()
        return True

    def on_body(self, body: bytes) -> None:
        if not self._was_hot:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._was_hot:
            super().on_message_complete()

    def resume_writing(self) -> None:
        """The kernel has all that was written; if that is what an orderly close waited for, the end is a clean one."""
        super().resume_writing()
        if self.transport.is_closing() and not self._answering:
            self._disarm()

    def _disarm(self) -> None:
        """Before an orderly close; not while there is something that the kernel has not got."""
        if self._armed and not self.flow.write_paused:
            self._armed = False
            set_linger(self._socket, reset=False)

    def close_in_order(self) -> None:
        """Closes the connection after what was written."""
        self._disarm()
        self.transport.close()

    def shutdown(self) -> None:
        if not self._answering:
            self._disarm()
        super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        self._disarm()
        super().timeout_keep_alive_handler()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: "ASGI3Application") -> None:
        cycle.__class__ = ArmedCycle
        self.running = cycle
        self._armed = False  # the cycle arms it, and disarms it at its end
        super()._start_asgi_task(cycle, app)

    def connection_lost(self, exc: Exception | None) -> None:
        """uvicorn tells only the latest request that its client left, and the one before it would go on for nobody."""
        if isinstance(self.running, ArmedCycle) and not self.running.response_complete:
            self.running.lost()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """A client that only closed its sending side still gets its answer."""
        self.half_closed = True
        if not self._answering:
            self._disarm()
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
            self._disarm()
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
                if self.transport.is_closing():
                    self.disconnected = True  # the connection was broken before an answer began: uvicorn is not to miss it
            except ClientGone:
                self._fail("the client left")
            except asyncio.CancelledError:
                self._fail("the mirror is being stopped")
            except MirrorError as error:
                log.warning("Broke off an answer: %s", error)
                self._fail("deliberately")
            except BaseException as error:
                if not self.response_started:
                    raise
                if isinstance(error.__cause__, MirrorError):  # of a page's body: Starlette says that it comes too late for an answer
                    log.warning("Broke off an answer: %s", error.__cause__)
                else:
                    log.exception("An answer failed in the middle.")
                self._fail("exception")

        await super().run_asgi(guarded)

    def lost(self) -> None:
        """The connection is lost: whatever waits for the client ends."""
        self.disconnected = True
        self.message_event.set()
        if self._part:
            self._part.give_up()

    _part: sendfile.PartOfFile | None = None

    def _fail(self, why: str) -> None:
        """Breaks the connection; uvicorn is not to report it once more."""
        log.debug("Broke the connection: %s.", why)
        self.disconnected = True
        self.transport.abort()

    async def send(self, message: "ASGISendEvent") -> None:
        self._check_connected()
        if message["type"] == "http.response.start":
            self._arm(reset=True)
            self.access_log = self.access_log and not self.scope.get(RELAYED)
            self._end_by_close_for_http_1_0(message)
            return await super().send(message)
        if message["type"] == sendfile.EXTENSION:
            return await self._send_part(message)
        body = message.get("body", b"") if message["type"] == "http.response.body" else b""
        if self._ends_by_close:
            self.expected_content_length = len(body)
        if message["type"] != "http.response.body" or message.get("more_body", False):
            await super().send(message)
            return await self._handed_over()
        if body:
            await super().send({"type": "http.response.body", "body": body, "more_body": True})
        await self._handed_over()
        if hasattr(self.transport, "flushed"):  # beneath TLS there is one more buffer
            await self.transport.flushed()
            self._check_connected()
        if self.expected_content_length == 0 or self.scope["method"] == "HEAD":
            self._arm(reset=False)
        await super().send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_part(self, message: Any) -> None:
        """A part of a file (ASGI's zero-copy extension), by the kernel. Only for answers with a Content-Length."""
        file, offset, count = sendfile.part_of(message)
        if self.chunked_encoding is not False or self._ends_by_close:
            raise RuntimeError("Zero-copy bodies need a Content-Length.")
        if self.scope["method"] != "HEAD":
            if count > self.expected_content_length:
                raise RuntimeError("Response content longer than Content-Length")
            await self._handed_over()
            self._part = sendfile.PartOfFile(self.transport.get_extra_info("socket"), file, offset, offset + count)
            try:
                await self._part.send()
            finally:
                self._part = None
            self.expected_content_length -= count
        if not message.get("more_body", False):
            await self.send({"type": "http.response.body", "body": b"", "more_body": False})

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
        """uvicorn's `send` returns silently after a disconnect, and the answer would go on for nobody.

        A write that fails makes the transport close; the protocol hears of it only when the app lets the loop run.
        """
        if self.disconnected or self.transport.is_closing():
            raise ClientGone

    def _arm(self, *, reset: bool) -> None:
        set_linger(self.transport.get_extra_info("socket"), reset=reset)
