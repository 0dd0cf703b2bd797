"""A herd: many clients ask for one archive that nobody has yet, whose origin is slow for each connection."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from tests.benchmarks import servers, upstreams
from tests.benchmarks.clients import Arrival, download
from tests.benchmarks.measure import OURS, Bench, Figures, Line, percentile
from tests.benchmarks.misses import RATE
from tests.serving import HOST

CLIENTS = 24


def _herd(bench: Bench) -> Figures:
    """24 clients that compare every byte. nginx fetches once for all, too (proxy_cache_lock), but they wait until it is there."""
    root, size = bench.folder / "files", bench.size(64)
    path = servers.make_file(root, size)
    content = (root / path[1:]).read_bytes()
    alone: list[float] = []
    came: dict[str, list[list[Arrival]]] = {OURS: [], "nginx": []}
    sent: dict[str, list[float]] = {OURS: [], "nginx": []}
    with ExitStack() as ends:
        origin = ends.enter_context(upstreams.origin(root, bench.folder, rate=RATE))
        urls = {
            OURS: ends.enter_context(upstreams.mirror(origin, bench.folder)).url,
            "nginx": ends.enter_context(upstreams.cache(origin, bench.folder)).url,
        }
        for turn in range(bench.rounds):
            alone.append(download(origin.url + path.removeprefix(f"/{HOST}"), content)[0].last)
            for name, url in urls.items():
                asked = upstreams.cold(path, f"{name}-{turn}")
                came[name].append(download(url + asked, content, CLIENTS))
                sent[name].append(origin.sent(asked.removeprefix(f"/{HOST}")) / size)
    first = {name: [arrival.first for arrival in turns[-1]] for name, turns in came.items()}
    return Figures(bench.row, [*_totals(alone, came), *_first_bytes(came), *_upstream(sent)], drawn=first)


def _totals(alone: list[float], came: dict[str, list[list[Arrival]]]) -> list[Line]:
    """Seconds until the last client had its last byte."""
    unit = Line("direct, 1", alone, "s", "total")
    lines = [unit]
    for name, turns in came.items():
        line = Line(name, [max(arrival.last for arrival in turn) for turn in turns], "s", "total")
        lines.append(line.faster_than(unit, at_least=3.6 if name == OURS else None))
    return lines


def _first_bytes(came: dict[str, list[list[Arrival]]]) -> list[Line]:
    lines = []
    for part in (50, 99):
        for name, turns in came.items():
            values = [percentile([arrival.first for arrival in turn], part) for turn in turns]
            line = Line(name, values, "s", f"first byte p{part}")
            lines.append(line.at_most(0.15) if (name, part) == (OURS, 99) else line)
    return lines


def _upstream(sent: dict[str, list[float]]) -> list[Line]:
    """What left the origin, as a multiple of the archive's size."""
    lines = (Line(name, values, "×", "upstream bytes") for name, values in sent.items())
    return [line.at_most(1.01) if line.who == OURS else line for line in lines]


ROWS: dict[str, Callable[[Bench], Figures]] = {"herd": _herd}
