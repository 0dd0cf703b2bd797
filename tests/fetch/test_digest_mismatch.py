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


@pytest.fixture
def mistaken(origin: Origin, start_mirror: StartMirror) -> Mirror:
    """A mirror whose catalog expects another digest than the origin's bytes have."""
    origin.add(PATH, DATA)
    return start_mirror(archives=[{"url": URL + PATH, "sha256": WRONG}])


def test_answer_names_both_digests_and_the_way_out(mistaken: Mirror) -> None:
    """The client gets a 502 with the expected digest, the digest that came, and the lines that would accept it."""
    problem = mistaken.archive(PATH).problem
    assert problem["status"] == 502
    assert problem["type"] == "urn:dataset-mirror:digest-mismatch"
    assert WRONG in problem["detail"]
    assert RIGHT in problem["detail"]
    assert f'[[archives]] url = "{URL}{PATH}" sha256 = "{RIGHT}"' in problem["mend"]


def test_nothing_is_kept(mistaken: Mirror) -> None:
    """No blob, no name in tree/, no line in archives.ndjson and no partial file remain."""
    assert mistaken.archive(PATH).status == 502
    assert mistaken.blobs == []
    assert not (mistaken.data / "tree" / HOST / PATH[1:]).is_symlink()
    journal = mistaken.data / "archives.ndjson"
    assert not journal.exists() or not journal.read_bytes()
    assert list((mistaken.data / "partial").iterdir()) == []


def test_failure_is_told(mistaken: Mirror) -> None:
    """/status and the log tell of the failure."""
    mistaken.archive(PATH)
    failure = mistaken.status["failures"][0]
    assert (failure["url"], failure["status"]) == (URL + PATH, 502)
    assert RIGHT in failure["detail"]
    assert RIGHT in mistaken.log


def test_next_request_asks_again(mistaken: Mirror, origin: Origin) -> None:
    """A mismatch is not remembered: the next request asks the origin anew."""
    assert [mistaken.archive(PATH).status for _ in range(2)] == [502, 502]
    assert len(origin.gets(PATH)) == 2


def test_large_archive_never_looks_complete(mistaken: Mirror, origin: Origin) -> None:
    """A client that already got bytes of a wrong archive sees its connection break before the end."""
    origin.change(PATH, body=body(2_000_000))
    with pytest.raises((ConnectionError, http.client.IncompleteRead)):
        mistaken.archive(PATH)
    assert mistaken.blobs == []


def test_range_of_wrong_archive_never_looks_complete(mistaken: Mirror, origin: Origin) -> None:
    """Where the catalog has a digest, the end of a part waits for it too."""
    origin.change(PATH, body=body(2_000_000))
    assert mistaken.archive(PATH, range="bytes=1000-1999").status == 502


def test_wrong_byte_on_the_way_is_found(origin: Origin, start_mirror: StartMirror) -> None:
    """One byte that flips on the way gives 502; when it comes right, it is kept."""
    origin.add(PATH, DATA, flip_at=20_000, times=1)
    mirror = start_mirror(archives=[{"url": URL + PATH, "sha256": RIGHT}])
    assert mirror.archive(PATH).status == 502
    assert mirror.archive(PATH).body == DATA


def test_either_of_two_digests_is_accepted(origin: Origin, start_mirror: StartMirror) -> None:
    """An entry that lists two digests accepts either."""
    other = body(40_000, seed=1)
    digests = [RIGHT, hashlib.sha256(other).hexdigest()]
    archives = [{"url": f"{URL}/sets/{name}.bin", "sha256": digests} for name in "ab"]
    origin.add("/sets/a.bin", DATA)
    origin.add("/sets/b.bin", other)
    mirror = start_mirror(archives=archives)
    assert mirror.archive("/sets/a.bin").body == DATA
    assert mirror.archive("/sets/b.bin").body == other


def test_the_line_of_the_answer_accepts_it(origin: Origin, mistaken: Mirror) -> None:
    """After writing the suggested lines into mirror.toml, the archive is served."""
    accepted = json.dumps([{"url": URL + PATH, "sha256": mistaken.archive(PATH).problem["mend"].split('"')[-2]}])
    mistaken.close()
    again = Mirror(mistaken.data, origins=[{"url": URL, "paths": ["/sets/"]}], upstreams={HOST: [origin.url]}, archives=accepted, grace=1)
    with again:
        assert again.archive(PATH).body == DATA
