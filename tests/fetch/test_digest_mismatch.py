"""Bytes that are not what the catalog expects are never kept, and never look complete."""

from __future__ import annotations

import hashlib
import http.client
import json

import pytest

from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, URL, Mirror

PATH = "/sets/a.bin"
DATA = body(40_000)
WRONG = "ab12" * 16
RIGHT = hashlib.sha256(DATA).hexdigest()
OTHER = body(40_000, seed=1)
EITHER = [RIGHT, hashlib.sha256(OTHER).hexdigest()]
NAMES = ("answer", "nothing", "told", "again", "large", "range")


@pytest.fixture(scope="module")
def mistaken(shared_origin: Origin, start_shared_mirror: StartMirror) -> Mirror:
    """A mirror whose catalog expects other digests than the origin's bytes have; each test asks for an archive of its own."""
    for name in NAMES:
        shared_origin.add(f"/sets/{name}.bin", DATA)
    return start_shared_mirror(archives=[{"url": f"{URL}/sets/{name}.bin", "sha256": WRONG} for name in NAMES])


@pytest.fixture(scope="module")
def right(start_shared_mirror: StartMirror) -> Mirror:
    """A mirror whose catalog expects what the origin has."""
    expected = {"flip": RIGHT, "one": EITHER, "other": EITHER}
    return start_shared_mirror(archives=[{"url": f"{URL}/sets/{name}.bin", "sha256": digests} for name, digests in expected.items()])


def test_answer_names_both_digests_and_the_way_out(mistaken: Mirror) -> None:
    """The client gets a 502 with the expected digest, the digest that came, and the lines that would accept it."""
    problem = mistaken.archive("/sets/answer.bin").problem
    assert problem["status"] == 502
    assert problem["type"] == "urn:dataset-mirror:digest-mismatch"
    assert WRONG in problem["detail"]
    assert RIGHT in problem["detail"]
    assert f'[[archives]] url = "{URL}/sets/answer.bin" sha256 = "{RIGHT}"' in problem["hint"]


def test_nothing_is_kept(mistaken: Mirror) -> None:
    """No blob, no name in tree/, no line in archives.ndjson and no partial file remain."""
    assert mistaken.archive("/sets/nothing.bin").status == 502
    assert mistaken.blobs == []
    assert not (mistaken.data / "tree" / HOST / "sets" / "nothing.bin").is_symlink()
    journal = mistaken.data / "archives.ndjson"
    assert not journal.exists() or not journal.read_bytes()
    assert list((mistaken.data / "partial").iterdir()) == []


def test_failure_is_told(mistaken: Mirror) -> None:
    """/status and the log tell of the failure."""
    mistaken.archive("/sets/told.bin")
    failure = mistaken.status["failures"][0]
    assert (failure["url"], failure["status"]) == (f"{URL}/sets/told.bin", 502)
    assert RIGHT in failure["detail"]
    assert RIGHT in mistaken.log


def test_next_request_asks_again(mistaken: Mirror, shared_origin: Origin) -> None:
    """A mismatch is not remembered: the next request asks the origin again."""
    assert [mistaken.archive("/sets/again.bin").status for _ in range(2)] == [502, 502]
    assert len(shared_origin.gets("/sets/again.bin")) == 2


def test_large_archive_never_looks_complete(mistaken: Mirror, shared_origin: Origin) -> None:
    """A client that already got bytes of a wrong archive sees its connection break before the end."""
    shared_origin.change("/sets/large.bin", body=body(2_000_000))
    with pytest.raises((ConnectionError, http.client.IncompleteRead)):
        mistaken.archive("/sets/large.bin")
    assert mistaken.blobs == []


def test_range_of_wrong_archive_never_looks_complete(mistaken: Mirror, shared_origin: Origin) -> None:
    """Where the catalog has a digest, the end of a part waits for it too."""
    shared_origin.change("/sets/range.bin", body=body(2_000_000))
    assert mistaken.archive("/sets/range.bin", range="bytes=1000-1999").status == 502


def test_wrong_byte_on_the_way_is_found(shared_origin: Origin, right: Mirror) -> None:
    """One byte that flips on the way gives 502; when it comes right, it is kept."""
    shared_origin.add("/sets/flip.bin", DATA, flip_at=20_000, times=1)
    assert right.archive("/sets/flip.bin").status == 502
    assert right.archive("/sets/flip.bin").body == DATA


def test_either_of_two_digests_is_accepted(shared_origin: Origin, right: Mirror) -> None:
    """An entry that lists two digests accepts either."""
    shared_origin.add("/sets/one.bin", DATA)
    shared_origin.add("/sets/other.bin", OTHER)
    assert right.archive("/sets/one.bin").body == DATA
    assert right.archive("/sets/other.bin").body == OTHER


def test_the_line_of_the_answer_accepts_it(origin: Origin, start_mirror: StartMirror) -> None:
    """After writing the suggested lines into mirror.toml, the archive is served."""
    origin.add(PATH, DATA)
    mistaken = start_mirror(archives=[{"url": URL + PATH, "sha256": WRONG}])
    accepted = json.dumps([{"url": URL + PATH, "sha256": mistaken.archive(PATH).problem["hint"].split('"')[-2]}])
    mistaken.close()
    again = Mirror(mistaken.data, origins=[{"url": URL, "paths": ["/sets/"]}], upstreams={HOST: [origin.url]}, archives=accepted, grace=1)
    with again:
        assert again.archive(PATH).body == DATA
