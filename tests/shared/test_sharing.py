"""Several mirrors, one store: an archive is fetched once by all, and every one of them has it then."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor

from tests.origin import body
from tests.shared.conftest import Cluster, kept, wait_for


def test_a_herd_over_all_mirrors(cluster: Cluster) -> None:
    """24 clients over three mirrors get right bytes, and the origin sends them once; afterwards the bucket has them."""
    content = body(6_000_000)
    cluster.origin.add("/sets/a.bin", content, rate=8_000_000)
    mirrors = [cluster.start() for _ in range(3)]
    with ThreadPoolExecutor(24) as clients:
        answers = list(clients.map(lambda number: mirrors[number % 3].archive("/sets/a.bin"), range(24)))
    assert all(answer.body == content for answer in answers)
    assert len(cluster.origin.gets("/sets/a.bin")) <= 4
    assert cluster.origin.bytes_sent_for("/sets/a.bin") <= 1.02 * len(content)
    wait_for(kept(cluster), "the bucket has it")


def test_a_mirror_emptied(cluster: Cluster) -> None:
    """A mirror whose folder was deleted serves again without the origin, from the bucket, with the same head."""
    content = body(3_000_000)
    cluster.origin.add("/sets/a.bin", content, last_modified="Sat, 01 Jan 2022 00:00:00 GMT")
    mirror = cluster.start()
    before = mirror.archive("/sets/a.bin")
    wait_for(kept(cluster), "the bucket has it")
    mirror.stop()
    shutil.rmtree(mirror.data)
    mirror.start()
    cluster.origin.add("/sets/a.bin", b"", status=500)
    after = mirror.archive("/sets/a.bin")
    assert after.body == content
    assert (after.fields["etag"], after.fields["last-modified"]) == (before.fields["etag"], before.fields["last-modified"])
