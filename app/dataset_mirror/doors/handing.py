"""CONNECT in a worker: it answers TLS itself for hosts that every client trusts it for; for the rest it gives the connection away.

Tunnels, refusals, and what one must remember of clients for, are the filling process'.
"""

import asyncio
import logging
import os
from collections.abc import Callable

from dataset_mirror.doors.connect import Connect
from dataset_mirror.doors.decision import Doors
from dataset_mirror.errors import DataFolderError, SystemFailure
from dataset_mirror.rules.marks import mark_in
from dataset_mirror.wire.connection import Connection
from dataset_mirror.wire.framing import refusal

log = logging.getLogger(__name__)


class Handing:
    """Answers CONNECT for connections that are led here, or hands them over."""

    def __init__(self, doors: Doors, hand_over: Callable[[int, str, str | None, bool], None]) -> None:
        """`hand_over` gives away a descriptor, with the target, the credentials, and whether nothing came behind."""
        self._doors, self._connect, self._hand_over = doors, Connect(doors), hand_over
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, connection: Connection, target: str, *, is_last: bool) -> None:
        if is_last and self._is_ours(connection, target):
            return self._connect(connection, target, is_last=is_last)
        task = asyncio.get_running_loop().create_task(self._give_away(connection, target, is_last=is_last))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return None

    def _is_ours(self, connection: Connection, target: str) -> bool:
        client = connection.client[0] if connection.client else None
        try:
            door = self._doors.interception(target, client, mark_in(connection.credentials))
            if door is None:
                return False
            self._doors.ca.context_for(door.host)
        except (DataFolderError, SystemFailure) as error:  # the authority is to be made, or made again, by the filling process
            log.debug("CONNECT is not answered here: %s", error)
            return False
        return True

    async def _give_away(self, connection: Connection, target: str, *, is_last: bool) -> None:
        transport = connection.hand_over()
        await connection.flushed()
        connection.arm(reset=False)
        if not transport.is_closing():
            try:
                duplicate = os.dup(connection.socket.fileno())
            except OSError as error:  # too many open files
                return connection.refuse_connect(refusal(SystemFailure.of(error), in_first_line=True))
            self._hand_over(duplicate, target, connection.credentials, is_last)
        return transport.abort()  # closes this process' descriptor, and not the connection
