"""What commands do to one mirror of several."""

from __future__ import annotations

from tests.origin import body
from tests.shared.cluster import Cluster, kept, wait_for

SIZE = 300_000


def test_verify_heals_from_the_bucket(cluster: Cluster) -> None:
    """A damaged blob comes from the bucket again, and its origin is not asked."""
    cluster.origin.add("/sets/a.bin", body(SIZE))
    mirror = cluster.start()
    mirror.archive("/sets/a.bin")
    wait_for(kept(cluster), "the bucket has it")
    (blob,) = mirror.blobs
    blob.chmod(0o600)
    blob.write_bytes(bytes(SIZE))
    assert b'"fetched"' in mirror.api("verify").body
    assert mirror.archive("/sets/a.bin").body == body(SIZE)
    assert len(cluster.origin.requests) == 1


def test_room_is_made_without_asking(cluster: Cluster) -> None:
    """What the bucket has makes room without a question to its origin, and comes back from the bucket."""
    for number in range(3):
        cluster.origin.add(f"/sets/{number}.bin", body(SIZE, number))
    mirror = cluster.start(max_size=2 * SIZE + 1000)
    for number in range(2):
        mirror.archive(f"/sets/{number}.bin")
    wait_for(kept(cluster, 2), "the bucket has them")
    assert mirror.archive("/sets/2.bin").body == body(SIZE, 2)
    assert len(mirror.blobs) == 2
    assert mirror.archive("/sets/0.bin").body == body(SIZE)
    assert [request.method for request in cluster.origin.requests] == ["GET"] * 3


def test_nothing_goes_that_nobody_else_has(cluster: Cluster) -> None:
    """As long as the bucket is away nothing makes room that was not told to the others."""
    for number in range(2):
        cluster.origin.add(f"/sets/{number}.bin", body(SIZE, number))
    mirror = cluster.start(max_size=SIZE + 1000, bucket={**cluster.bucket, "endpoint": "http://127.0.0.1:9"})
    mirror.archive("/sets/0.bin")
    assert mirror.archive("/sets/1.bin").status == 507
    assert mirror.archive("/sets/0.bin").body == body(SIZE)


def test_offline_from_the_bucket(cluster: Cluster) -> None:
    """An offline mirror has what the others have, and asks no origin; for what none has it says so."""
    cluster.origin.add("/sets/a.bin", body(SIZE))
    mirror = cluster.start()
    mirror.archive("/sets/a.bin")
    wait_for(kept(cluster), "the bucket has it")
    offline = cluster.start(offline=True)
    assert offline.archive("/sets/a.bin").body == body(SIZE)
    assert offline.archive("/sets/b.bin").status == 504
    assert len(cluster.origin.requests) == 1
