"""A worker's side: it serves until the filling process says that it is to stop, or has gone."""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import uvicorn

from dataset_mirror.mirror import Mirror
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.origins.routing import OwnPaths
from dataset_mirror.serve.asgi import App, Scope
from dataset_mirror.settings import Configuration
from dataset_mirror.wire.server import Server, TlsPort, uvicorn_config
from dataset_mirror.wire.services import Services
from dataset_mirror.wire.workers.channel import Channel, Closed
from dataset_mirror.wire.workers.counts import Counts

log = logging.getLogger(__name__)

_TELLING_SECONDS = 1.0
"""How often it says what it has counted; what is not said yet is lost if it is killed."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a worker is made of."""

    mirror: Mirror
    app: App
    services: Services


Assemble = Callable[["Worker", str, OwnPaths], Parts]
"""Makes the parts of a worker; `via` is what the mirror calls itself to its origins, and there are paths of its own pages."""


class Worker:
    """One process that answers hits. It obeys the filling process, and ends with it."""

    _server: Server
    _mirror: Mirror

    def __init__(self, configuration: Configuration, control: socket.socket, listening: list[socket.socket]) -> None:
        self.configuration, self._control, self._listening = configuration, control, listening
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self, assemble: "Assemble", context: ssl.SSLContext | None, *, access_log: bool) -> int:
        """Serves to its end; returns an exit status. `assemble` makes its parts, `context` is for its second socket."""
        self._channel = Channel(self._control)
        try:
            (_, via, own, fresh), _ = await self._channel.receive()
        except Closed:
            return 1
        if fresh:
            self._take_up(*fresh)
        parts = assemble(self, via, own)
        self._mirror = parts.mirror
        config = uvicorn_config(parts.app, parts.services, self.configuration.settings, lifespan="off", access_log=access_log)
        tls_port = TlsPort(self._listening[1], context) if context else None
        self._server = _Quiet(config, parts.services, self._ready, tls_port=tls_port)
        with self._mirror.tail.attached():
            await self._server.serve(sockets=[self._listening[0]])
        for task in self._tasks:
            task.cancel()
        return 1 if self._channel.is_closed else self._say_last()

    def _ready(self, _: uvicorn.Server) -> None:
        self._channel.post(("ready",))
        self._tasks += [asyncio.create_task(work) for work in (self._obey(), self._tell_for_ever())]

    def _take_up(self, settings: Any, origins: Any) -> None:
        self.configuration.settings, self.configuration.origins = settings, origins

    # What it says

    def ask(self, scope: Scope, connection: int) -> None:
        """Lets the filling process answer a request, by this end of its own socket."""
        self._channel.post(("request", dict(scope)), connection)

    def hand_over(self, connection: int, target: str, credentials: str | None, is_last: bool) -> None:
        """Gives a client's connection away on which CONNECT came."""
        self._channel.post(("connect", target, credentials, is_last), connection)

    def tell_stale(self, archive: ArchiveId) -> None:
        """Lets the filling process check an archive."""
        self._channel.post(("stale", archive))

    async def _tell_for_ever(self) -> None:
        was_busy = False
        while True:
            await asyncio.sleep(_TELLING_SECONDS)
            counts = Counts.taken_from(self._mirror)
            is_busy = bool(counts.reading or counts.under_way)
            if counts or is_busy or was_busy:
                self._channel.post(("counted", counts))
            was_busy = is_busy

    def _say_last(self) -> int:
        """The connection to the filling process ends with what was counted."""
        self._channel.post(("counted", Counts.taken_from(self._mirror)))
        self._channel.flush()
        return 0

    # What it is told

    async def _obey(self) -> None:
        try:
            while True:
                (what, *more), _ = await self._channel.receive()
                self._do(what, more)
        except Closed:
            self._end()

    def _do(self, what: str, more: list[Any]) -> None:
        if what == "counts":
            self._channel.post(("counts", Counts.taken_from(self._mirror)))
        elif what == "prepare":
            self._channel.post(("prepared",))
            self._channel.receive_blocking(("go",))
            self._take_up(*more)
        elif what == "stop":
            self._server.should_exit = True
        elif what == "end":
            self._end()

    def _end(self) -> None:
        """At once: what is under way is broken off."""
        self._server.should_exit = self._server.force_exit = True
        for task in self._server.server_state.tasks:
            task.cancel()


class _Quiet(Server):
    """A server that no signal reaches: those of a terminal, or of a service manager, are for the filling process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
