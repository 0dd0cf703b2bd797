"""Several connections for one large archive: in order, politely, and never a splice."""

from __future__ import annotations

import hashlib
import http.client
from typing import Any

import pytest

from tests.conftest import StartMirror
from tests.origin import Origin, Request, body
from tests.serving import HOST, URL

SIZE, RATE = 12_000_000, 2_000_000
DATA, OTHER = body(SIZE), body(SIZE, seed=1)
PATH = "/sets/large.bin"


def ranged(origin: Origin) -> list[Request]:
    return [request for request in origin.gets(PATH) if request.range]


def test_large_archive_comes_over_four_connections(origin: Origin, start_mirror: StartMirror) -> None:
    """The first GET has no Range; three more take pieces under If-Range, and hardly a byte is sent twice."""
    origin.add(PATH, DATA, rate=RATE)
    assert start_mirror().archive(PATH).body == DATA
    first, *others = origin.gets(PATH)
    assert first.range is None
    assert len({request.connection_id for request in others[:3]}) == 3
    assert all(request.header("if-range") == '"v1"' for request in others)
    starts = [int(str(request.range)[6:].partition("-")[0]) for request in others]
    assert sorted(starts[:3]) == sorted(starts)[:3]  # two that open at once may arrive in either order
    assert origin.connections <= 5
    assert origin.bytes_sent <= 1.02 * SIZE


@pytest.mark.parametrize(
    "nature",
    [{"ranges": False}, {"etag": 'W/"v1"'}, {"etag": None}, {"headers": {"Accept-Ranges": "none"}}],
    ids=["no ranges", "weak tag", "no tag", "none"],
)
def test_without_proof_there_is_one_connection(origin: Origin, start_mirror: StartMirror, nature: dict[str, Any]) -> None:
    """No ranges, or no strong validator: one GET brings everything."""
    origin.add(PATH, DATA[:6_000_000], rate=RATE, **nature)
    assert start_mirror().archive(PATH).body == DATA[:6_000_000]
    assert len(origin.gets(PATH)) == 1


def test_origin_with_one_connection_sees_one(origin: Origin, start_mirror: StartMirror) -> None:
    """`connections = 1` is kept, for readers at the far end too."""
    origin.add(PATH, DATA[:6_000_000], rate=RATE)
    mirror = start_mirror(origins=[{"url": URL, "paths": ["/sets/"], "connections": 1}], upstreams={HOST: [origin.url]})
    assert mirror.archive(PATH, range="bytes=-1000").body == DATA[5_999_000:6_000_000]
    assert len(origin.gets(PATH)) == 1


def test_far_range_does_not_wait_for_what_is_before_it(origin: Origin, start_mirror: StartMirror) -> None:
    """A client's range at the end is asked for at once, and arrives while most of the archive is missing."""
    origin.add(PATH, DATA, rate=RATE)
    answer = start_mirror().archive(PATH, range=f"bytes={SIZE - 65536}-")
    sent = origin.bytes_sent
    assert (answer.status, answer.body) == (206, DATA[-65536:])
    assert sent < SIZE // 2
    assert ranged(origin)[0].range == f"bytes={SIZE - 65536}-{SIZE - 1}"


@pytest.mark.parametrize(
    "answer",
    [{"etag_per_connection": True}, {"status": 503, "times": 1}, {"status": 429, "times": 1}, {"status": 404, "times": 1}],
    ids=["another tag", "503", "429", "404"],
)
def test_refused_connection_is_dropped(origin: Origin, start_mirror: StartMirror, answer: dict[str, Any]) -> None:
    """An extra connection that does not get its piece is the last one; the first brings everything, and nobody is broken."""
    origin.add(PATH, DATA[:6_000_000], rate=RATE, spared=1, **answer)
    assert start_mirror().archive(PATH).body == DATA[:6_000_000]
    assert len(ranged(origin)) == 1


def test_cut_connections_give_their_bytes_back(origin: Origin, start_mirror: StartMirror) -> None:
    """Connections that break again and again in the middle of pieces cost no byte."""
    origin.add(PATH, DATA, rate=RATE, cut_after=1_500_000)
    assert start_mirror().archive(PATH).body == DATA
    assert origin.bytes_sent <= 1.1 * SIZE


def test_wrong_digest_is_an_error_over_any_number_of_connections(origin: Origin, start_mirror: StartMirror) -> None:
    """Pieces of other bytes than the catalog expects are not kept, and their reader never has an end."""
    origin.add(PATH, OTHER, rate=RATE)
    mirror = start_mirror(archives=[{"url": f"{URL}{PATH}", "sha256": hashlib.sha256(DATA).hexdigest()}])
    with pytest.raises((ConnectionError, http.client.IncompleteRead)):
        mirror.archive(PATH)
    assert mirror.blobs == []
    assert len(ranged(origin)) > 3
