"""Whole archives that are there: large ones, where bytes per second count, and small ones, where requests per second do."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from tests.benchmarks import servers, upstreams
from tests.benchmarks.load import CONNECTIONS, check_same, requests_per_second
from tests.benchmarks.measure import OURS, Bench, Result
from tests.benchmarks.others import beside
from tests.serving import PROGRAM

MNIST, SMALL = 11_490_434, 57_026
"""Bytes of mnist.npz and of boston_housing.npz."""


def _hits(bench: Bench, size: int, target: float, *, threads: int = 1, connections: int = CONNECTIONS) -> Result:
    root = bench.folder / "files"
    path = servers.make_file(root, size)
    with ExitStack() as ends:
        urls = {
            OURS: ends.enter_context(servers.mirror(root, bench.folder / "data")).url + path,
            "nginx": ends.enter_context(servers.nginx(root, bench.folder)).url + path,
            "FileResponse": ends.enter_context(servers.file_response(root)).url + path,
        }
        if bench.against:
            origin = ends.enter_context(upstreams.origin(root, bench.folder))
            urls |= {name: server.url + path for name, server in beside(bench, origin, ends).items()}
        check_same(urls)
        turns: dict[str, Callable[[], float]] = {
            name: partial(requests_per_second, url, seconds=bench.seconds, threads=threads, connections=connections)
            for name, url in urls.items()
        }
        return bench.side_by_side(turns, baseline="nginx", unit="1/s", target=target)


def _tls_hits(bench: Bench) -> Result:
    root = bench.folder / "files"
    path = servers.make_file(root, MNIST)
    certificate = servers.make_certificate(bench.folder)
    with ExitStack() as ends:
        urls = {
            OURS: ends.enter_context(servers.mirror(root, bench.folder / "data", certificate=certificate)).url + path,
            "nginx": ends.enter_context(servers.nginx(root, bench.folder, certificate=certificate)).url + path,
        }
        check_same(urls)
        turns: dict[str, Callable[[], float]] = {
            name: partial(requests_per_second, url, seconds=bench.seconds) for name, url in urls.items()
        }
        return bench.side_by_side(turns, baseline="nginx", unit="1/s", target=0.6)


def _workers(bench: Bench, *, tls: bool) -> Result | None:
    """Two processes, which have both cores, with the load beside them. None where the mirror has but one."""
    if "--workers" not in subprocess.run([PROGRAM, "serve", "--help"], capture_output=True, text=True, check=True).stdout:
        return None
    root = bench.folder / "files"
    path = servers.make_file(root, MNIST)
    certificate = servers.make_certificate(bench.folder) if tls else None
    with ExitStack() as ends:
        urls = {
            OURS: ends.enter_context(servers.mirror(root, bench.folder / "two", "--workers", "2", certificate=certificate)).url + path,
            "mirror, 1 process": ends.enter_context(servers.mirror(root, bench.folder / "one", certificate=certificate)).url + path,
            "nginx": ends.enter_context(servers.nginx(root, bench.folder, workers=2, certificate=certificate)).url + path,
        }
        check_same(urls)
        turns: dict[str, Callable[[], float]] = {
            name: partial(requests_per_second, url, seconds=bench.seconds, threads=2) for name, url in urls.items()
        }
        return bench.side_by_side(turns, baseline="nginx", unit="1/s", target=0.9)


ROWS: dict[str, Callable[[Bench], Result | None]] = {
    "large-hit-t1": lambda bench: _hits(bench, MNIST, 1.0, threads=1),
    "large-hit-t2": lambda bench: _hits(bench, MNIST, 1.0, threads=2),
    "large-hit-c1": lambda bench: _hits(bench, MNIST, 1.0, connections=1),
    "large-hit-c64": lambda bench: _hits(bench, MNIST, 1.0, connections=64),
    "large-tls-hit": _tls_hits,
    "workers": lambda bench: _workers(bench, tls=False),
    "workers-tls": lambda bench: _workers(bench, tls=True),
    "small-hit": lambda bench: _hits(bench, SMALL, 0.9),
    "small-hit-c1": lambda bench: _hits(bench, SMALL, 1.0, connections=1),
    "small-hit-c64": lambda bench: _hits(bench, SMALL, 0.9, connections=64),
}
"""With 16 connections where the name does not say another number."""
