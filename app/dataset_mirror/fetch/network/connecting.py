"""Connecting to one of several addresses, as RFC 8305 says: families in turn, a quarter of a second apart."""

import asyncio
import socket
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest
from typing import Any

APART = 0.25
"""Seconds until the next address is tried beside one that has not answered (RFC 8305 5)."""


async def connected(addresses: Sequence[str], port: int, options: Iterable[Any] = ()) -> socket.socket:
    """A connection to whichever address answers first. The last OSError if none does; if it is cancelled no socket is left."""
    left, failure = deque(in_turn(addresses)), OSError("it has no address")
    trying: set[asyncio.Task[socket.socket]] = set()
    try:
        while left or trying:
            if left:
                trying.add(asyncio.create_task(_connected(left.popleft(), port, options)))
            done, trying = await asyncio.wait(trying, timeout=APART if left else None, return_when=asyncio.FIRST_COMPLETED)
            trying |= done  # until one of them was looked at, all are to be closed
            for task in done:
                trying.discard(task)
                if not (error := task.exception()):
                    return task.result()
                failure = error if isinstance(error, OSError) else failure
        raise failure
    finally:
        for task in trying:
            task.cancel()
            task.add_done_callback(_close)


def in_turn(addresses: Iterable[str]) -> list[str]:
    """The addresses with the two families in turn, the family of the first one first (RFC 8305 4)."""
    families: dict[bool, list[str]] = {}
    for address in addresses:
        families.setdefault(":" in address, []).append(address)
    return [address for address in chain.from_iterable(zip_longest(*families.values())) if address is not None]


async def _connected(address: str, port: int, options: Iterable[Any]) -> socket.socket:
    connection = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for option in options:
            connection.setsockopt(*option)
        await asyncio.get_running_loop().sock_connect(connection, (address, port))
    except BaseException:
        connection.close()
        raise
    return connection


def _close(task: asyncio.Task[socket.socket]) -> None:
    """A connection that nobody needs any more, if there came to be one."""
    if not task.cancelled() and not task.exception():
        task.result().close()
