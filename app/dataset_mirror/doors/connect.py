"""CONNECT (RFC 9110 9.3.6) on the mirror's own port: TLS that we answer ourselves for origins, tunnels for public hosts."""

import asyncio
import logging

from dataset_mirror.doors.decision import Doors, Intercept, TunnelTo
from dataset_mirror.doors.reaching import connect
from dataset_mirror.doors.tunnel import Tunnel
from dataset_mirror.doors.vanishing import Vanishing
from dataset_mirror.errors import BadRequest, MirrorError, Offline
from dataset_mirror.rules.marks import mark_in
from dataset_mirror.serve.asgi import ClientGone
from dataset_mirror.wire.connection import Connection
from dataset_mirror.wire.framing import head, refusal
from dataset_mirror.wire.sockets import writable
from dataset_mirror.wire.tls import Tls

log = logging.getLogger(__name__)

ESTABLISHED = head(200, [], "Connection established")


class Connect:
    """Answers CONNECT for connections that are led here."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    def __call__(self, connection: Connection, target: str, *, is_last: bool) -> None:
        Opening(connection, self._doors, target, is_last=is_last).start()


class Opening:
    """What comes of one CONNECT: a connection in TLS, a tunnel, or a refusal. uvicorn stops it like a connection."""

    task: asyncio.Task[None]

    def __init__(self, connection: Connection, doors: Doors, target: str, *, is_last: bool) -> None:
        self._connection, self._doors, self._target, self._is_last = connection, doors, target, is_last
        self._server, self._crowd = connection.server_state, connection.services.crowd
        self._tunnel: Tunnel | None = None

    def start(self) -> None:
        """From here on the connection is not HTTP's."""
        self._transport = self._connection.hand_over()
        self._crowd.enter(self)
        self._crowd.departures.watch(self._connection.socket, self._departed)
        self._server.connections.add(self)  # type: ignore[arg-type]
        self.task = asyncio.get_running_loop().create_task(self.run())
        self._server.tasks.add(self.task)
        self.task.add_done_callback(self._end)

    def shutdown(self) -> None:
        """The mirror is shutting down; a tunnel in use gets the time that answers get."""
        if self._tunnel is None or self._tunnel.is_idle:
            self.task.cancel()

    def expire(self) -> None:
        """It never waits for its client."""

    give_way = expire

    async def run(self) -> None:
        """Opens what the CONNECT asks for, or refuses it."""
        try:
            await self._open()
        except Offline as error:
            await self._vanish(error)
        except MirrorError as error:
            self._doors.mirror.traffic.passages.refused += 1
            self._refuse(error)
        except (ClientGone, asyncio.CancelledError):
            self._transport.abort()
        except BaseException:
            self._transport.abort()
            raise

    async def _open(self) -> None:
        if not self._is_last:
            raise BadRequest("Bytes came along with CONNECT before its answer.", "Wait for the answer first.")
        client = self._connection.client
        door = self._doors.decide(self._target, client[0] if client else None, mark_in(self._connection.credentials))
        log.debug("CONNECT to %s.", door.host)
        if isinstance(door, Intercept):
            return await self._intercept(door)
        await self._lead(door)

    async def _intercept(self, door: Intercept) -> None:
        context = self._doors.ca.context_for(door.host)
        await self._establish()
        layer = Tls(context, self._connection.within(door.authority), self._doors.handshake_seconds)
        self._leave()
        self._transport.set_protocol(layer)
        layer.connection_made(self._transport)
        if not self._transport.is_closing():
            self._transport.resume_reading()

    async def _lead(self, door: TunnelTo) -> None:
        counts = self._doors.mirror.traffic.passages
        counts.tunnels += 1
        try:
            try:
                far = await connect(door.host, self._doors)
            except MirrorError:
                if door.otherwise is None:
                    raise
                return await self._intercept(door.otherwise)
            try:
                await self._establish()
                counts.tunnelled += 1
                self._crowd.departures.forget(self._connection.socket)
                self._tunnel = Tunnel(self._transport, far)
                await self._tunnel.run()
            finally:
                far.close()
        finally:
            counts.tunnels -= 1

    async def _establish(self, logged: int = 200) -> None:
        """Says that the connection is there. All of it is the kernel's before another protocol takes over."""
        self._connection.log_line("CONNECT", self._target, "1.1", logged)
        self._transport.write(ESTABLISHED)
        while self._transport.get_write_buffer_size():
            await writable(self._connection.socket)
        if self._transport.is_closing():
            raise ClientGone
        self._connection.arm(reset=False)  # an answer from memory may have left it armed

    async def _vanish(self, error: Offline) -> None:
        """Offline: the client meets a network that is not there. What it wanted is in the log, in /status and on the wanted list."""
        client = self._connection.client
        try:
            await self._doors.turned_away(str(error.facts["host"]), client[0] if client else None, error)
            await self._establish(error.status)
            self._crowd.departures.forget(self._connection.socket)
            await Vanishing(self._transport).run(self._doors.handshake_seconds)
        except (ClientGone, asyncio.CancelledError):
            self._transport.abort()

    def _refuse(self, error: MirrorError) -> None:
        """A problem document; its words stand in the status line too, for that is all that many clients show."""
        self._connection.log_line("CONNECT", self._target, "1.1", error.status)
        if self._transport.is_closing():
            return
        self._leave()
        self._connection.refuse_connect(refusal(error, in_first_line=True))

    def _departed(self, lost: bool) -> None:
        """A client that closed its side will send nothing through a tunnel, nor a handshake."""
        self.task.cancel()

    def _leave(self) -> None:
        self._crowd.departures.forget(self._connection.socket)
        self._crowd.leave(self)
        self._server.connections.discard(self)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._server.tasks.discard(task)
        self._server.connections.discard(self)
        self._crowd.leave(self)
