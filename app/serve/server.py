"""Running the app under uvicorn with our protocol: signals, grace, and the first lines that a person sees."""

import asyncio
import contextlib
import errno
import logging
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn

from app.errors import DataFolderError, UsageError
from app.serve.asgi import App
from app.serve.protocol import MirrorProtocol
from app.settings import Settings

log = logging.getLogger("dataset_mirror")


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


class Server(uvicorn.Server):
    """uvicorn's server with our signals: the first SIGINT or SIGTERM stops gently, a second one at once; SIGHUP reloads."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None], reload: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready, self._reload = ready, reload

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        if self.force_exit:  # uvicorn skips this then: the fills would not end, and the lifespan's task would be torn down
            await self.lifespan.shutdown()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                loop.remove_signal_handler(number)

    def _stop(self) -> None:
        if self.should_exit:
            self.force_exit = True
            for task in self.server_state.tasks:
                task.cancel()
        else:
            log.info("Stopping; running answers get %s s (Ctrl-C again ends them at once).", self.config.timeout_graceful_shutdown)
        self.should_exit = True


def run(
    app: App, settings: Settings, listening: socket.socket, *, access_log: bool, ready: Callable[[], None], reload: Callable[[], None]
) -> None:
    """Serves until a signal ends it."""
    config = uvicorn.Config(
        app,
        http=MirrorProtocol,
        loop="asyncio",  # uvloop has no sendfile
        lifespan="on",
        log_config=None,
        access_log=access_log,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=int(settings.grace) or 1,
        timeout_keep_alive=75,
    )
    Server(config, ready, reload).run(sockets=[listening])
