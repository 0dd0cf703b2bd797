"""Whole archives that are there: large ones, where bytes per second count, and small ones, where requests per second do."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from tests.benchmarks import servers
from tests.benchmarks.load import check_same, requests_per_second
from tests.benchmarks.measure import OURS, Bench, Result

MNIST, SMALL = 11_490_434, 57_026
"""Bytes of mnist.npz and of boston_housing.npz."""


def _hits(bench: Bench, size: int, threads: int, target: float) -> Result:
    root = bench.folder / "files"
    path = servers.make_file(root, size)
    with ExitStack() as ends:
        urls = {
            OURS: ends.enter_context(servers.mirror(root, bench.folder / "data")) + path,
            "nginx": ends.enter_context(servers.nginx(root, bench.folder)) + path,
            "FileResponse": ends.enter_context(servers.file_response(root)) + path,
        }
        check_same(urls)
        return bench.side_by_side(
            {name: _turn(bench, url, threads) for name, url in urls.items()}, baseline="nginx", unit="1/s", target=target
        )


def _tls_hits(bench: Bench) -> Result:
    root = bench.folder / "files"
    path = servers.make_file(root, MNIST)
    certificate = servers.make_certificate(bench.folder)
    with ExitStack() as ends:
        urls = {
            OURS: ends.enter_context(servers.tls_mirror(root, bench.folder / "data", certificate)) + path,
            "nginx": ends.enter_context(servers.tls_nginx(root, bench.folder, certificate)) + path,
        }
        check_same(urls)
        return bench.side_by_side({name: _turn(bench, url, 1) for name, url in urls.items()}, baseline="nginx", unit="1/s", target=0.6)


def _turn(bench: Bench, url: str, threads: int) -> Callable[[], float]:
    return partial(requests_per_second, url, seconds=bench.seconds, threads=threads)


ROWS: dict[str, Callable[[Bench], Result]] = {
    "large-hit-t1": lambda bench: _hits(bench, MNIST, threads=1, target=1.0),
    "large-hit-t2": lambda bench: _hits(bench, MNIST, threads=2, target=1.0),
    "large-tls-hit": _tls_hits,
    "small-hit": lambda bench: _hits(bench, SMALL, threads=1, target=0.45),
}
