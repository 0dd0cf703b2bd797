"""What commands do to one mirror of several."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests import warm
from tests.origin import body
from tests.shared.cluster import Cluster, kept
from tests.waiting import until

SIZE = 300_000


def test_verify_heals_from_the_bucket(cluster: Cluster) -> None:
    """A damaged blob comes from the bucket again, and its origin is not asked."""
    cluster.origin.add("/sets/a.bin", body(SIZE))
    mirror = cluster.start()
    mirror.archive("/sets/a.bin")
    until(kept(cluster), "the bucket has it")
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
    until(kept(cluster, 2), "the bucket has them")
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
    until(kept(cluster), "the bucket has it")
    offline = cluster.start(offline=True)
    assert offline.archive("/sets/a.bin").body == body(SIZE)
    assert offline.archive("/sets/b.bin").status == 504
    assert len(cluster.origin.requests) == 1


def test_share_and_unshare(cluster: Cluster) -> None:
    """What a lone mirror has is moved into the shared store, with a server and without; and all of that into one that goes alone again."""
    for name in ("a", "b"):
        cluster.origin.add(f"/sets/{name}.bin", body(SIZE, ord(name)))
    mirror = cluster.mirror(shared=None, bucket=None)
    with mirror:
        mirror.archive("/sets/a.bin")
    done = command(cluster, mirror.data, "share")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["1 archive is to be uploaded.", "All mirrors have them now."]
    assert command(cluster, mirror.data, "share").stdout == "Everything is there already.\n"
    other = cluster.start()
    other.archive("/sets/b.bin")
    until(kept(cluster, 2), "the bucket has both")
    done = command(cluster, mirror.data, "unshare")
    assert done.returncode == 0, done.stderr
    cluster.origin.stop()
    with mirror:
        assert [mirror.archive(f"/sets/{name}.bin").body for name in ("a", "b")] == [body(SIZE, ord(name)) for name in ("a", "b")]


def test_verify_the_bucket_and_doctor(cluster: Cluster) -> None:
    """A damaged object is found, and uploaded again by the mirror that has its bytes; doctor tells of database, bucket and mirrors."""
    cluster.origin.add("/sets/a.bin", body(SIZE))
    mirror = cluster.start()
    mirror.archive("/sets/a.bin")
    until(kept(cluster), "the bucket has it")
    assert command(cluster, mirror.data, "verify", "--bucket").returncode == 0
    ((name,),) = cluster.rows("SELECT object FROM objects")
    cluster.store.put(str(name), bytes(SIZE))
    other = cluster.start()
    done = command(cluster, other.data, "verify", "--bucket")
    assert done.returncode == 1
    assert "is damaged" in done.stderr
    until(lambda: cluster.rows("SELECT count(*) FROM objects WHERE state = 'kept'") == [(1,)], "it is uploaded again")
    assert command(cluster, mirror.data, "verify", "--bucket").returncode == 0
    said = command(cluster, mirror.data, "doctor").stdout
    assert "It knows 1 archive; the bucket has 1 object, 300,000 bytes." in said
    assert f"{other.url} answers." in said


def command(cluster: Cluster, data: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of one of several mirrors."""
    return warm.run(*words, "--data", data, env=cluster.environment(data), cwd=data.parent)
