"""Sending parts of files by the kernel, without their bytes passing through Python.

asyncio's `loop.sendfile` is not used: it pauses reading, so that a client that leaves is not noticed; it hangs for ever if the
transport is aborted meanwhile; it moves the file's position, and it goes through the loop twice per call. Here `os.sendfile`
gets an explicit offset, so that readers may share a descriptor, and waits on a duplicate of the socket's descriptor, since
asyncio lets nobody else wait on that of a transport. The transport goes on reading, and must have nothing left to write.
"""

import asyncio
import errno
import os
from collections.abc import Mapping
from typing import Any, Protocol

from dataset_mirror.serve.asgi import ClientGone
from dataset_mirror.serve.page_cache import STEP, is_in_memory

TURN = 4 * STEP
"""Bytes that all clients together get in about one turn of the loop: what each of them, and everybody else, waits for the others."""
_LEAST = 64 * 1024
AHEAD = 8 * STEP
_UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN)


class Descriptor(Protocol):
    """Something open, as a socket or a file."""

    def fileno(self) -> int: ...


def part_of(message: Mapping[str, Any]) -> tuple[Descriptor, int, int]:
    """File, offset and count of a message; without them ASGI means the file's position, and all that follows."""
    file: Descriptor = message["file"]
    offset = message.get("offset")
    if offset is None:
        offset = os.lseek(file.fileno(), 0, os.SEEK_CUR)
    count = message.get("count")
    return file, offset, os.fstat(file.fileno()).st_size - offset if count is None else count


class PartOfFile:
    """Bytes [offset, end) of a file on their way into a connection's kernel buffer."""

    under_way = 0
    """How many there are now, in this process."""

    def __init__(self, connection: Descriptor, file: Descriptor, offset: int, end: int) -> None:
        self._connection, self._file, self._offset, self._end = connection, file.fileno(), offset, end
        self._begin = self._in_memory = offset
        """How far the file is known to be in memory."""
        self._waiting: asyncio.Future[None] | None = None
        self._lost = False

    @property
    def sent(self) -> int:
        """Bytes of it that the kernel has."""
        return self._offset - self._begin

    async def send(self) -> None:
        """Returns when the kernel has all of it. ClientGone if the client left, OSError if the file is shorter."""
        PartOfFile.under_way += 1
        try:
            await self._send()
        finally:
            PartOfFile.under_way -= 1

    async def _send(self) -> None:
        while self._offset < self._end:
            if not self._is_in_memory():
                await asyncio.to_thread(_read_in, self._file, self._offset)
                self._in_memory = min(self._offset + STEP, self._end)
            if self._lost:  # while this waited; its descriptor may be another connection's by now
                raise ClientGone
            if not self._push(self._connection.fileno()):
                await self._push_when_writable()
            else:
                await asyncio.sleep(0)  # other clients, too, after each step

    def give_up(self) -> None:
        """The connection is lost, its descriptor not closed yet: `send` raises ClientGone."""
        self._lost = True
        if self._waiting and not self._waiting.done():
            self._waiting.set_exception(ClientGone())

    def _push(self, connection: int) -> bool:
        """Sends what the kernel takes at once, at most this client's share and to where the file is in memory; False if it took less."""
        wanted = min(self._in_memory - self._offset, max(_LEAST, TURN // PartOfFile.under_way))
        try:
            sent = os.sendfile(connection, self._file, self._offset, wanted)
        except BlockingIOError:
            return False
        except (ConnectionError, TimeoutError):
            raise ClientGone from None
        except OSError as error:
            if error.errno in _UNREACHABLE:
                raise ClientGone from None
            raise
        if sent == 0:
            raise OSError(f"the file ends {self._end - self._offset} bytes too early")
        self._offset += sent
        return sent == wanted

    async def _push_when_writable(self) -> None:
        """Pushes each time the client has read, until all is sent, or what comes next is not in memory."""
        loop = asyncio.get_running_loop()
        self._waiting = loop.create_future()
        duplicate = os.dup(self._connection.fileno())
        try:
            loop.add_writer(duplicate, self._writable, duplicate)
            await self._waiting
        finally:
            loop.remove_writer(duplicate)
            os.close(duplicate)
            self._waiting = None

    def _writable(self, connection: int) -> None:
        assert self._waiting
        if self._waiting.done():
            return
        try:
            self._push(connection)
        except OSError as error:
            self._waiting.set_exception(error)
        else:
            if self._offset == self._end or not self._is_in_memory():
                self._waiting.set_result(None)

    def _is_in_memory(self) -> bool:
        """Whether the next step would not wait for the disk, judged by a byte of each 128 KiB, which the kernel reads at once."""
        if self._offset < self._in_memory:
            return True
        end = min(self._offset + STEP, self._end)
        if not is_in_memory(self._file, self._offset, end):
            return False
        self._in_memory = end
        return True


def _read_in(file: int, offset: int) -> None:
    """Brings a step of a file into memory, and lets the kernel begin with those behind it; blocks."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file, offset, AHEAD, os.POSIX_FADV_WILLNEED)
    os.pread(file, STEP, offset)
