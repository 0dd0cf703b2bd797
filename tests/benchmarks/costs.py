"""What a GB costs of the cores, and an idle connection of the memory, whoever serves it."""

from __future__ import annotations

import os
import resource
import socket
import ssl
from collections.abc import Callable
from contextlib import ExitStack, suppress
from itertools import count
from urllib.parse import urlsplit

from tests.benchmarks import servers, upstreams
from tests.benchmarks.clients import download
from tests.benchmarks.hits import MNIST
from tests.benchmarks.load import gigabytes
from tests.benchmarks.measure import NOTHING, OURS, Bench, Figures, Line
from tests.benchmarks.others import beside
from tests.benchmarks.processes import Server
from tests.serving import PATIENCE

IDLE = 2000
Turn = Callable[[Server], float]
"""Puts load on a server, and says how many GB of bodies that were."""


def _of_fills(bench: Bench, *, tls: bool) -> Figures:
    """Seconds of user and system time for 1 GB that is fetched, kept and sent on to one client; with us it is hashed and durable."""
    root, size = bench.folder / "files", bench.size(1000)
    path = servers.make_file(root, size)
    names = count()

    def turn(server: Server) -> float:
        os.sync()
        download(server.url + upstreams.cold(path, next(names)), size)
        return size / 1e9

    with ExitStack() as ends:
        certificate = servers.make_certificate(bench.folder) if tls else None
        origin = ends.enter_context(upstreams.origin(root, bench.folder, certificate=certificate))
        running = ends.enter_context(upstreams.mirror(origin, bench.folder))
        contenders = {
            OURS: Server(running.url, running.pid),
            "nginx": ends.enter_context(upstreams.cache(origin, bench.folder)),
            **beside(bench, origin, ends),
        }
        return _costs(bench, contenders, turn, 1.3 if tls else None)


def _of_hits(bench: Bench, *, tls: bool) -> Figures:
    """The same for archives of 11.5 MB that are there, 16 connections."""
    root = bench.folder / "files"
    path = servers.make_file(root, MNIST)
    with ExitStack() as ends:
        certificate = servers.make_certificate(bench.folder) if tls else None
        contenders = {
            OURS: ends.enter_context(servers.mirror(root, bench.folder / "data", certificate=certificate)),
            "nginx": ends.enter_context(servers.nginx(root, bench.folder, certificate=certificate)),
        }
        return _costs(bench, contenders, lambda server: gigabytes(server.url + path, MNIST, seconds=bench.seconds), None)


def _costs(bench: Bench, contenders: dict[str, Server], turn: Turn, at_most: float | None) -> Figures:
    spent: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(bench.rounds):
        for name, server in contenders.items():
            before = server.cpu_seconds
            served = turn(server)
            spent[name].append((server.cpu_seconds - before) / (served or NOTHING))
    lines = {name: Line(name, values, "s/GB", "CPU") for name, values in spent.items()}
    nginx = lines.pop("nginx")
    return Figures(bench.row, [nginx, *(line.times(nginx, at_most=at_most if name == OURS else None) for name, line in lines.items())])


def _idle(bench: Bench) -> Figures:
    """KiB for each of 2,000 connections that got an answer and keep quiet."""
    root, number = bench.folder / "files", max(100, IDLE // bench.shrink)
    path = servers.make_file(root, 1000)
    _allow_files()
    certificate = servers.make_certificate(bench.folder)
    lines = []
    for kind, at_most, its in (("plain", 12, None), ("TLS", 60, certificate)):
        with ExitStack() as ends:
            ours = ends.enter_context(servers.mirror(root, bench.folder / kind, certificate=its))
            nginx = ends.enter_context(servers.nginx(root, bench.folder, certificate=its))
            lines.append(Line(OURS, [_each(ours, path, number)], "KiB", kind).at_most(at_most))
            lines.append(Line("nginx", [_each(nginx, path, number)], "KiB", kind))
    return Figures(bench.row, lines)


def _each(server: Server, path: str, number: int) -> float:
    """A tenth is opened before it counts: what the first ones bring with them is not theirs alone."""
    with ExitStack() as ends:
        for _ in range(number // 10):
            ends.enter_context(_answered(server.url, path))
        before = server.memory
        for _ in range(number):
            ends.enter_context(_answered(server.url, path))
        return (server.memory - before) / number / 1024


def _answered(url: str, path: str) -> socket.socket:
    """A connection that has got its answer."""
    parts = urlsplit(url)
    plain = socket.create_connection((parts.hostname or "", parts.port or 80), PATIENCE)
    if parts.scheme == "https":
        context = ssl._create_unverified_context()
        plain = context.wrap_socket(plain, server_hostname="localhost")
    plain.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    received = b""
    while len(received.partition(b"\r\n\r\n")[2]) < 1000:
        data = plain.recv(4096)
        if not data:
            raise SystemExit(f"{url} closed a connection.")
        received += data
    return plain


def _allow_files() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65_536) if most != resource.RLIM_INFINITY else 65_536, most))


ROWS: dict[str, Callable[[Bench], Figures]] = {
    "cpu-https-fill": lambda bench: _of_fills(bench, tls=True),
    "cpu-fill": lambda bench: _of_fills(bench, tls=False),
    "cpu-hit": lambda bench: _of_hits(bench, tls=False),
    "cpu-tls-hit": lambda bench: _of_hits(bench, tls=True),
    "idle": _idle,
}
