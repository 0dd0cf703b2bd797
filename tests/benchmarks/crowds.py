"""64 and 500 clients on one archive: how much memory that takes, and how long it keeps everybody else waiting."""

from __future__ import annotations

import http.client
import multiprocessing
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from tests.benchmarks import servers, upstreams
from tests.benchmarks.clients import download
from tests.benchmarks.measure import OURS, Bench, Figures, Line, percentile
from tests.benchmarks.processes import Server
from tests.origin import MIB
from tests.serving import PATIENCE, Mirror

CLIENTS, CROWD, IDLE = 64, 500, "idle mirror"
EVERY = 0.005
"""Seconds between two requests of the one who watches."""


def _memory(bench: Bench) -> Figures:
    """The high-water mark of the mirror's memory over what it has at rest, while they follow a fill, and while they read what is there."""
    root, size = bench.folder / "files", bench.size(1000)
    path = servers.make_file(root, size)
    fill, hit = [], []
    with ExitStack() as ends:
        origin = ends.enter_context(upstreams.origin(root, bench.folder))
        running = upstreams.mirror(origin, bench.folder)
        for turn in range(bench.rounds):
            with running:  # a new process each time: what one turn has left behind must not be the rest of the next
                asked = running.url + upstreams.cold(path, turn)
                fill.append(_grown(running, lambda asked=asked: download(asked, size, CLIENTS)))  # type: ignore[misc]
            with running:
                asked = running.url + upstreams.cold(path, turn)
                hit.append(_grown(running, lambda asked=asked: download(asked, size, CLIENTS)))  # type: ignore[misc]
    return Figures(bench.row, [Line(OURS, values, "MiB", what).at_most(40) for what, values in (("fill", fill), ("hit", hit))])


def _crowd(bench: Bench, mib: int) -> Figures:
    """500 clients at once, who compare every byte: of an archive that nobody has, and then, of another process, that is there."""
    root, size = bench.folder / "files", bench.size(mib)
    path = servers.make_file(root, size)
    first: dict[str, list[float]] = {"fill": [], "hit": []}
    grown: dict[str, list[float]] = {"fill": [], "hit": []}
    with ExitStack() as ends:
        origin = ends.enter_context(upstreams.origin(root, bench.folder))
        running = upstreams.mirror(origin, bench.folder)
        pool = ends.enter_context(ProcessPoolExecutor(1, multiprocessing.get_context("spawn")))
        for turn in range(bench.rounds):
            for what in first:
                with running:
                    crowd = partial(_compare_all, running.url + upstreams.cold(path, turn), root / path[1:])
                    came: list[float] = []
                    grown[what].append(_grown(running, lambda crowd=crowd, came=came: came.extend(pool.submit(crowd).result())))  # type: ignore[misc]
                    first[what].append(percentile(came, 99))
    seconds = [Line(OURS, values, "s", f"{what}: first byte p99").at_most(0.5) for what, values in first.items()]
    memory = [Line(OURS, values, "MiB", f"{what}: memory", "over that at rest").at_most(100) for what, values in grown.items()]
    return Figures(bench.row, [*seconds, *memory])


def _compare_all(url: str, file: Path) -> list[float]:
    """Seconds until each of the clients had its first byte; all of them got what is in the file, to the last."""
    return [arrival.first for arrival in download(url, file.read_bytes(), CROWD)]


def _grown(running: Mirror, load: Callable[[], object]) -> float:
    """MiB of the high-water mark while the load runs, over what it has before."""
    running.get("/healthz")
    server = Server(running.url, running.pid)
    idle = server.memory
    server.reset_high_water()
    load()
    return (server.high_water - idle) / MIB


def _lag(bench: Bench) -> Figures:
    """How long the mirror's loop lets others wait while 64 clients follow a fill of 1 GB.

    Seen from outside: round trips of GET /healthz on one kept connection every 5 ms, less the median of the same at rest. Where
    the clients, the origin and the mirror want more cores than there are, waiting for a core is in it: a second mirror that has
    nothing to do, asked in turns, tells about how much.
    """
    root, size = bench.folder / "files", bench.size(1000)
    path = servers.make_file(root, size)
    late: dict[str, list[list[float]]] = {OURS: [], IDLE: []}
    with ExitStack() as ends:
        origin = ends.enter_context(upstreams.origin(root, bench.folder))
        running = ends.enter_context(upstreams.mirror(origin, bench.folder))
        idle = ends.enter_context(Mirror(bench.folder / "idle", grace=1))
        pool = ends.enter_context(ProcessPoolExecutor(1, multiprocessing.get_context("spawn")))
        pool.submit(len, ()).result()
        asked = {OURS: running.url, IDLE: idle.url}
        for turn in range(bench.rounds):
            end = time.monotonic() + 1
            at_rest = _round_trips(asked, lambda end=end: time.monotonic() > end)  # type: ignore[misc]
            crowd = pool.submit(download, running.url + upstreams.cold(path, turn), size, CLIENTS)
            for name, trips in _round_trips(asked, crowd.done).items():
                late[name].append([trip - percentile(at_rest[name], 50) for trip in trips])
            crowd.result()
    lines = [
        Line(name, [percentile(trips, part) for trips in turns], "ms", what)
        for part, what in ((50, "p50"), (99, "p99"), (100, "longest"))
        for name, turns in late.items()
    ]
    return Figures(bench.row, [line.at_most(20) if (line.who, line.what) == (OURS, "p99") else line for line in lines])


def _round_trips(urls: Mapping[str, str], over: Callable[[], bool]) -> dict[str, list[float]]:
    """Milliseconds of each, until it is over."""
    parts = {name: urlsplit(url) for name, url in urls.items()}
    connections = {name: http.client.HTTPConnection(part.hostname or "", part.port, timeout=PATIENCE) for name, part in parts.items()}
    took: dict[str, list[float]] = {name: [] for name in urls}
    while not over():
        for name, connection in connections.items():
            began = time.perf_counter()
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            took[name].append(1000 * (time.perf_counter() - began))
            time.sleep(max(0.0, EVERY - (time.perf_counter() - began)))
    for connection in connections.values():
        connection.close()
    return took


ROWS: dict[str, Callable[[Bench], Figures]] = {
    "memory": _memory,
    "crowd": lambda bench: _crowd(bench, 100),
    "crowd-1gb": lambda bench: _crowd(bench, 1000),
    "lag": _lag,
}
LONG = {"crowd-1gb"}
"""A terabyte, which takes some ten minutes."""
