"""A shared store of very many archives, and what a mirror needs for it that comes back: `python -m tests.shared --archives 1000000`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from urllib.parse import quote

import psycopg

from dataset_mirror.origins.identity import parse_url
from dataset_mirror.store.listing import cursor_of
from dataset_mirror.store.record import Record
from tests.benchmarks.million import latencies
from tests.serving import Mirror
from tests.shared.cluster import Cluster
from tests.waiting import until

HOSTS, ASKED = 20, 10
_KEY = f"'h' || n %% {HOSTS} || '.example.org/sets/' || lpad(n::text, 9, '0') || '.zip'"
_DIGEST = "encode(sha256(n::text::bytea), 'hex')"
_FILLED = f"""
INSERT INTO objects SELECT {_DIGEST}, {_DIGEST}, n, 'kept', 'another', now() FROM generate_series(1, %(count)s) AS n;
INSERT INTO versions SELECT {_KEY}, {_DIGEST}, n, n, replace(replace(%(line)s, 'URL', {_KEY}), %(sha256)s, {_DIGEST})
FROM generate_series(1, %(count)s) AS n;
INSERT INTO changes SELECT {_KEY}, n, 'another' FROM generate_series(1, %(count)s) AS n;
UPDATE version SET value = %(count)s;
ANALYZE;
"""
_MIDDLE = "h5.example.org/sets/"
LISTS = {
    "first page of a list": "/status/archives?where=bucket&limit=100",
    "of an origin": "/status/archives?where=bucket&limit=100&origin=h7.example.org",
    "of a prefix": "/status/archives?where=bucket&limit=100&prefix=h7.example.org/sets/0005",
    "searched, found": "/status/archives?where=bucket&limit=100&q=05",
    "searched, nowhere": "/status/archives?where=bucket&limit=100&q=nowhere",
    "/status": "/status",
    "/mirrors": "/mirrors",
}


def many(cluster: Cluster, count: int) -> Iterator[str]:
    """One line after the other."""
    mirror, began = cluster.mirror(), time.monotonic()
    with mirror:
        before = _ready(mirror, began)
        until(lambda: mirror.status["shared"]["joined"], "it follows the feed")
    began = time.monotonic()
    _fill(cluster, count)
    ((size,),) = cluster.rows("SELECT pg_database_size(current_database())")
    yield f"the database: {count:,} archives, {int(str(size)) / count:.0f} bytes for each; made in {time.monotonic() - began:.0f} s"
    began = time.monotonic()
    with mirror:
        yield f"start to ready: {_ready(mirror, began):.2f} s (of an empty store: {before:.2f} s)"
        memory = mirror.memory
        until(lambda: mirror.status["shared"]["seen"] == count, "it has caught up", patience=3600)
        took = time.monotonic() - began
        yield f"caught up with the feed: {took:.1f} s, {count / took:.0f} changes/s, {(mirror.memory - memory) / 2**20:+.0f} MiB"
        for what, page in LISTS.items():
            yield f"{what}: {statistics.median(latencies(mirror, [page] * ASKED)):.1f} ms"
        middle = f"/status/archives?where=bucket&limit=100&after={quote(cursor_of([_MIDDLE]))}"
        yield f"a page from the middle: {statistics.median(latencies(mirror, [middle] * ASKED)):.1f} ms"
        yield f"memory: {mirror.memory / 2**20:.0f} MiB, {(mirror.memory - memory) / 2**20:+.0f} MiB since the start"


def _ready(mirror: Mirror, began: float) -> float:
    while mirror.get("/readyz").status != 200:
        time.sleep(0.01)
    return time.monotonic() - began


def _fill(cluster: Cluster, count: int) -> None:
    """Straight into the tables: by way of mirrors it would take hours."""
    sha256 = "0" * 64
    line = Record(parse_url("https://URL"), sha256, 1, 1000.0).to_line()
    values = {"count": count, "line": line, "sha256": sha256}
    with psycopg.connect(cluster.database, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute(_FILLED.encode(), values)
