"""A hit is answered from the mirror's own folder: it waits for neither database nor bucket, whatever these do."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest

from tests.origin import body
from tests.serving import Answer, Mirror
from tests.shared.cluster import Cluster, kept
from tests.shared.figures import behind, relays
from tests.shared.relay import Mode
from tests.waiting import until

SIZE = 2_000_000
"""Bytes of an archive that is not answered from memory."""
MODES: dict[Mode, float] = {"silent": 1.5, "slow": 0.5, "refuse": 0.5}
"""What database and bucket do, and for how many seconds."""


def _each(mirror: Mirror) -> list[tuple[Answer, bytes]]:
    """The ways in which what is stored is asked for, and what is right."""
    small, large = body(50_000, 1), body(SIZE)
    return [
        (mirror.archive("/sets/large.bin"), large),
        (mirror.archive("/sets/small.bin"), small),
        (mirror.archive("/sets/large.bin", range="bytes=1000-1999"), large[1000:2000]),
        (mirror.archive("/sets/small.bin", accept="*/*", x_request_id="not-from-memory"), small),
        (mirror.head("/sets/large.bin"), b""),
    ]


@pytest.mark.timed
def test_hits_wait_for_nobody(cluster: Cluster) -> None:
    """With both silent, slow or away the slowest of many hits takes less than anything here waits for either."""
    cluster.origin.add("/sets/large.bin", body(SIZE))
    cluster.origin.add("/sets/small.bin", body(50_000, 1))
    with ExitStack() as ends:
        ways = relays(cluster, ends)
        mirror = ends.enter_context(behind(cluster, ways))
        for name in ("large", "small"):
            mirror.archive(f"/sets/{name}.bin")
        until(kept(cluster, 2), "the bucket has them")
        for mode, seconds in MODES.items():
            for way in ways:
                way.become(mode)
            slowest, end = 0.0, time.monotonic() + seconds
            while time.monotonic() < end:
                began = time.monotonic()
                assert all(answer.body == right for answer, right in _each(mirror))
                slowest = max(slowest, time.monotonic() - began)
            assert slowest < 1, mode
        assert len(cluster.origin.requests) == 2
