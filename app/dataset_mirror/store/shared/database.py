"""Sessions with PostgreSQL that end in time: whatever it does, no statement takes longer than its limit.

A process that is stopped keeps its connections open and says nothing, which no timeout of PostgreSQL or TCP notices. So the
limit is kept here, by shutting down the socket beneath the session.
"""

import asyncio
import logging
import os
import select
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.pq import TransactionStatus
from psycopg.rows import DictRow, dict_row

log = logging.getLogger(__name__)
T = TypeVar("T")

SECONDS = 2.0
"""That a statement may take, and a connection until it stands."""
MOST = 4
"""Sessions that are kept for work; the life sign and the feed have their own."""


class Unavailable(Exception):
    """The database cannot be reached, does not answer, or broke off. The text says which."""

    @property
    def is_broken_off(self) -> bool:
        """Whether it said so itself, or its system did; a silent one did not."""
        return self.__cause__ is not None


class Session:
    """One connection."""

    def __init__(self, connection: AsyncConnection[DictRow]) -> None:
        self.connection = connection

    @classmethod
    async def connected(cls, url: str, name: str) -> "Session":
        """A new one. Unavailable, in its own words, if there can be none."""
        options = f"-c statement_timeout={int(SECONDS * 1000)} -c timezone=UTC"
        opening = AsyncConnection.connect(
            url,
            autocommit=True,
            row_factory=dict_row,
            application_name=name,
            options=options,
            connect_timeout=int(SECONDS),
            tcp_user_timeout=5000,
            keepalives_idle=5,
            keepalives_interval=2,
        )
        try:
            async with asyncio.timeout(2 * SECONDS):
                return cls(await opening)
        except TimeoutError:
            raise Unavailable(f"it did not accept a connection within {2 * SECONDS:.0f} s") from None
        except (psycopg.Error, OSError, UnicodeError) as error:
            raise Unavailable(said(error)) from error

    async def run(self, statement: str, values: dict[str, Any] | None = None, *, seconds: float = SECONDS) -> list[DictRow]:
        """The rows of a statement, if it has any."""
        return await self._within(seconds, self._run(statement, values))

    async def _run(self, statement: str, values: dict[str, Any] | None) -> list[DictRow]:
        cursor = await self.connection.execute(statement.encode(), values)
        return await cursor.fetchall() if cursor.description else []

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Commits at the end, or rolls back."""
        await self.run("BEGIN")
        try:
            yield
        except BaseException:
            with suppress(Unavailable):
                await self.run("ROLLBACK")
            raise
        await self.run("COMMIT")

    async def notified(self, seconds: float) -> bool:
        """Whether a notification came within so many seconds."""

        async def waiting() -> bool:
            return any([True async for _ in self.connection.notifies(timeout=seconds, stop_after=1)])

        return await self._within(seconds + SECONDS, waiting())

    async def _within(self, seconds: float, work: Coroutine[Any, Any, T]) -> T:
        """Not by cancellation: psycopg would then wait for the server once more."""
        task = asyncio.ensure_future(work)
        try:
            done, _ = await asyncio.wait([task], timeout=seconds)
        except asyncio.CancelledError:
            self.cut()
            task.add_done_callback(_noticed)
            raise
        if not done:
            self.cut()
            task.add_done_callback(_noticed)
            raise Unavailable(f"it did not answer within {seconds:.0f} s")
        try:
            return task.result()
        except (psycopg.Error, OSError) as error:
            raise Unavailable(said(error)) from error

    @property
    def is_usable(self) -> bool:
        return not self.connection.closed and self.connection.pgconn.transaction_status == TransactionStatus.IDLE

    @property
    def is_quiet(self) -> bool:
        """Whether nothing came since its last statement: the goodbye of a database that stopped, or the end of its bytes."""
        reading = select.poll()
        reading.register(self.connection.fileno(), select.POLLIN)
        return not reading.poll(0)

    @property
    def own_address(self) -> str:
        """The address by which this machine reaches the database."""
        with socket.socket(fileno=os.dup(self.connection.fileno())) as copied:
            name = copied.getsockname()
            return str(name[0]) if isinstance(name, tuple) else "127.0.0.1"

    def cut(self) -> None:
        """Whoever waits for the server is told at once that it broke off."""
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self.connection.fileno())) as copied:
            copied.shutdown(socket.SHUT_RDWR)

    async def close(self) -> None:
        with suppress(psycopg.Error, OSError):
            await self.connection.close()


class Database:
    """The shared database, and a few sessions with it."""

    def __init__(self, url: str, name: str) -> None:
        """`name` is how the database's own lists name this mirror."""
        self._url, self._name = url, name
        self._idle: list[Session] = []
        self._places = asyncio.Semaphore(MOST)

    async def connected(self) -> Session:
        """A session of one's own; whoever gets it closes it. Unavailable."""
        return await Session.connected(self._url, self._name)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """One of the few sessions. Unavailable."""
        async with self._places:
            session = await self._taken() or await self.connected()
            try:
                yield session
            finally:
                if session.is_usable:
                    self._idle.append(session)
                else:
                    await session.close()

    async def _taken(self) -> Session | None:
        """One that is idle and did not break off meanwhile."""
        while self._idle:
            session = self._idle.pop()
            if session.is_quiet:
                return session
            await session.close()
        return None

    async def forget(self) -> None:
        """Closes what is idle: it may have broken off."""
        idle, self._idle = self._idle, []
        for session in idle:
            await session.close()


def said(error: BaseException) -> str:
    """What went wrong, in one line and without a password."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__


def _noticed(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled():
        task.exception()
