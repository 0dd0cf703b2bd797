"""Sending parts of files by the kernel, without their bytes passing through Python.

asyncio's `loop.sendfile` is not used: it pauses reading, so that a client that leaves is not noticed; it hangs for ever if the
transport is aborted meanwhile; it moves the file's position, and it goes through the loop twice per call. Here `os.sendfile`
gets an explicit offset, so that readers may share a descriptor, and waits on a duplicate of the socket's descriptor, since
asyncio lets nobody else wait on that of a transport. The transport goes on reading, and must have nothing left to write.
"""

import asyncio
import errno
import os
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from dataset_mirror.rules.counted import counted
from dataset_mirror.serve.asgi import ClientGone
from dataset_mirror.serve.page_cache import STEP, is_in_memory

TURN = 6 * STEP
"""Bytes that all clients together get in about one turn of the loop: what each of them, and everybody else, waits for the others."""
MOST, _LEAST = 4 * STEP, 64 * 1024
"""Of that a client gets at most so much, and at least."""
AHEAD = 8 * STEP
_LOOK_SECONDS = 0.05
"""After which it is tried again where nothing tells that there is room."""
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

    def __init__(
        self,
        connection: Descriptor,
        file: Descriptor | int,
        offset: int,
        end: int,
        *,
        in_memory: set[int] | None = None,
        told: Callable[[int], None] | None = None,
    ) -> None:
        """`in_memory`: numbers of the file's steps that were found in memory a moment ago; `told`: of each share that left."""
        self._connection, self._offset, self._end = connection, offset, end
        self._turn = _turn()
        self._file = file if isinstance(file, int) else file.fileno()
        self._in_memory = set() if in_memory is None else in_memory
        self._told = told
        self._begin = offset
        self._read = offset
        """How far the file was just read."""
        self._done: Callable[[Exception | None], None] | None = None
        self._duplicate = -1

    @property
    def sent(self) -> int:
        """Bytes of it that the kernel has."""
        return self._offset - self._begin

    async def send(self) -> None:
        """Returns when the kernel has all of it. ClientGone if the client left, OSError if the file is shorter."""
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.begin(lambda error: None if over.done() else over.set_exception(error) if error else over.set_result(None))
        try:
            if over.done():
                await asyncio.sleep(0)  # other clients, too
            await over
        finally:
            self.give_up()

    def begin(self, done: Callable[[Exception | None], None]) -> None:
        """Sends what the kernel takes at once, and the rest by and by; tells once when it has all of it, or what went wrong."""
        self._done = done
        PartOfFile.under_way += 1
        self._go()

    def give_up(self) -> None:
        """The connection is lost, its descriptor not closed yet: that is ClientGone, if it was not over."""
        self._end_with(ClientGone())

    def _end_with(self, error: Exception | None) -> None:
        done, self._done = self._done, None
        if done is not None:
            PartOfFile.under_way -= 1
            self._stop_waiting()
            done(error)

    def _go(self) -> None:
        """Sends a share. Then the others have their turn, or the client has to read first, or the disk."""
        if self._done is None:
            return None
        if self._offset == self._end:
            return self._end_with(None)
        if self._turn.left <= 0:
            self._stop_waiting()
            return self._turn.waiting.append(self._go)
        wanted = min(MOST, self._end - self._offset, max(_LEAST, TURN // PartOfFile.under_way))
        if self._read > self._offset:
            wanted = min(wanted, self._read - self._offset)
        elif not self._is_in_memory(self._offset + wanted):
            return self._read_in()
        try:
            sent = self._push(wanted)
            if self._offset < self._end:
                return self._wait(for_room=sent < wanted)
        except OSError as error:
            return self._end_with(error)
        return self._end_with(None)

    def _push(self, wanted: int) -> int:
        """Sends what the kernel takes at once, at most so much."""
        try:
            sent = os.sendfile(self._connection.fileno(), self._file, self._offset, wanted)
        except BlockingIOError:
            return 0
        except (ConnectionError, TimeoutError):
            raise ClientGone from None
        except OSError as error:
            if error.errno in _UNREACHABLE:
                raise ClientGone from None
            raise
        if sent == 0:
            raise OSError(f"the file ends {counted(self._end - self._offset, 'byte')} too early")
        self._offset += sent
        self._turn.spend(sent)
        if self._told:
            self._told(sent)
        return sent

    def _wait(self, *, for_room: bool) -> None:
        """For the next turn, or until the kernel takes more: from then on each turn in which it does is one."""
        loop = asyncio.get_running_loop()
        if self._duplicate >= 0:
            return
        if not for_room:
            loop.call_soon(self._go)
            return
        try:
            self._duplicate = os.dup(self._connection.fileno())
        except OSError:  # too many open files: it does without
            loop.call_later(_LOOK_SECONDS, self._go)
        else:
            loop.add_writer(self._duplicate, self._go)

    def _stop_waiting(self) -> None:
        if self._duplicate >= 0:
            asyncio.get_running_loop().remove_writer(self._duplicate)
            os.close(self._duplicate)
            self._duplicate = -1

    def _is_in_memory(self, end: int) -> bool:
        """Whether sending up to there would not wait for the disk."""
        for step in range(self._offset // STEP, (end - 1) // STEP + 1):
            if step not in self._in_memory:
                if not is_in_memory(self._file, step * STEP, (step + 1) * STEP):
                    return False
                self._in_memory.add(step)
        return True

    def _read_in(self) -> None:
        """Has a thread bring a step of the file into memory, and goes on then."""
        self._stop_waiting()
        read = asyncio.get_running_loop().run_in_executor(None, _read_in, self._file, self._offset)
        read.add_done_callback(self._was_read)

    def _was_read(self, read: asyncio.Future[None]) -> None:
        if read.cancelled():
            return self.give_up()
        if isinstance(error := read.exception(), Exception):
            return self._end_with(error)
        self._read = min(self._offset + STEP, self._end)
        return self._go()


class _Turn:
    """What may be sent in the present turn of a loop. Who finds nothing left of it is among the first of the next, in order: else those
    whose sockets the loop looks at first would have it all, turn by turn.
    """

    def __init__(self) -> None:
        self.left = TURN
        self.waiting: deque[Callable[[], None]] = deque()

    def spend(self, sent: int) -> None:
        if self.left == TURN and sent:
            asyncio.get_running_loop().call_soon(self._next)
        self.left -= sent

    def _next(self) -> None:
        self.left = TURN
        try:
            while self.waiting and self.left > 0:
                self.waiting.popleft()()
        finally:
            if self.waiting and self.left == TURN:  # one of them failed: the others do not wait for it
                asyncio.get_running_loop().call_soon(self._next)


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, _Turn] = WeakKeyDictionary()


def _turn() -> _Turn:
    loop = asyncio.get_running_loop()
    if (turn := _turns.get(loop)) is None:
        turn = _turns[loop] = _Turn()
    return turn


def _read_in(file: int, offset: int) -> None:
    """Brings a step of a file into memory, and lets the kernel begin with those behind it; blocks."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file, offset, AHEAD, os.POSIX_FADV_WILLNEED)
    os.pread(file, STEP, offset)
