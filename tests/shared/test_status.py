"""What people see of several mirrors, from any of them."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from tests.image.test_observe import SHARED
from tests.origin import body
from tests.shared.cluster import Cluster, kept, wait_for


def test_all_mirrors(cluster: Cluster) -> None:
    """Each tells of all; one that was killed is there, and does not live; one that was stopped has left."""
    cluster.origin.add("/sets/a.bin", body(100_000))
    first, second, third = (cluster.start() for _ in range(3))
    first.archive("/sets/a.bin")
    wait_for(kept(cluster), "the bucket has it")
    second.kill()
    third.stop()
    shared = first.status["shared"]
    assert shared["joined"]
    assert shared["alone_since"] is None
    assert (shared["outbox"], shared["leases"], shared["uploaded"]) == (0, 0, 100_000)
    assert sorted((mirror["url"] == first.url, mirror["alive"]) for mirror in shared["mirrors"]) == [(False, False), (True, True)]
    said = first.get("/metrics").body.decode()
    found = {
        family.name + ("_total" if family.type == "counter" else ""): (family.type, (), family.documentation)
        for family in text_string_to_metric_families(said)
        if family.name.startswith("dataset_mirror_shared_")
    }
    assert found == SHARED
