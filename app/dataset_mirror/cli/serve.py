"""`serve`: the mirror itself."""

import asyncio
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit

import click
import uvicorn

from dataset_mirror.cli.logs import STANDARD_ERROR, configure
from dataset_mirror.cli.options import configured
from dataset_mirror.doors.ca import CertificateAuthority
from dataset_mirror.errors import DataFolderError, UsageError
from dataset_mirror.fetch.tail import Tail
from dataset_mirror.main import assemble, assemble_worker
from dataset_mirror.mirror import Mirror
from dataset_mirror.origins.names import prefix_of
from dataset_mirror.origins.unknown import closest
from dataset_mirror.rules.company import company_proxy
from dataset_mirror.rules.counted import counted
from dataset_mirror.settings import Configuration, Settings
from dataset_mirror.store.folder import file_system
from dataset_mirror.store.store import Store, open_store
from dataset_mirror.wire.crowd import raise_descriptor_limit
from dataset_mirror.wire.server import Server, TlsPort, listen, tls_context, uvicorn_config
from dataset_mirror.wire.workers.crew import Crew
from dataset_mirror.wire.workers.keeper import Keeper
from dataset_mirror.wire.workers.listening import cores, shared
from dataset_mirror.wire.workers.worker import Worker

log = logging.getLogger(__name__)

_SHARED = (
    *("dataset_mirror.doors.certificates", "cryptography.hazmat.backends.openssl.backend", "anyio._backends._asyncio"),
    *("uvicorn.lifespan.off", "uvicorn.lifespan.on", "uvicorn.loops.asyncio", "encodings.idna"),
)
"""What is loaded before there are several processes, so that they have it in common: each would load it soon."""


@click.command(name="serve")
@click.option("--host", help="Address to listen on [default: 127.0.0.1].")
@click.option("--port", type=int, help="Port to listen on; 0 takes a free one [default: 8080].")
@click.option("--workers", metavar="N|auto", help="Processes that answer clients; auto: one per core [default: 1].")
@click.option("--offline", is_flag=True, default=None, help="Serve only what is stored; no packet leaves.")
@click.option("--upstream-proxy", metavar="URL|env", help="Proxy for the mirror's own requests; env takes the one in the environment.")
@click.option("--tls-port", type=int, help="Second port, for https.")
@click.option("--tls-cert", type=click.Path(path_type=Path), help="Its certificate, with its chain (PEM).")
@click.option("--tls-key", type=click.Path(path_type=Path), help="The certificate's key (PEM).")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True)
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="json: one object per line.")
@click.option(
    "--access-log",
    is_flag=False,
    flag_value=STANDARD_ERROR,
    metavar="[FILE]",
    help="One line per request, on standard error or in FILE (which logrotate may move). Included with --log-format json.",
)
@configured
def command(configuration: Configuration, log_level: str, log_format: str, access_log: str | None) -> None:
    """Run the mirror: fetch archives from their origins once, keep them, serve them.

    Works without any option. Stop it with Ctrl-C.
    """
    signal.signal(signal.SIGUSR1, lambda *_: None)  # whoever rotates logs may send it, whether there is a file or not
    configure(log_level, access_log=access_log, log_format=log_format, secrets=configuration.secrets)
    has_log = access_log is not None or log_level == "debug" or log_format == "json"
    raise_descriptor_limit()
    context, processes = tls_context(configuration.settings), _processes(configuration.settings)
    if processes == 1:
        return _serve(configuration, context, has_log)
    for module in _SHARED:
        import_module(module)
    keeper = Keeper.fork(partial(_work, configuration, context, has_log, processes))
    try:
        _serve(configuration, context, has_log, processes, keeper)
    finally:
        keeper.close()
    return None


def _processes(settings: Settings) -> int:
    return cores() if settings.workers == "auto" else settings.workers


def _serve(
    configuration: Configuration, context: ssl.SSLContext | None, has_log: bool, processes: int = 1, keeper: Keeper | None = None
) -> None:
    """The process that fills, of so many that answer."""
    settings, crew = configuration.settings, None
    with Tail(configuration.secrets).attached() as tail, closing(open_store(configuration)) as store:
        lock = store.lock()
        plain = shared(listen(settings.host, settings.port, look_up=not settings.offline), processes)
        secure = shared(listen(settings.host, settings.tls_port or 0, look_up=not settings.offline), processes) if context else []
        url, tls_port = url_of(plain[0]), TlsPort(secure[0], context) if context else None
        mirror = Mirror(configuration, store, tail)
        parts = assemble(mirror, plain[0].getsockname()[1], processes)
        if tls_port:
            parts.doors.own_ports.add(tls_port.port)
        if keeper:
            sockets = [list(own) for own in (zip(plain, secure, strict=True) if secure else zip(plain, strict=True))]
            crew = mirror.others = Crew(keeper, mirror, sockets[1:], parts.own, parts.services, tls_port)

        def ready(server: uvicorn.Server) -> None:
            if crew:
                crew.start(server)
            lock.announce(url)
            _greet(configuration, store, url, tls_port)
            asyncio.get_running_loop().run_in_executor(None, _prepare, parts.doors.ca)

        config = uvicorn_config(parts.app, parts.services, settings, access_log=has_log)
        Server(config, parts.services, ready, lambda: _reload(mirror), tls_port).run(sockets=[plain[0]])
    if crew and crew.is_lost:
        sys.exit(1)


def _work(
    configuration: Configuration,
    context: ssl.SSLContext | None,
    has_log: bool,
    processes: int,
    control: socket.socket,
    listening: list[socket.socket],
) -> int:
    """A process that answers hits; returns its exit status."""
    port = listening[0].getsockname()[1]
    worker = Worker(configuration, control, listening)
    try:
        return asyncio.run(worker.run(partial(assemble_worker, port, processes), context, access_log=has_log))
    except DataFolderError as error:
        log.error("A worker cannot start, and tries again: %s", error)
        return 1


def _prepare(ca: CertificateAuthority) -> None:
    """Makes the certificate authority, or issues it again for other hosts, before the first client needs it."""
    try:
        log.debug("The certificate authority is %s.", ca.fingerprint)
    except DataFolderError as error:
        log.error("%s Only plain http works meanwhile.", error)


async def _reload(mirror: Mirror) -> None:
    """On SIGHUP; a wrong setting must not end what runs well."""
    try:
        await mirror.reload()
    except UsageError as error:
        log.error("The configuration was not reloaded: %s", error)


def url_of(listening: socket.socket) -> str:
    """A URL at which programs on this machine reach the server."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def reached_only_here(settings: Settings) -> bool:
    """Whether no other machine can reach the mirror, unless a proxy on this one leads here, as `public_url` would say."""
    if settings.public_url:
        return False
    return settings.host == "localhost" or settings.host.startswith("127.") or settings.host == "::1"


def _greet_proxy(settings: Settings, url: str) -> None:
    """Which proxy is used, or which one is not: a mirror behind a company's proxy that knows none reaches nothing."""
    company = company_proxy(os.environ)
    if settings.offline:
        return
    if settings.upstream_proxy:
        click.echo(f"Out:   through the proxy {urlsplit(settings.upstream_proxy).netloc.rpartition('@')[2]}")
    elif company and company.place != urlsplit(url).netloc:
        click.echo(f"Note:  the environment has a proxy, {company.place}, which is not used. To use it: --upstream-proxy env")


def _greet(configuration: Configuration, store: Store, url: str, tls_port: TlsPort | None) -> None:
    settings = configuration.settings
    mode = " (offline)" if settings.offline else ""
    click.echo(f"dataset-mirror is listening on {url}{mode}")
    if tls_port:
        click.echo(f"TLS:   port {tls_port.port}, with {settings.tls_cert}")
    if settings.public_url:
        click.echo(f"Clients reach it at {settings.public_url}")
    for trouble in store.troubles:
        click.echo(f"Note:  {trouble}")
    _greet_proxy(settings, url)
    root = store.folder.root
    click.echo(f"Data:  {root} ({file_system(root)}, {store.space.free / 1e9:,.0f} GB free)")
    origins = configuration.origins
    example = next(iter(origins.named("keras/boston_housing")), None) or next(iter(origins.catalog), None)
    if example:
        click.echo(f"Try:   curl -fO {url}/{example.archive}")
    for note in _notes(configuration):
        click.echo(f"Note:  {note}")
    if reached_only_here(settings):
        click.echo("Note:  only this machine can reach it; for others: dataset-mirror serve --host 0.0.0.0")


_MOST_AMBIGUOUS = 3


def _notes(configuration: Configuration) -> Iterator[str]:
    """What of the settings may not do what their writer expects."""
    origins = configuration.origins
    for host in configuration.settings.upstreams:
        if origins.get(host) is None:
            yield f"[upstreams] names {host}, which no origin lists: it is never asked. Run: dataset-mirror add https://{host}/PATH"
    for origin in configuration.settings.origins:
        listed = origins.get(origin.authority)
        if listed is not None and not listed.paths:
            yield f'the origin {origin.url} has no `paths`, so nothing of it is mirrored. To allow all of it: paths = ["/"]'
    for keep in configuration.settings.keep:
        for name in keep.name:
            if "://" not in name and prefix_of(name) is None and "." not in name.partition("/")[0] and not origins.meant(name):
                yield f"[[keep]] names {name}, which no archive of the catalog has. {closest(name, origins.names)}"
    ambiguous = origins.ambiguities()
    for path in ambiguous[:_MOST_AMBIGUOUS]:
        yield f"more than one origin lists {path}; it is served under its host's name only."
    if more := len(ambiguous) - _MOST_AMBIGUOUS:
        yield from [f"the same applies to {counted(more, 'other path')}."] if more > 0 else []
