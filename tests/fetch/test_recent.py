"""What is remembered of requests, and what another process adds to it."""

from __future__ import annotations

from dataset_mirror.fetch.recent import Asked, Recent


def noted(*ends: float, client: str = "10.0.0.1", outcome: str = "hit") -> Recent:
    """What is remembered of requests that ended then, each after a second."""
    recent = Recent()
    for end in ends:
        recent.note(Asked(end - 1, str(end), client, "GET", "/a", 200, outcome, "a", size=10, first_byte=0.02, seconds=1.0))
    return recent


def test_another_process_requests_come_in_their_order() -> None:
    """The latest request is the last, whichever process answered; clients and latencies are those of all."""
    recent = noted(10, 20, 30)
    recent.add(noted(5, 25, 35, client="10.0.0.2", outcome="miss"))
    assert [asked.id for asked in recent.requests] == ["5", "10", "20", "25", "30", "35"]
    clients = [(one.address, one.requests, one.hits, one.misses, one.size, one.last) for one in recent.clients.values()]
    assert clients == [("10.0.0.1", 3, 3, 0, 30, 29), ("10.0.0.2", 3, 0, 3, 30, 34)]
    assert [(sum(found.counts), round(found.total, 3)) for found in recent.first_bytes.values()] == [(3, 0.06), (3, 0.06)]
