"""Steps beside the loop: receiving, decrypting and writing a large part, in a thread, without the interpreter's lock for most of it.

A part that went through all layers above as an object was copied four times with the lock held.
"""

import asyncio
import fcntl
import select
import socket
import struct
import termios
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from dataset_mirror.fetch.to_the_end import to_the_end

THREADS = 4
"""That take such steps. Each holds twice `LARGEST` bytes."""
LARGEST = 1024 * 1024
"""Bytes of a step."""
WORTH_A_THREAD = 64 * 1024
"""Bytes waiting from which a step beside the loop is worth the way there and back."""
_ENOUGH = 256 * 1024
"""Bytes for which a step waits a little, if more are on their way: each step wakes the loop and all who follow."""
_A_LITTLE = 2
"""Milliseconds."""

Result = TypeVar("Result")

_threads = ThreadPoolExecutor(THREADS, "steps")
_own = threading.local()


def buffers() -> tuple[memoryview, memoryview]:
    """Two of this thread's own, for one step: for what is written, and for what comes."""
    if not hasattr(_own, "buffers"):
        _own.buffers = memoryview(bytearray(LARGEST)), memoryview(bytearray(LARGEST))
    found: tuple[memoryview, memoryview] = _own.buffers
    return found


async def beside(step: Callable[[], Result]) -> Result:
    """What a step gives, taken beside the loop. Whoever is cancelled meanwhile waits for its end: it writes to a file of theirs."""
    running = asyncio.get_running_loop().run_in_executor(_threads, step)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        with suppress(asyncio.CancelledError):
            await to_the_end([running])
        if not running.cancelled():
            running.exception()  # nobody wants to know it any more
        raise


def received(connection: socket.socket, into: memoryview, so_far: int = 0) -> int | None:
    """How many bytes came, as far as they are there or on their way; 0 at the end, None if none are there.

    `so_far`: bytes that this step has already, so that it does not wait for more than enough.
    """
    size = 0
    while size < len(into):
        try:
            count = connection.recv_into(into[size:])
        except BlockingIOError:
            if not size and not so_far:
                return None
            if size + so_far >= _ENOUGH or not _comes(connection):
                return size or None
            continue
        except OSError:
            if size:
                return size  # what came before a reset counts; after it comes the end
            raise
        if not count:
            return size
        size += count
    return size


def waiting(connection: socket.socket) -> int:
    """Bytes that have come, and that nobody has taken yet."""
    count: int = struct.unpack("i", fcntl.ioctl(connection, termios.FIONREAD, bytes(4)))[0]
    return count


async def readable(connection: socket.socket) -> None:
    """Waits until something has come, or the end."""
    loop = asyncio.get_running_loop()
    came: asyncio.Future[None] = loop.create_future()
    loop.add_reader(connection, _tell, came)
    try:
        await came
    finally:
        loop.remove_reader(connection)


def _tell(came: asyncio.Future[None]) -> None:
    if not came.done():
        came.set_result(None)


def is_readable(connection: socket.socket, milliseconds: int = 0) -> bool:
    """Whether a read would not wait: for a connection that is idle this means that the other side has closed it."""
    if connection.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(milliseconds))


def _comes(connection: socket.socket) -> bool:
    """Whether more comes soon; on the loop nobody waits for that."""
    return threading.current_thread() is not threading.main_thread() and is_readable(connection, _A_LITTLE)
