"""What is asked of the kernel for a client's connection: how it ends, how much waits in it, and when there is room again."""

import asyncio
import os
import socket
import struct
from typing import Any

_RESET = struct.pack("ii", 1, 0)
_NORMAL = struct.pack("ii", 0, 0)
NOT_SENT, NOT_SENT_OF_FILES = 128 * 1024, 1024 * 1024
"""Bytes that wait in the kernel before a connection counts as writable: its memory per slow client.

Of files, which are in memory anyway, it takes only references: as many as are sent at once, or a client on a fast line would need
two turns of the loop for each step.
"""
_EVERYTHING = 2**31 - 1
SILENT_MILLISECONDS = 300_000
"""How long a client may read nothing while there is something for it."""


def set_linger(connection: Any, *, reset: bool) -> None:
    """Decides how the connection ends if it is closed from now on, by whatever cause."""
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET if reset else _NORMAL)


def make_room(connection: Any) -> None:
    """Lets the kernel take what is written last, though the client reads nothing."""
    if hasattr(socket, "TCP_NOTSENT_LOWAT") and connection.family != socket.AF_UNIX:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _EVERYTHING)
    if connection.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) < 1024 * 1024:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1024 * 1024)


def is_armed(connection: Any) -> bool:
    """Whether the connection ends in a reset if it is closed now."""
    if connection is None or connection.fileno() < 0:
        return False
    armed: bool = connection.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(_RESET)) == _RESET
    return armed


async def writable(connection: Any) -> None:
    """Waits until the kernel takes more for a connection whose transport is waiting for the same."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    duplicate = os.dup(connection.fileno())  # asyncio lets nobody else wait on the descriptor of a transport
    try:
        loop.add_writer(duplicate, _set, ready)
        await ready
    finally:
        loop.remove_writer(duplicate)
        os.close(duplicate)


def _set(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)


def tune(connection: Any, *, takes_files: bool) -> None:
    """A client is sent to as soon as little waits in the kernel for it, and given up when it has read nothing for long.

    asyncio's timeouts cannot tell a slow reader from a dead one; the kernel can.
    """
    not_sent = NOT_SENT_OF_FILES if takes_files else NOT_SENT
    for option, value in (("TCP_NOTSENT_LOWAT", not_sent), ("TCP_USER_TIMEOUT", SILENT_MILLISECONDS)):
        if connection is not None and connection.family != socket.AF_UNIX and hasattr(socket, option):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
