"""The mirror that fetches an archive dies, or stops: another goes on where its bytes end, and nobody gets wrong or short ones."""

from __future__ import annotations

import signal
import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.origin import body
from tests.serving import Answer, Mirror
from tests.shared.cluster import Cluster, kept
from tests.waiting import until

DATA, RATE = body(6_000_000), 500_000


def _following(cluster: Cluster, clients: ThreadPoolExecutor) -> tuple[Mirror, list[Mirror], list[Future[Answer]]]:
    """A mirror that fetches, and clients of two others that follow it and have bytes."""
    cluster.origin.add("/sets/a.bin", DATA, rate=RATE)
    holder, *others = (cluster.start() for _ in range(3))
    clients.submit(lambda: holder.archive("/sets/a.bin"))
    until(lambda: cluster.rows("SELECT holder FROM leases"), "the first one has the lease")
    answers = [clients.submit(other.archive, "/sets/a.bin") for other in others]
    until(lambda: all(any(fill["received"] > 500_000 for fill in other.status["fills"]) for other in others), "they follow")
    cluster.origin.change("/sets/a.bin", rate=None)  # for who goes on
    return holder, others, answers


@pytest.mark.timed
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_the_holder_is_gone(cluster: Cluster, number: signal.Signals) -> None:
    """Clients of the others get the whole; the origin is asked for what is missing, and once more at most."""
    with ThreadPoolExecutor() as clients:
        holder, others, answers = _following(cluster, clients)
        asked = len(cluster.origin.gets("/sets/a.bin"))
        at = time.monotonic()
        if number == signal.SIGKILL:
            holder.kill()
        else:
            holder.signal(number)
        try:
            until(lambda: len(cluster.origin.gets("/sets/a.bin")) > asked, "another takes over")
            took = time.monotonic() - at
            assert all(answer.result().body == DATA for answer in answers)
        finally:
            if number == signal.SIGSTOP:
                holder.signal(signal.SIGCONT)
    assert took < (3 if number == signal.SIGKILL else 8)
    until(kept(cluster), "the bucket has it")
    went_on = [request for request in cluster.origin.gets("/sets/a.bin") if request.time > at and (request.range or "").endswith("-")]
    assert len(went_on) == 1, "one mirror goes on, and the other follows it"
    taken_over = [int(float(_metric(other, "takeovers_total"))) for other in others]
    assert sorted(taken_over) == [0, 1]


def test_a_graceful_stop(cluster: Cluster) -> None:
    """A mirror that is stopped gives its leases back, and another goes on at once."""
    with ThreadPoolExecutor() as clients:
        holder, _, answers = _following(cluster, clients)
        holder.stop()
        assert all(answer.result().body == DATA for answer in answers)
    assert cluster.rows("SELECT count(*) FROM mirrors WHERE lives(mirrors)") == [(2,)]


def _metric(mirror: Mirror, name: str) -> str:
    said = mirror.get("/metrics").body.decode()
    return said.partition(f"\ndataset_mirror_shared_{name} ")[2].partition("\n")[0]
