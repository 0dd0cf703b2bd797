"""64 clients on one archive of 1 GB: how much memory that takes, and how long it keeps everybody else waiting."""

from __future__ import annotations

import http.client
import multiprocessing
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from tests.benchmarks import servers, upstreams
from tests.benchmarks.clients import download
from tests.benchmarks.measure import OURS, Bench, Figures, Line, percentile
from tests.origin import MIB
from tests.serving import PATIENCE, Mirror

CLIENTS, IDLE = 64, "idle mirror"
EVERY = 0.005
"""Seconds between two requests of the one who watches."""


def _memory(bench: Bench) -> Figures:
    """The high-water mark of the mirror's memory over what it has at rest, while they follow a fill, and while they read what is there."""
    root, size = bench.folder / "files", (64 if bench.quick else 1000) * MIB
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


def _grown(running: Mirror, load: Callable[[], object]) -> float:
    """MiB of the high-water mark while the load runs, over what it has before."""
    running.get("/healthz")
    idle = running.memory
    Path(f"/proc/{running.pid}/clear_refs").write_text("5")
    load()
    return (high_water(running) - idle) / MIB


def high_water(running: Mirror) -> int:
    """Bytes of memory that it had at most since it started, or since its mark was reset."""
    status = Path(f"/proc/{running.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def _lag(bench: Bench) -> Figures:
    """How long the mirror's loop lets others wait while 64 clients follow a fill of 1 GB.

    Seen from outside: round trips of GET /healthz on one kept connection every 5 ms, less the median of the same at rest. Where
    the clients, the origin and the mirror want more cores than there are, waiting for a core is in it: a second mirror that has
    nothing to do, asked in turns, tells about how much.
    """
    root, size = bench.folder / "files", (64 if bench.quick else 1000) * MIB
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


ROWS: dict[str, Callable[[Bench], Figures]] = {"memory": _memory, "lag": _lag}
