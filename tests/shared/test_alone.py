"""Without the database, or the bucket, each mirror goes on alone, and catches up when they are back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from tests.origin import Origin, body
from tests.shared.cluster import Cluster, fresh_bucket, kept
from tests.shared.postgres import Postgres
from tests.shared.services import MISSING, own_postgres
from tests.waiting import until

pytestmark = pytest.mark.skipif(bool(MISSING["postgres"]), reason=MISSING["postgres"])


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL that may be stopped."""
    with own_postgres() as running:
        yield running


@pytest.fixture
def own_cluster(postgres: Postgres, origin: Origin, tmp_path: Path) -> Iterator[Cluster]:
    """Mirrors over a PostgreSQL that may be stopped."""
    name = f"mirrors_{time.monotonic_ns()}"
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    with Cluster(origin, tmp_path, postgres.url(name), fresh_bucket()) as made:
        yield made


def test_the_database_is_stopped(own_cluster: Cluster, postgres: Postgres) -> None:
    """Hits and misses are answered while it is away; afterwards the others have what was fetched alone."""
    mirror = own_cluster.start()
    for name in ("a", "b"):
        own_cluster.origin.add(f"/sets/{name}.bin", body(100_000, ord(name)))
    mirror.archive("/sets/a.bin")
    until(kept(own_cluster), "the bucket has it")
    postgres.stop()
    try:
        for name in ("a", "b"):
            assert mirror.archive(f"/sets/{name}.bin").body == body(100_000, ord(name))
    finally:
        postgres.start()
    until(kept(own_cluster, 2), "the others have it, too")


@pytest.mark.parametrize("end", ["terminated", "restarted"])
def test_the_database_ended_all_sessions(own_cluster: Cluster, postgres: Postgres, end: str) -> None:
    """Right behind that, an archive is still fetched once by all: no session is used that broke off while it was idle."""
    mirrors = [own_cluster.start() for _ in range(2)]
    own_cluster.origin.add("/sets/a.bin", body(100_000))
    own_cluster.origin.add("/sets/b.bin", body(1_000_000), rate=2_000_000)
    for mirror in mirrors:
        mirror.archive("/sets/a.bin")
    if end == "terminated":
        own_cluster.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL")
    else:
        postgres.stop()
        postgres.start()
    until(lambda: all(mirror.status["shared"]["joined"] for mirror in mirrors), "both are joined again")
    with ThreadPoolExecutor(2) as clients:
        answers = list(clients.map(lambda mirror: mirror.archive("/sets/b.bin"), mirrors))
    assert all(answer.body == body(1_000_000) for answer in answers)
    assert len([request for request in own_cluster.origin.gets("/sets/b.bin") if request.range is None]) == 1


def test_the_database_is_silent(own_cluster: Cluster, postgres: Postgres) -> None:
    """A database that keeps its connections and says nothing delays a miss by seconds at most, and a hit not at all."""
    mirror = own_cluster.start()
    for name in ("a", "b", "c"):
        own_cluster.origin.add(f"/sets/{name}.bin", body(100_000, ord(name)))
    mirror.archive("/sets/a.bin")
    until(kept(own_cluster), "the bucket has it")
    postgres.silence()
    try:
        for name in ("a", "b", "c"):
            assert mirror.archive(f"/sets/{name}.bin").body == body(100_000, ord(name))
    finally:
        postgres.resume()
    until(kept(own_cluster, 3), "the others have it, too")


def test_started_without_it(own_cluster: Cluster, postgres: Postgres) -> None:
    """A mirror that starts without the database says so and works; with require_shared it does not start."""
    own_cluster.origin.add("/sets/a.bin", body(100_000))
    postgres.stop()
    try:
        mirror = own_cluster.start()
        assert mirror.archive("/sets/a.bin").body == body(100_000)
        assert "The shared database cannot be used" in mirror.log
        strict = own_cluster.mirror(require_shared=True)
        with pytest.raises(AssertionError, match="it does not listen"):
            strict.start()
        assert "Correct it, or take `require_shared` away" in strict.log
    finally:
        postgres.start()
    until(kept(own_cluster), "it has caught up")


def test_the_bucket_is_away(origin: Origin, tmp_path: Path, own_cluster: Cluster) -> None:
    """Without the bucket archives are fetched and followed all the same."""
    own_cluster.origin.add("/sets/a.bin", body(100_000))
    nowhere = {**own_cluster.bucket, "endpoint": "http://127.0.0.1:9"}
    first, second = (own_cluster.start(bucket=nowhere) for _ in range(2))
    assert first.archive("/sets/a.bin").body == second.archive("/sets/a.bin").body == body(100_000)
    assert len(own_cluster.origin.gets("/sets/a.bin")) == 1
