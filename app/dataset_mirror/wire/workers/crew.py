"""The filling process' side of the workers: their lives, their requests, and what all of them have to do at one moment."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import socket
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from dataset_mirror.errors import MirrorError
from dataset_mirror.fetch.recent import Elsewhere
from dataset_mirror.mirror import Mirror
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.origins.routing import OwnPaths
from dataset_mirror.settings import Configuration
from dataset_mirror.wire.connection import Connection
from dataset_mirror.wire.server import TlsPort
from dataset_mirror.wire.services import Services
from dataset_mirror.wire.workers import remote
from dataset_mirror.wire.workers.channel import Channel, Closed
from dataset_mirror.wire.workers.counts import Counts
from dataset_mirror.wire.workers.keeper import Keeper

if TYPE_CHECKING:
    import uvicorn

log = logging.getLogger(__name__)

_COUNTING_SECONDS = 1.0
"""How long a worker is waited for that is asked what it has counted."""
_PREPARING_SECONDS = 5.0
"""How long a worker is waited for that has to take up a configuration."""
_ENDING_SECONDS = 4.0
_PAUSE_SECONDS = 1.0
"""Before a worker is started again that died as soon as it was there, or could not be started."""
_FOR_NOW = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN})
"""What may be well in a moment: there are no descriptors, there is no memory, or no process."""


class _Worker:
    """One worker process."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid = pid
        self.channel = Channel(connection)
        self.ready: asyncio.Future[None] | None = None
        """Done when it serves, or has gone."""
        self.reading: dict[str, int] = {}
        self.answers: frozenset[Elsewhere] = frozenset()
        """What it was answering when it last told."""
        self._questions: deque[asyncio.Future[None]] = deque()
        """Those that it has not answered yet, in their order, which is that of its answers."""

    def ask(self, what: str, *more: object) -> asyncio.Future[None]:
        """Asks it for something; done when it has answered, or gone."""
        question = asyncio.get_running_loop().create_future()
        self._questions.append(question)
        self.channel.post((what, *more))
        return question

    def answered(self) -> None:
        question = self._questions.popleft()
        if not question.done():
            question.set_result(None)

    def gone(self) -> None:
        """Nobody waits for its answers any more."""
        self.reading = {}
        while self._questions:
            self.answered()


class Crew:
    """All workers of a mirror: its `others`. uvicorn stops them like a connection."""

    def __init__(
        self,
        keeper: Keeper,
        mirror: Mirror,
        listening: list[list[socket.socket]],
        own: OwnPaths,
        services: Services,
        tls_port: TlsPort | None = None,
    ) -> None:
        """`listening`: for each worker its sockets, the plain one first; the second one is for what `tls_port` speaks."""
        self._keeper, self._mirror, self._listening, self._own, self._services = keeper, mirror, listening, own, services
        self._tls_port = tls_port
        self._workers: set[_Worker] = set()
        self._lives: set[asyncio.Task[None]] = set()
        self._keeping, self._changing = asyncio.Lock(), asyncio.Lock()
        self._fresh: Configuration | None = None
        """What was taken up since the start: the keeper knows only the first configuration."""
        self._is_stopping = False
        self.is_lost = False
        """Whether no worker can be started any more."""

    # Their lives

    def start(self, server: uvicorn.Server) -> None:
        """Starts all of them, for a server that has started."""
        self._server = server
        server.server_state.connections.add(self)  # type: ignore[arg-type]
        for sockets in self._listening:
            life = asyncio.create_task(self._live(sockets))
            self._lives.add(life)
            life.add_done_callback(self._ended)

    def _ended(self, life: asyncio.Task[None]) -> None:
        self._lives.discard(life)
        if not self._lives:
            self._server.server_state.connections.discard(self)
        if not life.cancelled() and (error := life.exception()):
            log.error("A worker is not looked after any more.", exc_info=error)

    async def _live(self, sockets: list[socket.socket]) -> None:
        """One worker after the other, until all are to stop."""
        loop = asyncio.get_running_loop()
        while not self._is_stopping:
            began = loop.time()
            try:
                worker = await self._started(sockets)
                await self._serve(worker)
                how = await self._kept(partial(self._keeper.end, worker.pid))
            except OSError as error:
                if error.errno not in _FOR_NOW:
                    return self._lost(error)
                log.error("A worker cannot be started now: %s.", error.strerror)
                await self._paused(sockets)
                continue
            if not self._is_stopping:
                log.error("The worker %d ended (%s); another one takes its place.", worker.pid, _words(how))
                if loop.time() - began < _PAUSE_SECONDS:
                    await self._paused(sockets)
        return None

    async def _paused(self, sockets: list[socket.socket]) -> None:
        """A while without a worker."""
        async with self._accepting(sockets):
            await asyncio.sleep(_PAUSE_SECONDS)

    @asynccontextmanager
    async def _accepting(self, sockets: list[socket.socket]) -> AsyncIterator[None]:
        """This process accepts at a worker's sockets meanwhile: nobody is to wait for one that cannot start."""
        servers: list[asyncio.Server] = []
        own: list[socket.socket] = []
        with suppress(OSError):  # no descriptors: then they wait
            own += (one.dup() for one in sockets)
            servers.append(await asyncio.get_running_loop().create_server(self._connection, sock=own[0]))
            if self._tls_port:
                servers.append(await replace(self._tls_port, listening=own[1]).serve(self._server, self._services))
        try:
            yield
        finally:
            for server in servers:
                server.close()
            for one in own:  # also those that no server has taken
                one.close()

    def _connection(self) -> Connection:
        server, loop = self._server, asyncio.get_running_loop()
        return Connection(server.config, server.server_state, server.lifespan.state, loop, services=self._services)

    async def _started(self, sockets: list[socket.socket]) -> _Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            worker = _Worker(await self._kept(lambda: self._keeper.spawn(theirs.fileno(), sockets)), ours)
        async with self._changing:
            self._workers.add(worker)
            fresh = self._fresh and (self._fresh.settings, self._fresh.origins)
            worker.ready = worker.ask("begin", self._mirror.upstream.via, self._own, fresh)
        if self._is_stopping:
            worker.channel.post(("stop",))
        return worker

    async def _kept(self, ask: Any) -> int:
        """What the keeper answers."""
        async with self._keeping:
            number: int = await asyncio.to_thread(ask)
            return number

    def _lost(self, error: OSError) -> None:
        if not self._is_stopping:
            log.critical("Workers cannot be started any more: %s The mirror stops.", error)
            self.is_lost = self._server.should_exit = True

    # What they say

    async def _serve(self, worker: _Worker) -> None:
        """Does what a worker asks for, until it has gone."""
        with suppress(Closed):
            while True:
                (what, *more), descriptors = await worker.channel.receive()
                self._heard(worker, what, more, descriptors)
        self._workers.discard(worker)
        self._show(worker, frozenset())
        worker.gone()

    def _heard(self, worker: _Worker, what: str, more: list[Any], descriptors: list[int]) -> None:
        if what == "request" and descriptors:
            self._spawn(remote.answer(self._server.config.loaded_app, more[0], socket.socket(fileno=descriptors[0])))
        elif what == "connect" and descriptors:
            self._spawn(self._connect(socket.socket(fileno=descriptors[0]), *more))
        elif what == "stale":
            self._check(more[0])
        elif what in ("counts", "counted"):
            self._count(worker, more[0])
        if what in ("ready", "counts", "prepared"):
            worker.answered()

    def _count(self, worker: _Worker, counts: Counts) -> None:
        counts.add_to(self._mirror)
        worker.reading = counts.reading
        self._show(worker, counts.under_way)

    def _show(self, worker: _Worker, answers: frozenset[Elsewhere]) -> None:
        """Answers of workers are among those that people see under way."""
        self._mirror.recent.under_way -= worker.answers
        self._mirror.recent.under_way |= answers
        worker.answers = answers

    def _spawn(self, work: Any) -> None:
        """uvicorn waits for it when the mirror is stopped, and cancels it in the end."""
        task = asyncio.create_task(work)
        self._server.server_state.tasks.add(task)
        task.add_done_callback(self._server.server_state.tasks.discard)

    async def _connect(self, connection: socket.socket, target: str, credentials: str | None, is_last: bool) -> None:
        """Goes on with a client's connection on which a worker read CONNECT."""
        taken = self._connection()
        connection.setblocking(False)
        await asyncio.get_running_loop().connect_accepted_socket(lambda: taken, connection)
        taken.take_over(target, credentials, is_last=is_last)

    def _check(self, archive: ArchiveId) -> None:
        with suppress(MirrorError):  # the worker may know what cannot be read here any more
            if record := self._mirror.store.find(archive):
                self._mirror.freshness(record)

    # What all of them do

    async def gather(self) -> None:
        await self._all(self._workers, "counts", _COUNTING_SECONDS)

    async def _all(self, workers: Iterable[_Worker], what: str, seconds: float, *more: object) -> set[_Worker]:
        """Asks them all at once; returns those that did not answer in time."""
        asked = {worker.ask(what, *more): worker for worker in workers}
        if not asked:
            return set()
        _, late = await asyncio.wait(asked, timeout=seconds)
        return {asked[answer] for answer in late}

    def reads(self, sha256: str) -> bool:
        return any(worker.reading.get(sha256) for worker in self._workers)

    @asynccontextmanager
    async def at_one_moment(self, fresh: Configuration) -> AsyncIterator[None]:
        """All stand still, each process a moment, so that no client sees a new setting, and an old one after it."""
        async with self._changing:
            standing = set(self._workers)
            if starting := [worker.ready for worker in standing if worker.ready and not worker.ready.done()]:
                await asyncio.wait(starting, timeout=_PREPARING_SECONDS)
            for late in await self._all(standing, "prepare", _PREPARING_SECONDS, fresh.settings, fresh.origins):
                log.error("The worker %d does not take up the configuration.", late.pid)
                os.kill(late.pid, signal.SIGKILL)
                standing.discard(late)
            try:
                self._fresh = fresh
                yield
            finally:
                for worker in standing:
                    worker.channel.post(("go",))

    # Their end

    def shutdown(self) -> None:
        """The mirror is shutting down: what they are answering is answered still."""
        self._is_stopping = True
        for worker in self._workers:
            worker.channel.post(("stop",))

    async def end(self) -> None:
        self.shutdown()
        for worker in self._workers:
            worker.channel.post(("end",))
        if self._lives:
            await asyncio.wait(self._lives, timeout=_ENDING_SECONDS)


def _words(status: int) -> str:
    """How a process ended, from its wait status."""
    code = os.waitstatus_to_exitcode(status)
    return f"exit status {code}" if code >= 0 else f"killed by signal {-code}"
