"""Archives that nobody has yet: how fast they come, and how soon their first and their last bytes do."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import count

from tests.benchmarks import servers, upstreams
from tests.benchmarks.clients import download
from tests.benchmarks.measure import OURS, Bench, Figures, Line, Result
from tests.benchmarks.others import beside
from tests.origin import MIB
from tests.serving import HOST

RATE = 4 * MIB
"""Bytes per second of each connection of a slow origin."""
PACED = 25_000_000
"""The same of one that is far away, and fast."""
END = 64 << 10


def _fill(bench: Bench, target: float, *, tls: bool = False, rate: int | None = None) -> Result:
    """1 GB, from the request to the last byte: with us that is after it was hashed, verified and made durable."""
    root, size = bench.folder / "files", bench.size(1000)
    path = servers.make_file(root, size)
    content = (root / path[1:]).read_bytes()
    names = count()

    def turn(url: str) -> float:
        os.sync()  # what the one before has left to write is not for this one
        asked = url + upstreams.cold(path, next(names))
        took = download(asked, size)[0].last
        download(asked, content)
        return size / took / 1e6

    with ExitStack() as ends:
        certificate = servers.make_certificate(bench.folder) if tls else None
        origin = ends.enter_context(upstreams.origin(root, bench.folder, rate=rate, certificate=certificate))
        urls = {
            OURS: ends.enter_context(upstreams.mirror(origin, bench.folder)).url,
            "nginx": ends.enter_context(upstreams.cache(origin, bench.folder)).url,
        }
        if not rate:
            urls["nginx, aio threads"] = ends.enter_context(upstreams.cache(origin, bench.folder, threads=True)).url
        urls |= {name: server.url for name, server in beside(bench, origin, ends).items()}
        turns = {name: partial(turn, url) for name, url in urls.items()}
        return bench.side_by_side(turns, baseline="nginx", unit="MB/s", target=target)


def _first_byte(bench: Bench) -> Figures:
    """Cold archives of 64 MB, one after the other, in turns; each on a new connection of the client."""
    root, size = bench.folder / "files", bench.size(64)
    path = servers.make_file(root, size)
    content = (root / path[1:]).read_bytes()
    direct, ours = [], []
    with ExitStack() as ends:
        origin = ends.enter_context(upstreams.origin(root, bench.folder))
        running = ends.enter_context(upstreams.mirror(origin, bench.folder))
        for number in range(10 * bench.rounds):
            asked = upstreams.cold(path, number)
            direct.append(1000 * download(origin.url + asked.removeprefix(f"/{HOST}"), content)[0].first)
            ours.append(1000 * download(running.url + asked, content)[0].first)
    baseline = Line("direct", direct, "ms")
    return Figures(bench.row, [baseline, Line(OURS, ours, "ms").against(baseline, at_most=5)])


def _last_bytes(bench: Bench) -> Figures:
    """The last 64 KiB of cold archives of 64 MB, whose digest nobody knows, from an origin that needs 16 s for one."""
    root, size = bench.folder / "files", bench.size(64)
    path = servers.make_file(root, size)
    content = (root / path[1:]).read_bytes()
    fields = {"Range": f"bytes={size - END}-{size - 1}"}
    took = []
    with ExitStack() as ends:
        origin = ends.enter_context(upstreams.origin(root, bench.folder, rate=RATE))
        running = ends.enter_context(upstreams.mirror(origin, bench.folder))
        for number in range(bench.rounds):
            asked = running.url + upstreams.cold(path, number)
            took.append(download(asked, content[-END:], fields=fields)[0].last)
            download(asked, content)
    return Figures(bench.row, [Line(OURS, took, "s").at_most(0.3)])


ROWS: dict[str, Callable[[Bench], Result | Figures]] = {
    "fill": lambda bench: _fill(bench, 0.9),
    "https-fill": lambda bench: _fill(bench, 0.85, tls=True),
    "https-fill-paced": lambda bench: _fill(bench, 1.0, tls=True, rate=PACED),
    "first-byte": _first_byte,
    "last-bytes": _last_bytes,
}
