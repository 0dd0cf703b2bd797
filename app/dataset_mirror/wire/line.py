"""The lower half of a connection: what is written and when the kernel has it, and how it ends.

A body that does not reach its end ends in a reset, by whatever cause: the connection is armed while one is on its way.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from dataset_mirror.wire import crowd
from dataset_mirror.wire.crowd import Crowd
from dataset_mirror.wire.sockets import set_linger, tune

_FIRST = b"H"
"""What every answer begins with, whatever it is."""


class Line(asyncio.Protocol):
    """A connection as bytes go out, plain or in TLS; what is above decides what they are."""

    transport: asyncio.Transport
    half_closed = False
    """Whether the client has closed its sending side."""
    is_gone = False
    """Whether nothing can be sent any more."""
    _is_armed = _is_full = _is_paused = _is_lingering = _is_greeted = _is_stopping = False
    _then: Callable[[], None] | None = None
    """What waits until the kernel has all that was written."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._room = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        # A write is over when all of it is the kernel's: memory per client is bounded by one part of a body, and "the last
        # byte was handed over" can be known.
        transport.set_write_buffer_limits(high=0)
        self.socket: Any = transport.get_extra_info("socket")
        tune(self.socket, takes_files=transport.get_extra_info("sslcontext") is None)

    @property
    def is_answering(self) -> bool:
        """Whether a client waits for an answer, or for the rest of one."""
        raise NotImplementedError

    # Writing

    def pause_writing(self) -> None:
        self._is_full = True
        self._room.clear()

    def resume_writing(self) -> None:
        """The kernel has all that was written; if that is what an orderly close waited for, the end is a clean one."""
        self._is_full = False
        self._room.set()
        if then := self._then:
            self._then = None
            then()
        if (self.transport.is_closing() or self._is_lingering) and not self.is_answering:
            self._disarm()

    async def flushed(self) -> None:
        """Waits until the kernel has all that was written, or the connection is lost."""
        if self._is_full:
            await self._room.wait()

    def when_flushed(self, then: Callable[[], None]) -> None:
        """Calls it once the kernel has all that was written; never if the connection is lost."""
        if self._is_full:
            self._then = then
        else:
            then()

    def write_head(self, head: bytes) -> None:
        """Writes what begins with a status line."""
        if self._is_greeted:
            self._is_greeted = False
            head = head[len(_FIRST) :]
        self.transport.write(head)

    def greet(self) -> None:
        """Finds out whether a client that closed its sending side still listens, by the first letter of its answer.

        One that has left altogether, which looks alike until something is sent to it, answers with a reset (RFC 9293 3.10.7).
        One that listens gets the rest of "HTTP/1.1" a little later.
        """
        if not self._is_greeted and not self.transport.is_closing():
            self.arm(reset=True)
            self.transport.write(_FIRST)
            self._is_greeted = True

    # Reading

    def _pause(self, *, must_wait: bool) -> None:
        """Whether the client has to wait before it sends on. Meanwhile it may leave, and is to be noticed all the same."""
        if must_wait != self._is_paused and not self.transport.is_closing():
            self._is_paused = must_wait
            if must_wait:
                self.transport.pause_reading()
                self._watch()
            else:
                self.transport.resume_reading()

    def _watch(self) -> None:
        self._crowd.departures.watch(self.socket, self._departed)

    def _departed(self, lost: bool) -> None:
        """The client has closed its side while nobody read, or the connection is lost."""
        raise NotImplementedError

    # The end

    def arm(self, *, reset: bool) -> None:
        """Decides how the connection ends if it is closed from now on, by whatever cause."""
        if self._is_armed != reset:
            self._is_armed = reset
            set_linger(self.socket, reset=reset)

    def _disarm(self) -> None:
        """Before an orderly close; not while there is something that the kernel has not got."""
        if not self._is_full:
            self.arm(reset=False)

    def close(self) -> None:
        """Closes in order, behind what was written."""
        self._disarm()
        if self._is_full:
            self._say_end()  # in TLS closing what is armed says that the end is none
        self.transport.close()

    def linger(self) -> None:
        """Says that nothing more comes, and takes what the client sends for a while: closing at once would reset (RFC 9112 9.6)."""
        if self.half_closed or self._is_stopping:
            return self.close()
        self._disarm()
        self._is_lingering = True
        self._say_end()
        self._pause(must_wait=False)
        self._crowd.wait(self, crowd.LINGER_SECONDS)
        return None

    def _say_end(self) -> None:
        with suppress(OSError):  # the client has reset the connection; reading will tell
            self.transport.write_eof()

    def break_off(self) -> None:
        """Breaks the connection, so that nobody takes what came for whole."""
        self.is_gone = True
        self.arm(reset=True)
        self.transport.abort()

    def expire(self) -> None:
        """The client has been silent for too long."""
        raise NotImplementedError

    def give_way(self) -> None:
        """Others need the room."""
        if self.is_answering or self._is_full:  # a client that takes nothing would keep its connection
            return self.break_off()
        return self.close()
