"""Pages of a mirror with a million archives, and of one with two hundred downloads under way."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from statistics import median
from time import sleep

from tests.benchmarks.measure import OURS, Bench, Figures, Line
from tests.benchmarks.million import MILLION, kept, latencies, started
from tests.origin import Origin, body
from tests.serving import HOST, Mirror, mirroring

FILLS, ASKED, MOST = 200, 5, 300
"""Downloads at once, how often each page is asked for in a round, and the milliseconds that it may take."""
LISTS = {
    "overview": "/",
    "datasets": "/datasets",
    "datasets that are complete": "/datasets?state=complete",
    "archives": "/archives",
    "archives by size": "/archives?sort=size",
    "archives that have a word": "/archives?q=0500000",
    "archives of an origin": "/archives?origin=h3.example.org&sort=size",
    "one archive": f"/archives/{HOST}/sets/0000000.zip",
    "activity": "/activity",
    "origins": "/origins",
    "wanted": "/wanted",
    "guide": "/guide",
}
BUSY = ("/", "/activity", "/origins", "/archives")


def _pages(bench: Bench) -> Figures:
    """Milliseconds of each page."""
    count = MILLION // 10 if bench.quick else MILLION
    _, ours = started(kept(count))
    try:
        lines = [Line(OURS, _asked(ours, path, bench.rounds), "ms", what).at_most(MOST) for what, path in LISTS.items()]
    finally:
        ours.close()
    with _busy(bench) as busy:
        lines += [Line(OURS, _asked(busy, path, bench.rounds), "ms", f"{FILLS} downloads", path).at_most(MOST) for path in BUSY]
    return Figures(bench.row, lines)


def _asked(running: Mirror, path: str, rounds: int) -> list[float]:
    return [median(latencies(running, [path] * ASKED)) for _ in range(rounds)]


@contextmanager
def _busy(bench: Bench) -> Iterator[Mirror]:
    """A mirror that downloads from an origin that is slow."""
    with Origin() as origin, mirroring(origin, bench.folder / "busy", max_fills=FILLS) as running:
        for number in range(FILLS):
            origin.add(f"/sets/{number}.bin", body(1_000_000, number % 4), rate=5_000)
            threading.Thread(target=_read, args=(running.at(f"/sets/{number}.bin"),), daemon=True).start()
        while len(running.status["fills"]) < FILLS:
            sleep(0.2)
        yield running


def _read(url: str) -> None:
    with suppress(OSError), urllib.request.urlopen(url) as answer:
        while answer.read(65536):
            pass


ROWS = {"pages": _pages}
