"""One request and its answer, as the app sees them (ASGI). While a body is on its way, closing by whatever cause resets.

Without that every failure in the middle of a body (an exception, a cancellation, SIGTERM past its grace, SIGKILL) would end in
a clean FIN, and clients that do not compare lengths would keep the short file.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from dataset_mirror.errors import MirrorError, Unexpected
from dataset_mirror.serve.asgi import PART, REQUEST_ID, ZERO_COPY, App, ClientGone, Message, Scope
from dataset_mirror.wire import sendfile
from dataset_mirror.wire.framing import CONTINUE, Framing

if TYPE_CHECKING:
    from dataset_mirror.wire.connection import Connection

log = logging.getLogger(__name__)

AHEAD = 64 * 1024
"""Bytes of a request's body that are read before the app asks for them."""


class Exchange:
    """One request; `scope` is ASGI's."""

    has_begun = False
    """Whether a status line has left."""
    is_complete = False
    is_gone = False
    """Whether nobody waits for the answer any more."""
    is_whole = False
    """Whether all of the request has come."""
    _is_told = False
    """Whether the app knows that."""
    _part: sendfile.PartOfFile | None = None

    def __init__(self, connection: Connection, scope: Scope, framing: Framing, *, expects_continue: bool) -> None:
        self._connection, self.scope, self.framing = connection, scope, framing
        self._expects_continue = expects_continue
        self._body = bytearray()
        self._news = asyncio.Event()
        scope[PART] = self._sent_of_part

    def _sent_of_part(self) -> int:
        """Bytes of the part of a file that is just being sent, as far as the kernel has them."""
        return self._part.sent if self._part else 0

    # What the connection tells

    def take(self, data: bytes) -> None:
        """A part of the request's body."""
        if not self.is_over:
            self._body += data
            self._news.set()

    def finish(self) -> None:
        """The request is whole."""
        self.is_whole = True
        self._news.set()

    @property
    def closes(self) -> bool:
        """Whether the connection closes behind the answer."""
        return self.framing.closes

    @closes.setter
    def closes(self, closes: bool) -> None:
        self.framing.closes = closes

    @property
    def is_over(self) -> bool:
        return self.is_complete or self.is_gone

    def leave(self) -> None:
        """Nobody waits for the answer any more: whatever waits for the client ends."""
        self.is_gone = True
        self._news.set()
        if self._part:
            self._part.give_up()

    @property
    def is_full(self) -> bool:
        """Whether so much of the body has come that the app should take it first."""
        return len(self._body) > AHEAD and not self.is_over

    # What the app does

    async def run(self, app: App) -> None:
        """The app's whole work. It never raises: what went wrong is logged, unless that is only that the client left."""
        try:
            await app(self.scope, self.receive, self.send)
        except ClientGone:
            self._break_off("the client left")
        except asyncio.CancelledError:
            self._break_off("the mirror is being stopped")
        except BaseException as error:  # noqa: BLE001
            self._failed(error)
        else:
            if not self.is_over and not self._is_lost:
                self._failed(RuntimeError("The app returned without a whole answer."))
        finally:
            self._connection.ran(self)

    def _failed(self, error: BaseException) -> None:
        request_id = request_id_of(self.scope)
        is_bug = said_why(error, request_id, nobody_waits=self.is_over or self._is_lost)
        if is_bug and not self.has_begun:
            self._connection.refuse_running(Unexpected.at(request_id))
        elif not self.is_over:
            self._break_off("deliberately")

    def _break_off(self, why: str) -> None:
        if not self.is_over:
            log.debug("Broke the connection: %s.", why)
            self.leave()
            self._connection.break_off()

    async def receive(self) -> Message:
        """ASGI's `receive`: the body as it comes, then the client's leaving or the answer's end."""
        if self._expects_continue and not self.has_begun and not self.is_over and not self._connection.is_gone:
            self._expects_continue = False
            self._connection.write_head(CONTINUE)
        while not (self.is_over or self._body or (self.is_whole and not self._is_told)):
            self._news.clear()
            await self._news.wait()
        if self.is_over:
            return {"type": "http.disconnect"}
        body, self._body = bytes(self._body), bytearray()
        self._is_told = self.is_whole
        self._connection.regulate()
        return {"type": "http.request", "body": body, "more_body": not self.is_whole}

    async def send(self, message: Message) -> None:
        """ASGI's `send`; returns when the kernel has it. ClientGone if the client has left, before uvicorn's would say so."""
        self._check_connected()
        kind = message["type"]
        if not self.has_begun:
            if kind != "http.response.start":
                raise RuntimeError(f"An answer begins with its head, not with {kind}.")
            return self._begin(message)
        if kind == ZERO_COPY:
            await self._send_part(message)
        elif kind == "http.response.body":
            await self._write(self.framing.part(message.get("body", b"")), last=not message.get("more_body", False))
        else:
            raise RuntimeError(f"{kind} is nothing that belongs into a body.")
        if not message.get("more_body", False):
            self._end()
        return None

    def _begin(self, message: Message) -> None:
        fields = [(bytes(name), bytes(value)) for name, value in message.get("headers", ())]
        head = self.framing.begin(message["status"], fields, self._connection.own_fields)
        self.has_begun = True
        self._connection.arm(reset=True)
        self._connection.write_head(head)

    async def _write(self, data: bytes, *, last: bool) -> None:
        if last:
            data += self.framing.end()
        if data:
            self._connection.transport.write(data)
        await self._handed_over()

    async def _send_part(self, message: Message) -> None:
        """A part of a file, by the kernel. Only for answers with a Content-Length."""
        file, offset, count = sendfile.part_of(message)
        if self.framing.file(count):
            await self._handed_over()
            self._part = sendfile.PartOfFile(self._connection.socket, file, offset, offset + count)
            try:
                await self._part.send()
            except ClientGone:
                self._break_off("the client left")  # the transport does not know yet
                raise
            finally:
                self._part = None
        if not message.get("more_body", False):
            await self._write(b"", last=True)

    def _end(self) -> None:
        self._check_connected()
        self._connection.arm(reset=False)
        self.is_complete = True
        self._news.set()
        self._connection.completed(self)

    async def _handed_over(self) -> None:
        """Waits until the kernel has all that was written, so that memory for a client is one part of its body."""
        await self._connection.flushed()
        self._check_connected()

    def _check_connected(self) -> None:
        """A write that fails makes the transport close; the connection hears of it only when the app lets the loop run."""
        if self.is_complete:
            raise RuntimeError("The answer is complete already.")
        if self.is_gone or self._is_lost:
            raise ClientGone

    @property
    def _is_lost(self) -> bool:
        """Whether the client has left, as a write may have found out before the connection hears of it."""
        return self._connection.is_gone or self._connection.transport.is_closing()


def request_id_of(scope: Scope) -> str:
    """The id of a request, for people."""
    request_id: str = scope.get(REQUEST_ID, "without an id")
    return request_id


def said_why(error: BaseException, request_id: str, *, nobody_waits: bool) -> bool:
    """Logs why an app failed at a request; whether that is a bug, of which a client that still waits has to be told."""
    cause = error if isinstance(error, MirrorError) else error.__cause__
    if nobody_waits:
        log.debug("The app ended after its client had left, or had been answered: %r", error)
    elif isinstance(cause, MirrorError):  # the cause, of a page's body: Starlette says that it comes too late for an answer
        log.warning("Broke off an answer: %s", cause, extra={"request": request_id})
    else:
        log.error("An answer failed (request %s).", request_id, exc_info=error, extra={"request": request_id})
        return True
    return False
