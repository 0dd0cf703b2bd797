"""Messages between processes of one mirror, over a Unix socket, with descriptors beside them. Pickled: both ends are ours."""

import asyncio
import os
import pickle
import socket
import struct
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

_HEAD = struct.Struct("!IB")
"""A message's length in bytes, and how many descriptors come with it."""
_STEP = 256 * 1024
_MOST_DESCRIPTORS = 64


class Closed(OSError):
    """The other end has gone."""


class Channel:
    """One end of a connected Unix socket, which it owns. Messages come in the order in which they were posted.

    It bounds nothing: whoever posts much waits for an answer first.
    """

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._socket, self._loop = connection, asyncio.get_running_loop()
        self._outgoing: deque[tuple[memoryview, list[int]]] = deque()
        self._raw = bytearray()
        self._descriptors: deque[list[int]] = deque()
        """Those of messages that are not whole yet, in their order."""
        self._incoming: deque[tuple[Any, list[int]]] = deque()
        self._news = asyncio.Event()
        self.is_closed = False
        self._loop.add_reader(connection, self._readable)

    def post(self, message: object, *descriptors: int) -> None:
        """Sends a message and these descriptors, which are closed here then. Nothing happens if the other end has gone."""
        if self.is_closed:
            return _close(descriptors)
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        self._outgoing.append((memoryview(_HEAD.pack(len(data), len(descriptors)) + data), list(descriptors)))
        if len(self._outgoing) == 1:
            self._write()
        return None

    async def receive(self) -> tuple[Any, list[int]]:
        """The next message, and its descriptors, which are the caller's. Closed once the other end has gone."""
        while not self._incoming:
            if self.is_closed:
                raise Closed
            self._news.clear()
            await self._news.wait()
        return self._incoming.popleft()

    def receive_blocking(self, wanted: object) -> None:
        """Waits for this very message while the whole process stands still; others wait in their order. Closed as above."""
        self.flush()
        self._socket.setblocking(True)
        try:
            while all(message != wanted for message, _ in self._incoming):
                self._read()
        finally:
            if not self.is_closed:
                self._socket.setblocking(False)
        self._incoming.remove((wanted, []))

    def flush(self) -> None:
        """Returns when all that was posted is the kernel's, or the other end has gone."""
        self._loop.remove_writer(self._socket)
        self._socket.setblocking(True)
        with suppress(OSError):
            while self._outgoing:
                self._send_first()
        self._socket.setblocking(False)

    def close(self) -> None:
        """Takes nothing more, and gives up what was not sent yet."""
        if self.is_closed:
            return
        self.is_closed = True
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        self._give_up()
        for descriptors in (*self._descriptors, *(more for _, more in self._incoming)):
            _close(descriptors)
        self._incoming.clear()
        self._news.set()

    # Writing

    def _write(self) -> None:
        try:
            while self._outgoing:
                self._send_first()
        except BlockingIOError:
            self._loop.add_writer(self._socket, self._write)
        except OSError:  # what the other end sent before it went is still to be read
            self._loop.remove_writer(self._socket)
            self._give_up()
        else:
            self._loop.remove_writer(self._socket)

    def _send_first(self) -> None:
        data, descriptors = self._outgoing[0]
        sent = socket.send_fds(self._socket, [data], descriptors) if descriptors else self._socket.send(data)
        _close(descriptors)
        if sent == len(data):
            self._outgoing.popleft()
        else:
            self._outgoing[0] = (data[sent:], [])

    def _give_up(self) -> None:
        """Sends nothing more. Who waits at the other end of a descriptor that was to be sent is told by its being closed."""
        for _, descriptors in self._outgoing:
            _close(descriptors)
        self._outgoing.clear()

    # Reading

    def _readable(self) -> None:
        with suppress(Closed, BlockingIOError):
            self._read()

    def _read(self) -> None:
        """Reads once, and takes what messages are whole then."""
        try:
            data, descriptors, flags, _ = socket.recv_fds(self._socket, _STEP, _MOST_DESCRIPTORS)
        except BlockingIOError:
            raise
        except OSError:
            data, descriptors, flags = b"", [], 0
        if descriptors or flags & socket.MSG_CTRUNC:  # with too many open files the kernel drops them, and says so
            self._descriptors.append(descriptors)
        if not data:
            self._ended()
            raise Closed
        self._raw += data
        while (message := self._taken()) is not None:
            self._incoming.append(message)
            self._news.set()

    def _taken(self) -> tuple[Any, list[int]] | None:
        if len(self._raw) < _HEAD.size:
            return None
        length, count = _HEAD.unpack_from(self._raw)
        end = _HEAD.size + length
        if len(self._raw) < end:
            return None
        message = pickle.loads(memoryview(self._raw)[_HEAD.size : end])
        del self._raw[:end]
        return message, self._descriptors.popleft() if count and self._descriptors else []

    def _ended(self) -> None:
        """The other end has gone; what it had sent is there."""
        waiting, self._incoming = self._incoming, deque()
        self.close()
        self._incoming = waiting


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
