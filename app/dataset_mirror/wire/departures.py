"""Clients that leave while nobody reads from their connection: because it is half-closed, or a pipelined request waits.

asyncio asks the kernel only about connections that it reads or writes. A second epoll, asked about nothing else, tells when a
client has closed its side, and when the connection is lost. Where there is no epoll, or no descriptor for one, the next write tells.
"""

import asyncio
import select
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_LOST = getattr(select, "EPOLLHUP", 0) | getattr(select, "EPOLLERR", 0)

Told = Callable[[bool], None]
"""Called with whether the connection is lost; else its client has closed its sending side."""


class Departures:
    """Watches connections, by descriptor. It is opened before a connection needs it, while there still is a descriptor."""

    def __init__(self) -> None:
        self._epoll: Any = None
        self._watched: dict[int, Told] = {}

    def open(self) -> None:
        """In the loop that it works for; does nothing the second time, or where the system refuses."""
        if self._epoll is None and hasattr(select, "epoll"):
            with suppress(OSError):
                self._epoll = select.epoll()
                asyncio.get_running_loop().add_reader(self._epoll.fileno(), self._look)

    def watch(self, connection: Any, told: Told) -> None:
        """Tells at once if it has happened already, and each time that something new does."""
        number = connection.fileno() if connection is not None else -1
        if number < 0 or number in self._watched or self._epoll is None:
            return
        with suppress(OSError):  # no memory for it
            self._epoll.register(number, select.EPOLLRDHUP | select.EPOLLET)
            self._watched[number] = told

    def forget(self, connection: Any) -> None:
        """To be called before it is closed: its number may be another's soon."""
        number = connection.fileno() if connection is not None else -1
        if self._watched.pop(number, None) is not None:
            self._epoll.unregister(number)

    def _look(self) -> None:
        for number, events in self._epoll.poll(0):
            told = self._watched.get(number)
            if told:
                told(bool(events & _LOST))
