"""An index of a million archives, beside one that has but those that are asked for."""

from __future__ import annotations

import hashlib
import http.client
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from dataset_mirror.store import schema
from dataset_mirror.store.store import Store
from tests.benchmarks.measure import OURS, Bench, Figures, Line
from tests.origin import MIB, body
from tests.serving import HOST, PATIENCE, URL, Mirror

MILLION, EACH = 1_000_000, 1000
"""Archives, and how far apart those lie that are asked for: each of these is the same small blob."""
SMALL = body(57_026)
FACTS = "key, sha256, size, md5, scheme, etag, last_modified, date_is_strong, fields, source, fetched, checked, private"
VERSIONS = f"INSERT INTO versions({FACTS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
ARCHIVES = f"""
INSERT INTO archives({FACTS}, origin, hits, used, state)
SELECT {FACTS}, substr(key, 1, instr(key, '/') - 1), 0, fetched + id % 1000,
CASE source WHEN 'catalog' THEN 'verified' ELSE 'computed' END FROM versions
"""
COUNTERS = """
INSERT INTO counters SELECT 'archives', count(*) FROM archives UNION ALL SELECT 'archive_bytes', sum(size) FROM archives
UNION ALL SELECT 'blob_bytes', sum(size) FROM (SELECT DISTINCT sha256, size FROM versions)
"""
LISTS = {
    "list": "/status/archives",
    "list by use": "/status/archives?sort=used&descending=true",
    "list of an origin": "/status/archives?sort=size&origin=h3.example.org",
    "list of verified": "/status/archives?sort=used&state=verified&descending=true",
    "list of a prefix": "/status/archives?prefix=h7.example.org/sets/05",
}
ASKED, HITS, TURN = 25, 2000, 50
"""How often each page is asked for in a round, how many hits there are in one, and after how many it is the other's turn."""


def _million(bench: Bench) -> Figures:
    """Start, hits, pages and memory. The folder with the million is kept in the temporary folder, since making it takes minutes."""
    count = MILLION // 10 if bench.quick else MILLION
    full, empty = kept(count), _made(bench.folder / "empty", range(0, count, EACH))
    starts: list[float] = []
    for _ in range(bench.rounds):
        took, running = started(full)
        starts.append(took)
        running.close()
    with ExitStack() as ends:
        ours, other = (started(folder)[1] for folder in (full, empty))
        ends.callback(ours.close)
        ends.callback(other.close)
        hits = _hits(ours, other, [_asked_for(count, turn) for turn in range(bench.rounds)])
        pages = [Line(OURS, _asked(ours, page, bench.rounds), "ms", what).at_most(50) for what, page in LISTS.items()]
        status = Line(OURS, _asked(ours, "/status", bench.rounds), "ms", "/status")
        for page in (*LISTS.values(), "/status"):
            _asked(other, page, bench.rounds)
        memory = Line(OURS, [(ours.memory - other.memory) / MIB], "MiB", "memory", "over an empty one")
    ready = Line(OURS, starts, "s", "start to ready")
    lines = [ready.at_most(2), *hits, *pages, status.at_most(20), memory.at_most(100)]
    return Figures(bench.row, lines)


def started(folder: Path) -> tuple[float, Mirror]:
    """Seconds until /readyz says 200, and the mirror, which runs."""
    running = Mirror(folder, origins=[{"url": URL, "paths": ["/sets/"], "freshness": "5200w"}], grace=1)
    began = time.perf_counter()
    running.start()
    while running.get("/readyz").status != 200:
        time.sleep(0.01)
    return time.perf_counter() - began, running


def _hits(ours: Mirror, other: Mirror, rounds: Sequence[Sequence[str]]) -> list[Line]:
    """Latency of small archives all over the index, in short turns, so that what disturbs one disturbs the other."""
    medians: list[list[float]] = [[], []]
    for paths in rounds:
        took: list[list[float]] = [[], []]
        for start in range(0, len(paths), TURN):
            for running, times in zip((ours, other), took, strict=True):
                times += latencies(running, paths[start : start + TURN], SMALL)
        for kept, times in zip(medians, took, strict=True):
            kept.append(median(times))
    ratios = Line(OURS, [full / empty for full, empty in zip(*medians, strict=True)], "×", "hit latency", "to an empty one")
    return [Line(OURS, medians[0], "ms", "hit"), Line("empty index", medians[1], "ms", "hit"), ratios.at_most(1.1)]


def _asked_for(count: int, seed: int) -> list[str]:
    chosen = random.Random(seed)
    return [f"/{_key(EACH * chosen.randrange(count // EACH))}" for _ in range(HITS)]


def _asked(running: Mirror, page: str, rounds: int) -> Sequence[float]:
    """Median milliseconds of a page in each round."""
    return [median(latencies(running, [page] * ASKED)) for _ in range(rounds)]


def latencies(running: Mirror, paths: Sequence[str], wanted: bytes | None = None) -> list[float]:
    """Milliseconds of each, on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=PATIENCE)
    took = []
    connection.connect()
    for path in paths:
        began = time.perf_counter()
        connection.request("GET", path)
        response = connection.getresponse()
        content = response.read()
        took.append(1000 * (time.perf_counter() - began))
        if response.status != 200 or wanted not in (None, content):
            raise SystemExit(f"{path} was not served well: {response.status}, {len(content)} bytes.")
    connection.close()
    return took


# Making it


def kept(count: int) -> Path:
    """A folder of so many archives, made if it is not there, or if it was made in another way than it would be now."""
    way = hashlib.sha256(Path(__file__).read_bytes() + Path(schema.__file__).read_bytes()).hexdigest()[:8]
    folder = Path(tempfile.gettempdir()) / f"dataset-mirror-benchmark-{count}-{way}" / "data"
    if not folder.exists():
        sys.stderr.write(f"making an index of {count:,} archives …\n")
        unfinished = folder.with_name("unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        _made(unfinished, range(count)).rename(folder)
    return folder


def _made(folder: Path, numbers: range) -> Path:
    """A data folder with these archives, straight into the tables: by way of the store it would take hours."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    store = Store(folder)
    partial = store.folder.partial / "small"
    partial.write_bytes(SMALL)
    store.blobs.put(partial, hashlib.sha256(SMALL).hexdigest())
    store.close()
    index = sqlite3.connect(folder / "index.db")
    with index:
        orders = index.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL").fetchall()
        for name, _ in orders:
            index.execute(f"DROP INDEX {name}")
        index.executemany(VERSIONS, _versions(numbers))
        index.execute(ARCHIVES)
        index.execute(COUNTERS)
        for _, made in orders:  # at the end: to sort once is faster than to insert a million times
            index.execute(made)
    index.close()
    return folder


def _versions(numbers: range) -> Iterator[tuple[object, ...]]:
    fields, now, chosen = '[["content-type", "application/zip"]]', time.time(), random.Random(1)
    small = hashlib.sha256(SMALL).hexdigest()
    for number in numbers:
        digest, size = hashlib.sha256(b"%d" % number).hexdigest(), chosen.randrange(1000, 10**9)
        if number % EACH == 0:
            digest, size = small, len(SMALL)
        source = "catalog" if number % 10 == 0 else "computed"
        yield _key(number), digest, size, None, "https", '"x"', None, 0, fields, source, now - chosen.randrange(10**7), now, 0


def _key(number: int) -> str:
    host = HOST if number % EACH == 0 else f"h{number % 20}.example.org"
    return f"{host}/sets/{number:07}.zip"


ROWS: dict[str, Callable[[Bench], Figures]] = {"million": _million}
