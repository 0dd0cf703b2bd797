"""A request that another process answers, as ASGI over a Unix socket of its own.

The worker has the client's connection, and so writes the answer, counts its bytes and arms it, by the same code as for its own
answers. The filling process runs the app. Each `receive` and each `send` of the app is one message and its answer, so the app
waits for the client, and hears that it left, as if the connection were its own. If either process or the app fails the socket
closes before the app has said that it is done, and the body is broken off.

    filling process               worker
    receive                  →    waits for the client's message
                             ←    message
    send message             →    hands it to the client's connection (of parts of a file: its descriptor comes along with the first)
                             ←    sent
    done, or failed          →    the app returned, or its error was logged
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from dataset_mirror.errors import MirrorError, SystemFailure, Unexpected
from dataset_mirror.serve.asgi import PART, RELAYED, ZERO_COPY, App, ClientGone, Message, RawFields, Receive, Scope, Send
from dataset_mirror.serve.body import Body
from dataset_mirror.serve.head import problem
from dataset_mirror.wire.exchange import request_id_of, said_why
from dataset_mirror.wire.workers.channel import Channel, Closed


class Unanswered(MirrorError):
    """The filling process did not answer, or not to the end."""

    status = 503
    title = "No answer from the fetching process"
    problem = "no-answer"


class PartialFile:
    """A file of the other process. Closed when the request is over."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor


# -- The worker's side


class Far:
    """The app of another process."""

    def __init__(self, ask: Callable[[Scope, int], None]) -> None:
        """`ask` hands over a request's scope and one end of its socket."""
        self._ask = ask

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_kernel = ZERO_COPY in scope["extensions"]
        asked = {**scope, "extensions": {**scope["extensions"], ZERO_COPY: {}}}
        asked.pop(PART, None)  # only this process knows how far a part is
        scope[RELAYED] = True  # and only the other one whether its target may be logged
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:  # too many open files
            return await _refuse(send, scope, SystemFailure.of(error))
        channel = Channel(ours)
        self._ask(asked, theirs.detach())
        answer = _Carried(channel, receive, send, by_kernel=has_kernel)
        try:
            await answer.carry()
        except Closed:
            lost = Unanswered("The process that fetches archives did not answer.", "Try again.", headers={"Retry-After": "5"})
            if answer.has_begun:
                raise lost from None
            await _refuse(send, scope, lost)
        finally:
            answer.close()


class _Carried:
    """One request and its answer, carried between the client's connection and the other process."""

    def __init__(self, channel: Channel, receive: Receive, send: Send, *, by_kernel: bool) -> None:
        self._channel, self._receive, self._send, self._by_kernel = channel, receive, send, by_kernel
        self._receiving: asyncio.Task[None] | None = None
        self._file: PartialFile | None = None
        self.has_begun = False

    async def carry(self) -> None:
        """To the end. Closed if the other process goes before, ClientGone if the client does."""
        while True:
            (kind, message), descriptors = await self._channel.receive()
            if kind == "receive":
                self._receiving = asyncio.create_task(self._pass_on())
            elif kind == "send":
                await self._pass_back(message, descriptors)
                self._channel.post(("sent", None))
            elif kind == "done":
                return
            else:
                raise Closed

    async def _pass_on(self) -> None:
        self._channel.post(("message", await self._receive()))

    async def _pass_back(self, message: Message, descriptors: list[int]) -> None:
        self.has_begun = True
        if message["type"] != ZERO_COPY:
            return await self._send(message)
        if message.pop("file"):
            if not descriptors:  # too many open files: it was lost
                raise Closed
            self._forget_file()
            self._file = PartialFile(descriptors[0])
        assert self._file is not None
        if self._by_kernel:
            return await self._send({**message, "file": self._file})
        body = Body(self._send, lambda _: None, zero_copy=False)
        with os.fdopen(os.dup(self._file.fileno()), "rb") as file:
            await body.part(file, message["offset"], message["offset"] + message["count"])
        return None

    def _forget_file(self) -> None:
        if self._file:
            os.close(self._file.fileno())

    def close(self) -> None:
        """Whatever is still under way ends."""
        self._channel.close()
        self._forget_file()
        if self._receiving:
            self._receiving.cancel()


async def _refuse(send: Send, scope: Scope, error: MirrorError, more: RawFields = []) -> None:  # noqa: B006
    """A whole answer."""
    status, fields, body = problem(error)
    await send({"type": "http.response.start", "status": status, "headers": [*fields, *more]})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body, "more_body": False})


# -- The filling process' side


async def answer(app: App, scope: Scope, connection: socket.socket) -> None:
    """Runs the app for a request of another process. What went wrong is logged here, unless that is only that the client left."""
    asking = _Asking(Channel(connection))
    listening = asyncio.create_task(asking.listen())
    try:
        await app(scope, asking.receive, asking.send)
    except ClientGone:
        pass
    except Exception as error:  # noqa: BLE001
        await _failed(error, asking, scope)
    else:
        asking.finish()
    finally:
        listening.cancel()
        asking.close()


async def _failed(error: Exception, asking: _Asking, scope: Scope) -> None:
    request_id = request_id_of(scope)
    is_bug = said_why(error, request_id, nobody_waits=asking.is_gone)
    if asking.has_begun or not is_bug:
        asking.fail()
        return
    with suppress(ClientGone):
        await _refuse(asking.send, scope, Unexpected.at(request_id), [(b"connection", b"close")])
        asking.finish()


class _Asking:
    """What the app sees of the client, who is the other process'."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._is_wanted = False
        """Whether a message was asked for and has not come."""
        self._sent = asyncio.Event()
        self._file: Any = None
        self.is_gone = self.has_begun = False

    async def listen(self) -> None:
        """Takes what the other process says, until it closes the socket."""
        try:
            while True:
                (kind, message), _ = await self._channel.receive()
                if kind == "message":
                    self._is_wanted = False
                    self._messages.put_nowait(message)
                else:
                    self._sent.set()
        except Closed:
            self.is_gone = True
            self._sent.set()
            self._messages.put_nowait({"type": "http.disconnect"})

    async def receive(self) -> Message:
        """ASGI's `receive`. A call that is cancelled leaves its message to the next one."""
        if self._messages.empty() and not self._is_wanted and not self.is_gone:
            self._is_wanted = True
            self._channel.post(("receive", None))
        message = await self._messages.get()
        if message["type"] == "http.disconnect":  # it stays so
            self._messages.put_nowait(message)
        return message

    async def send(self, message: Message) -> None:
        """ASGI's `send`; returns when the client's kernel has it. ClientGone if the client has left."""
        descriptors = []
        if isinstance(message.get("body"), memoryview):  # which cannot be pickled
            message = {**message, "body": bytes(message["body"])}
        if message["type"] == ZERO_COPY:
            file, is_new = message["file"], message["file"] is not self._file
            message = {**message, "file": is_new}
            if is_new:
                descriptors.append(os.dup(file.fileno()))
                self._file = file
        self.has_begun = True
        self._sent.clear()
        if self.is_gone:
            raise ClientGone
        self._channel.post(("send", message), *descriptors)
        await self._sent.wait()
        if self.is_gone:
            raise ClientGone

    def finish(self) -> None:
        self._channel.post(("done", None))

    def fail(self) -> None:
        self._channel.post(("failed", None))

    def close(self) -> None:
        self._channel.close()
