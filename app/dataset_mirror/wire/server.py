"""Running the app under uvicorn with our connections: signals, grace, and the first lines that a person sees."""

import asyncio
import contextlib
import errno
import logging
import signal
import socket
import ssl
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, cast

import uvicorn

from dataset_mirror.errors import DataFolderError, UsageError
from dataset_mirror.serve.asgi import App
from dataset_mirror.settings import Settings
from dataset_mirror.wire.connection import Connection
from dataset_mirror.wire.leaving import alerts_sent
from dataset_mirror.wire.services import Services
from dataset_mirror.wire.tls import Tls, server_context

ALERT_SECONDS = 1.0
"""How long the mirror waits at its end for clients in TLS to be told that their bodies are not whole."""

log = logging.getLogger(__name__)


def listen(host: str, port: int, *, look_up: bool = True) -> socket.socket:
    """A listening socket; UsageError or DataFolderError, in a sentence, if there can be none.

    `look_up`: whether a name server may be asked for `host`. It is not for localhost, which the machine itself knows.
    """
    flags = socket.AI_PASSIVE
    if not look_up and host != "localhost":
        flags |= socket.AI_NUMERICHOST
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)[0]
    except OSError as error:
        if not look_up:
            raise UsageError(f"{host} is not an address, and offline no name is looked up.", "Give an address: --host 0.0.0.0") from None
        raise UsageError(f"{host} is not an address of this machine: {error.strerror}.", "Give another --host.") from None
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(1024)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise DataFolderError(f"Port {port} of {host} is in use.", "Stop what listens there, or give another --port.") from None
        raise UsageError(f"Cannot listen at {host} port {port}: {error.strerror}.", "Give another --host or --port.") from None
    listening.setblocking(False)
    return listening


@dataclass(frozen=True, slots=True)
class TlsPort:
    """A port at which the mirror speaks https, with the operator's certificate."""

    listening: socket.socket
    context: ssl.SSLContext

    @property
    def port(self) -> int:
        number: int = self.listening.getsockname()[1]
        return number

    async def serve(self, server: uvicorn.Server, services: Services) -> asyncio.Server:
        """Accepts connections for a server that has started."""
        loop = asyncio.get_running_loop()
        services = replace(services, opener=None)

        def connection() -> Tls:
            above = Connection(server.config, server.server_state, server.lifespan.state, loop, services=services)
            return Tls(self.context, above, services.crowd.handshake_timeout)

        return await loop.create_server(connection, sock=self.listening, backlog=server.config.backlog)


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """What `tls_port` speaks with, if the settings name one; UsageError if its certificate cannot be used."""
    if settings.tls_port is None:
        return None
    if settings.tls_cert is None or settings.tls_key is None:
        raise UsageError("`tls_port` needs a certificate and its key.", "Give --tls-cert FILE and --tls-key FILE, in PEM.")
    try:
        return server_context(settings.tls_cert, settings.tls_key)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(
            f"The certificate {settings.tls_cert} with the key {settings.tls_key} cannot be used: {reason}.",
            "Give a certificate and its own key, in PEM and without a password.",
        ) from None


def _nothing(*_: object) -> None:
    """There is nobody to tell."""


async def _no_reload() -> None:
    """There is nothing to read."""


class Server(uvicorn.Server):
    """uvicorn's server with our signals: the first SIGINT or SIGTERM stops gently, a second one at once; SIGHUP reloads."""

    def __init__(
        self,
        config: uvicorn.Config,
        services: Services,
        ready: Callable[[uvicorn.Server], None] = _nothing,
        reload: Callable[[], Coroutine[None, None, None]] = _no_reload,
        tls_port: TlsPort | None = None,
    ) -> None:
        super().__init__(config)
        self._services, self._ready, self._reload, self._tls_port = services, ready, reload, tls_port
        self._reloading: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().set_exception_handler(self._services.crowd.on_exception)
        await super().startup(sockets)
        if self.started and self._tls_port:
            self.servers.append(await self._tls_port.serve(self, self._services))
        if self.started:
            self._ready(self)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._services.stopping:
            self._services.stopping()
        await super().shutdown(sockets)
        await alerts_sent(ALERT_SECONDS)
        if self.force_exit:  # uvicorn skips this then: the fills would not end, and the lifespan's task would be torn down
            await self.lifespan.shutdown()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._begin_reload)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                loop.remove_signal_handler(number)

    def _begin_reload(self) -> None:
        self._reloading = asyncio.get_running_loop().create_task(self._reload())

    def _stop(self) -> None:
        if self.should_exit:
            self.force_exit = True
            for task in self.server_state.tasks:
                task.cancel()
        else:
            log.info("Stopping; running answers get %s s (Ctrl-C again ends them at once).", self.config.timeout_graceful_shutdown)
        self.should_exit = True


def uvicorn_config(
    app: App, services: Services, settings: Settings, *, lifespan: Literal["on", "off"] = "on", access_log: bool
) -> uvicorn.Config:
    """uvicorn's configuration, with our connections."""
    return uvicorn.Config(
        app,
        http=cast(type[asyncio.Protocol], partial(Connection, services=services)),
        ws="none",
        loop="asyncio",  # uvloop has no sendfile
        lifespan=lifespan,
        log_config=None,
        access_log=access_log,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=int(settings.grace) or 1,
        timeout_keep_alive=75,
    )
