"""Figures by hand: hits beside a lone mirror, takeovers, the way from the bucket and the way into it.

`python -m tests.shared --figures`. Ratios of what was measured in turns, on a machine that does nothing else.
"""

from __future__ import annotations

import http.client
import os
import signal
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from hashlib import sha256
from pathlib import Path
from typing import get_args

import obstore

from tests.benchmarks.load import requests_per_second
from tests.origin import body
from tests.serving import HOST, Mirror
from tests.shared.cluster import Cluster, kept
from tests.shared.relay import Mode, Relay
from tests.waiting import until

TURNS, SECONDS = 5, 2
SMALL, LARGE, FILES = 57_000, 200_000_000, 3
CONNECTIONS, PART = 4, 8 * 1024 * 1024
TAKEOVERS = 3


def figures(cluster: Cluster) -> Iterator[str]:
    """One line after the other."""
    yield from hits(cluster)
    for number in (signal.SIGKILL, signal.SIGSTOP):
        seen = [takeover(cluster, number, turn) for turn in range(TAKEOVERS)]
        yield f"takeover after {number.name}: {', '.join(f'{one:.2f}' for one in seen)} s"
    yield from throughput(cluster)


# Hits


def hits(cluster: Cluster) -> Iterator[str]:
    """What hits cost a mirror of several, and how many it answers, beside one alone: all is well, silent, slow, or away."""
    cluster.origin.add("/sets/small.bin", body(SMALL))
    with ExitStack() as ends:
        ways = relays(cluster, ends)
        lone = ends.enter_context(cluster.mirror(shared=None, bucket=None))
        one = ends.enter_context(behind(cluster, ways))
        for mirror in (lone, one):
            mirror.archive("/sets/small.bin")
        until(kept(cluster), "the bucket has it")
        for mode in (mode for mode in get_args(Mode) if mode != "503"):
            for way in ways:
                way.become(mode)
            time.sleep(1)
            yield f"hits, database and bucket {mode}: {_beside(one, lone)}"


def _beside(one: Mirror, lone: Mirror) -> str:
    """By what else the machine does, rates differ; what a process uses for a hit hardly does."""
    rates, costs = {one: list[float](), lone: list[float]()}, {one: list[float](), lone: list[float]()}
    for turn in range(TURNS):
        for mirror in (one, lone) if turn % 2 else (lone, one):
            used = cpu_seconds(mirror.pid)
            rate = requests_per_second(f"{mirror.url}/{HOST}/sets/small.bin", seconds=SECONDS)
            rates[mirror].append(rate)
            costs[mirror].append((cpu_seconds(mirror.pid) - used) / (rate * SECONDS) * 1000)
    rate, mine, other = (statistics.median(each) for each in (rates[one], costs[one], costs[lone]))
    return (
        f"{mine:.4f} CPU s for 1,000, {mine / other:.2f} x of a lone mirror ({other:.4f}); "
        f"{rate / statistics.median(rates[lone]):.2f} x of its rate ({rate:.0f}/s)"
    )


def relays(cluster: Cluster, ends: ExitStack) -> list[Relay]:
    """One before the database, one before the bucket."""
    ports = (cluster.database.rpartition("/")[0].rpartition(":")[2], cluster.bucket["endpoint"].rpartition(":")[2])
    return [ends.enter_context(Relay(int(port))) for port in ports]


def behind(cluster: Cluster, ways: list[Relay]) -> Mirror:
    """A mirror, not yet started, that reaches the database and the bucket by these."""
    database, bucket = ways
    server, _, name = cluster.database.rpartition("/")
    url = f"{server.rpartition(':')[0]}:{database.port}/{name}"
    return cluster.mirror(shared=url, bucket={**cluster.bucket, "endpoint": bucket.url})


def cpu_seconds(process: int) -> float:
    """All that it has used."""
    words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


# Takeovers


def takeover(cluster: Cluster, number: signal.Signals, turn: int) -> float:
    """Seconds from the death of the mirror that fetches an archive until another one asks the origin for what is missing."""
    path, content = f"/sets/{number.name}-{turn}.bin", body(6_000_000, turn)
    cluster.origin.add(path, content, rate=1_000_000, etag='"1"')
    with ExitStack() as ends, ThreadPoolExecutor() as clients:
        holder, *others = (ends.enter_context(cluster.mirror()) for _ in range(3))
        clients.submit(holder.archive, path)
        until(lambda: cluster.rows(f"SELECT holder FROM leases WHERE key LIKE '%{path}'"), "the first one has the lease")
        answers = [clients.submit(other.archive, path) for other in others]
        until(lambda: all(any(fill["received"] > 500_000 for fill in other.status["fills"]) for other in others), "they follow")
        asked, at = len(cluster.origin.gets(path)), time.monotonic()
        holder.signal(number) if number == signal.SIGSTOP else holder.kill()
        until(lambda: len(cluster.origin.gets(path)) > asked, "another takes over")
        took = cluster.origin.gets(path)[asked].time - at
        assert all(answer.result().body == content for answer in answers)
        if number == signal.SIGSTOP:
            holder.signal(signal.SIGCONT)
    return took


# Throughput


def throughput(cluster: Cluster) -> Iterator[str]:
    """Bytes per second out of the bucket, and into it, beside the bucket's own client."""
    into, put, *ways = (list[float]() for _ in range(5))
    ours, ranges, whole = ways
    seconds = 0.0
    cluster.origin.add("/sets/warm.bin", body(SMALL))
    for number in range(FILES):
        path, content = f"/sets/large-{number}.bin", body(LARGE, number)
        cluster.origin.add(path, content)
        with cluster.mirror() as first:
            first.archive("/sets/warm.bin")
            first.archive(path)
            into.append(LARGE / _uploaded(cluster, content))
        put.append(_put(cluster, content))
        name = str(cluster.rows(f"SELECT object FROM objects JOIN versions USING (sha256) WHERE key LIKE '%{path}'")[0][0])
        ranges.append(_get(cluster, name))
        whole.append(_get(cluster, name, keep=sha256(content).hexdigest()))
        with cluster.mirror(offline=True) as empty:
            empty.archive("/sets/warm.bin")
            used = cpu_seconds(empty.pid)
            ours.append(_read(empty, path))
            seconds += cpu_seconds(empty.pid) - used
            assert content in [blob.read_bytes() for blob in empty.blobs]
    yield _ratio("into the bucket", into, "obstore.put", put)
    yield _ratio("from the bucket, verified and durable", ours, f"obstore, {CONNECTIONS} ranges at once, kept nowhere", ranges)
    yield _ratio("from the bucket, verified and durable", ours, "obstore's ranges, hashed, written and synced", whole)
    yield f"from the bucket: {seconds / FILES / LARGE * 1e9:.2f} CPU seconds of the mirror for each GB, its clients' answers included"


def _read(mirror: Mirror, path: str) -> float:
    """How fast a client has an archive that does not keep it."""
    began = time.monotonic()
    with closing(http.client.HTTPConnection("127.0.0.1", mirror.port)) as client:
        client.request("GET", f"/{HOST}{path}")
        answer, part, count = client.getresponse(), bytearray(1024 * 1024), 0
        while size := answer.readinto(part):
            count += size
    assert count == LARGE
    return LARGE / (time.monotonic() - began)


def _uploaded(cluster: Cluster, content: bytes) -> float:
    """Seconds between the two states of its object."""
    state = f"SELECT state FROM objects WHERE sha256 = '{sha256(content).hexdigest()}'"
    until(lambda: cluster.rows(state), "it is being uploaded")
    began = time.monotonic()
    while cluster.rows(state) != [("kept",)]:
        time.sleep(0.005)
    return time.monotonic() - began


def _put(cluster: Cluster, content: bytes) -> float:
    file = cluster.folder / "put.bin"
    file.write_bytes(content)
    began = time.monotonic()
    obstore.put(cluster.store, "figures/put", Path(file), max_concurrency=CONNECTIONS, chunk_size=8 * 1024 * 1024)
    return LARGE / (time.monotonic() - began)


def _get(cluster: Cluster, name: str, keep: str = "") -> float:
    """With `keep`, the SHA-256 that it must have, it does what a mirror must do with it, too."""
    began = time.monotonic()
    hashing, file = sha256(), cluster.folder / "get.bin"
    with file.open("w+b") as opened, ThreadPoolExecutor(CONNECTIONS) as threads:

        def part(at: int) -> int:
            known = obstore.get_range(cluster.store, name, start=at, length=min(PART, LARGE - at))
            return os.pwrite(opened.fileno(), known, at) if keep else len(known)

        at = 0
        for size in threads.map(part, range(0, LARGE, PART)):
            if keep:
                hashing.update(os.pread(opened.fileno(), size, at))
            at += size
        if keep:
            os.fsync(opened.fileno())
    assert at == LARGE
    assert not keep or hashing.hexdigest() == keep
    return LARGE / (time.monotonic() - began)


def _ratio(what: str, ours: list[float], beside: str, theirs: list[float]) -> str:
    mine, other = statistics.median(ours), statistics.median(theirs)
    return f"{what}: {mine / 1e6:.0f} MB/s, {mine / other:.2f} x of {beside} ({other / 1e6:.0f} MB/s)"
