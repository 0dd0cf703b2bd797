"""CONNECT (RFC 9110 9.3.6) on the mirror's own port: TLS that we answer ourselves for origins, tunnels for public hosts."""

import asyncio
import logging
import ssl

import httptools

from dataset_mirror.doors import tunnel
from dataset_mirror.doors.decision import Doors, Intercept, TunnelTo
from dataset_mirror.errors import BadRequest, MirrorError
from dataset_mirror.serve.asgi import ClientGone
from dataset_mirror.serve.head import problem
from dataset_mirror.wire import tls
from dataset_mirror.wire.protocol import MirrorProtocol
from dataset_mirror.wire.sockets import writable

log = logging.getLogger(__name__)

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


class ConnectingProtocol(MirrorProtocol):
    """One connection of a client, which may ask for another one by CONNECT."""

    _target: bytes | None = None
    """Of a CONNECT that has come."""

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._target is not None:
                self._connect(self._target, is_last=upgrade.args[0] >= len(data))
            elif self._should_upgrade():
                self.handle_websocket_upgrade()
            else:
                self._unsupported_upgrade_warning()
        except httptools.HttpParserError:
            log.debug("Invalid HTTP request received.")
            self.send_400_response("Invalid HTTP request received.")

    def on_headers_complete(self) -> None:
        if self.parser.get_method() == b"CONNECT" and self.doors is not None:
            self._target = self.url
        else:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        if self._target is None:
            super().on_message_complete()

    @property
    def doors(self) -> Doors | None:
        doors: Doors | None = getattr(self.app, "doors", None)
        return doors

    def _connect(self, target: bytes, *, is_last: bool) -> None:
        """From here on the connection is not uvicorn's: it would wait for its end when the mirror is stopped."""
        assert self.doors is not None
        if self._answering:
            return self.send_400_response("CONNECT came before the answer to the request before it.")
        self.transport.pause_reading()
        opening = Opening(self, self.doors, target.decode("latin-1"), is_last=is_last)
        self.connections.discard(self)
        self.connections.add(opening)  # type: ignore[arg-type]
        task = self.loop.create_task(opening.run())
        opening.task = task
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        task.add_done_callback(lambda _: self.connections.discard(opening))


class Opening:
    """What comes of one CONNECT: a connection in TLS, a tunnel, or a refusal. uvicorn stops it like a connection."""

    task: asyncio.Task[None]

    def __init__(self, protocol: ConnectingProtocol, doors: Doors, target: str, *, is_last: bool) -> None:
        self._protocol, self._doors, self._target, self._is_last = protocol, doors, target, is_last
        self._transport = protocol.transport
        self._tunnel: tunnel.Tunnel | None = None

    def shutdown(self) -> None:
        """The mirror is being stopped; a tunnel in use gets the time that answers get."""
        if self._tunnel is None or self._tunnel.is_idle:
            self.task.cancel()

    async def run(self) -> None:
        try:
            await self._open()
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
            raise BadRequest("Bytes came along with CONNECT before its answer.", "Wait for the answer.")
        client = self._protocol.client
        door = self._doors.decide(self._target, client[0] if client else None)
        log.debug("CONNECT to %s.", door.host)
        if isinstance(door, Intercept):
            return await self._intercept(door)
        await self._lead(door)

    async def _intercept(self, door: Intercept) -> None:
        context = self._doors.ca.context_for(door.host)
        await self._establish()
        inner = within(self._protocol)
        inner.authority = door.authority
        await tls.start(self._transport, context, inner, self._doors.handshake_seconds)

    async def _lead(self, door: TunnelTo) -> None:
        counts = self._doors.mirror.traffic.passages
        counts.tunnels += 1
        try:
            far = await tunnel.connect(door.host, self._doors)
            try:
                await self._establish()
                counts.tunnelled += 1
                self._tunnel = tunnel.Tunnel(self._transport, far)
                await self._tunnel.run()
            finally:
                far.close()
        finally:
            counts.tunnels -= 1

    async def _establish(self) -> None:
        """Says that the connection is there. All of it is the kernel's before another protocol takes over."""
        self._log(200)
        self._transport.write(ESTABLISHED)
        while self._transport.get_write_buffer_size():
            await writable(self._transport.get_extra_info("socket"))
        if self._transport.is_closing():
            raise ClientGone

    def _refuse(self, error: MirrorError) -> None:
        """A problem document; its words stand in the status line too, for that is all that many clients show."""
        status, fields, body = problem(error)
        self._log(status)
        words = "".join(character for character in error.detail if " " <= character <= "~")[:200]
        lines = [f"HTTP/1.1 {status} {words}".encode(), *(name + b": " + value for name, value in fields), b"connection: close"]
        self._transport.write(b"\r\n".join(lines) + b"\r\n\r\n" + body)
        self._protocol.close_in_order()

    def _log(self, status: int) -> None:
        if self._protocol.access_log:
            client = self._protocol.client
            where = f"{client[0]}:{client[1]}" if client else ""
            self._protocol.access_logger.info('%s - "%s %s HTTP/%s" %d', where, "CONNECT", self._target, "1.1", status)


def within(protocol: MirrorProtocol) -> tls.TlsProtocol:
    """A protocol in TLS for the same app."""
    return tls.TlsProtocol(protocol.config, protocol.server_state, protocol.app_state, protocol.loop)


class TlsPortProtocol(asyncio.Protocol):
    """A connection to `tls_port`: TLS from its first byte on, with the operator's certificate."""

    def __init__(self, context: ssl.SSLContext, inner: tls.TlsProtocol, seconds: float) -> None:
        self._context, self._inner, self._seconds = context, inner, seconds

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(high=0)
        self._task = asyncio.get_running_loop().create_task(tls.start(transport, self._context, self._inner, self._seconds))
