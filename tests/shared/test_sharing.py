"""Several mirrors, one store: an archive is fetched once by all, and every one of them has it then."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import IncompleteRead

import pytest

from tests.cli.test_logs import requests
from tests.origin import body
from tests.serving import URL, Mirror
from tests.shared.cluster import Cluster, fresh_database, kept
from tests.shared.relay import Relay
from tests.waiting import until


def test_a_herd_over_all_mirrors(cluster: Cluster) -> None:
    """24 clients over three mirrors get right bytes, and the origin sends them once; afterwards the bucket has them."""
    content = body(6_000_000)
    cluster.origin.add("/sets/a.bin", content, rate=8_000_000)
    mirrors = [cluster.start() for _ in range(3)]
    with ThreadPoolExecutor(24) as clients:
        answers = list(clients.map(lambda number: mirrors[number % 3].archive("/sets/a.bin"), range(24)))
    assert all(answer.body == content for answer in answers)
    assert len([request for request in cluster.origin.gets("/sets/a.bin") if request.range is None]) == 1
    assert cluster.origin.bytes_sent_for("/sets/a.bin") <= 1.02 * len(content)
    until(kept(cluster), "the bucket has it")


def test_a_mirror_emptied(cluster: Cluster) -> None:
    """A mirror whose folder was deleted serves again without the origin, from the bucket, with the same head."""
    content = body(3_000_000)
    cluster.origin.add("/sets/a.bin", content, last_modified="Sat, 01 Jan 2022 00:00:00 GMT")
    mirror = cluster.start()
    before = mirror.archive("/sets/a.bin")
    until(kept(cluster), "the bucket has it")
    mirror.stop()
    shutil.rmtree(mirror.data)
    mirror.start()
    cluster.origin.add("/sets/a.bin", b"", status=500)
    after = mirror.archive("/sets/a.bin")
    assert after.body == content
    assert (after.fields["etag"], after.fields["last-modified"]) == (before.fields["etag"], before.fields["last-modified"])


def test_several_ranges_at_once(cluster: Cluster) -> None:
    """A large archive comes from the bucket over several connections, and goes on where these broke, if only its digest proves it."""
    content = body(24_000_000)
    cluster.origin.add("/sets/a.bin", content, etag=None)
    with cluster.mirror() as first:
        first.archive("/sets/a.bin")
        until(kept(cluster), "the bucket has it")
    with Relay(int(cluster.bucket["endpoint"].rpartition(":")[2])) as way, ThreadPoolExecutor() as clients:
        empty = cluster.start(offline=True, bucket={**cluster.bucket, "endpoint": way.url})
        before = way.accepted
        way.become("slow")
        answer = clients.submit(empty.archive, "/sets/a.bin")
        until(lambda: way.accepted >= before + 4, "it is asked for in parts")
        way.become("refuse")
        way.become("pass")
        assert answer.result().body == content
        assert "Starting over" not in empty.log


def test_removed_anywhere(cluster: Cluster) -> None:
    """What is removed from one mirror is removed from all, and is fetched from its origin when it is asked for again."""
    cluster.origin.add("/sets/a.bin", body(100_000))
    first, second = cluster.start(), cluster.start()
    first.archive("/sets/a.bin")
    until(kept(cluster), "the bucket has it")
    assert second.archive("/sets/a.bin").body == body(100_000)
    assert first.api("rm", archives=["https://data.example.org/sets/a.bin"]).status == 200
    until(lambda: not second.blobs, "the other has removed it")
    assert cluster.rows("SELECT count(*) FROM versions") == [(0,)]
    assert second.archive("/sets/a.bin").body == body(100_000)
    assert len(cluster.origin.gets("/sets/a.bin")) == 2


def test_a_damaged_object(cluster: Cluster) -> None:
    """An object whose bytes were changed in the bucket reaches nobody: the origin is asked, and the bucket gets it again."""
    cluster.origin.add("/sets/a.bin", body(100_000))
    first, second = cluster.start(), cluster.start()
    first.archive("/sets/a.bin")
    until(kept(cluster), "the bucket has it")
    ((name,),) = cluster.rows("SELECT object FROM objects")
    cluster.store.put(str(name), bytes(100_000))
    with pytest.raises((ConnectionResetError, IncompleteRead)):
        second.archive("/sets/a.bin")
    assert second.archive("/sets/a.bin").body == body(100_000)
    until(lambda: cluster.rows("SELECT count(*) FROM objects WHERE state = 'kept' AND object <> '" + str(name) + "'") == [(1,)], "again")


def test_changed_at_its_origin(cluster: Cluster) -> None:
    """One mirror notices the change; the others have it from the bucket, and serve no mixture."""
    cluster.origin.add("/sets/a.bin", body(100_000), etag='"old"')
    known = {"origins": [{"url": URL, "paths": ["/sets/"], "freshness": 1}]}
    first, second = cluster.start(**known), cluster.start()
    for mirror in (first, second):
        assert mirror.archive("/sets/a.bin").body == body(100_000)
    until(kept(cluster), "the bucket has it")
    cluster.origin.add("/sets/a.bin", body(100_000, 1), etag='"new"')
    until(lambda: first.archive("/sets/a.bin").body == body(100_000, 1), "one notices it")
    until(lambda: second.archive("/sets/a.bin").body == body(100_000, 1), "the other one has it, too")


def test_the_database_is_lost(cluster: Cluster) -> None:
    """In an empty database mirrors tell again of what they have, and all have it then."""
    cluster.origin.add("/sets/a.bin", body(100_000))
    mirror = cluster.start()
    mirror.archive("/sets/a.bin")
    until(kept(cluster), "the bucket has it")
    mirror.stop()
    lost, cluster.database = cluster.database, fresh_database()
    again = cluster.mirror(mirror.data)
    with again:
        until(kept(cluster), "it is told again")
    assert lost != cluster.database
    assert "is another one, or an earlier state" in again.log


def test_one_request_in_the_logs_of_two_mirrors(cluster: Cluster) -> None:
    """A mirror that follows another one tells it the id of its client's request: both logs have it."""
    cluster.origin.add("/sets/a.bin", body(1_000_000), rate=1_000_000)
    with (
        closing(cluster.mirror().start("--log-format", "json")) as holder,
        closing(cluster.mirror().start("--log-format", "json")) as other,
        ThreadPoolExecutor() as clients,
    ):
        first = clients.submit(holder.archive, "/sets/a.bin", x_request_id="first")
        until(lambda: cluster.rows("SELECT holder FROM leases"), "it is being fetched")
        second = clients.submit(other.archive, "/sets/a.bin", x_request_id="second")
        assert first.result().body == second.result().body == body(1_000_000)
        until(lambda: _ids(holder) == {"first", "second"}, "the one that fetched it has both")
        until(lambda: _ids(other) == {"second"}, "the one that followed has its own")
    assert len(cluster.origin.requests) == 1


def _ids(mirror: Mirror) -> set[str]:
    """Those of the requests for archives in its log."""
    return {line["request_id"] for line in requests(mirror.log) if line["outcome"] in ("miss", "followed")}
