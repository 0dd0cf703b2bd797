"""/metrics: what Prometheus reads."""

from prometheus_client.parser import text_string_to_metric_families

from tests.origin import Origin, body
from tests.serving import HOST, Mirror


def samples(mirror: Mirror) -> dict[tuple[str, ...], float]:
    """Values by name and labels."""
    answer = mirror.get("/metrics")
    assert answer.status == 200
    assert answer.fields["content-type"].startswith("text/plain")
    families = text_string_to_metric_families(answer.body.decode())
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


def test_what_is_counted(origin: Origin, mirror: Mirror) -> None:
    """Requests by outcome, bytes in and out, fills by result, and what is stored, by origin."""
    origin.add("/sets/a.bin", body(1000))
    for path in ("/sets/a.bin", "/sets/a.bin", "/sets/a.bin", "/sets/none.bin"):
        mirror.archive(path)
    mirror.head("/sets/a.bin")
    mirror.get("/other.example.org/x")
    found = samples(mirror)
    requests = {labels[1:]: value for labels, value in found.items() if labels[0] == "dataset_mirror_requests_total"}
    expected = {(HOST, "hit"): 2, (HOST, "head"): 1, (HOST, "miss"): 1, (HOST, "origin-refuses"): 1, ("", "not-listed"): 1}
    assert requests == expected
    assert found["dataset_mirror_sent_bytes_total", HOST] == 3000
    assert found["dataset_mirror_received_bytes_total", HOST] == 1000
    assert found["dataset_mirror_fills_total", HOST, "stored"] == 1
    assert found["dataset_mirror_fills_total", HOST, "origin-refuses"] == 1
    assert found["dataset_mirror_archives",] == 1
    assert found["dataset_mirror_store_bytes",] == 1000
    assert found["dataset_mirror_fills_under_way",] == 0


def test_labels_are_never_urls(origin: Origin, mirror: Mirror) -> None:
    """However many archives are asked for, and of whatever hosts, there are no more labels."""
    before = len(samples(mirror))
    for number in range(20):
        mirror.get(f"/host-{number}.example.org/x")
        mirror.archive(f"/sets/{number}.bin")
    after = samples(mirror)
    assert len(after) <= before + 4
    assert not any("sets/" in part or "host-" in part for labels in after for part in labels)


def test_no_metric_is_without_words(mirror: Mirror) -> None:
    """Each metric says what it is."""
    families = text_string_to_metric_families(mirror.get("/metrics").body.decode())
    assert [
        family.name for family in families if not family.documentation.endswith(".") or not family.name.startswith("dataset_mirror_")
    ] == []
