"""One fill per archive: asked for once, followed by everybody, and only a whole and right archive is kept."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import select
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest

from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, PATIENCE, URL, Mirror, mirroring

SIZE = 3_000_000
DATA = body(SIZE)
SMALL = body(40_000)
PACKED = gzip.compress(SMALL, mtime=0)
HELD = 64 * 1024
RATE = 3_000_000
BROKEN = (ConnectionError, http.client.IncompleteRead)
CATALOG: list[dict[str, object]] = [
    {"url": f"{URL}/sets/close-known.bin", "sha256": hashlib.sha256(DATA).hexdigest()},
    {"url": f"{URL}/sets/close-size.bin", "size": SIZE},
    {"url": f"{URL}/sets/size.bin", "size": SIZE + 1},
    {"url": f"{URL}/sets/md5.bin", "md5": hashlib.md5(SMALL).hexdigest()},
    {"url": f"{URL}/sets/md5-wrong.bin", "md5": "ab12" * 8},
    {"url": f"{URL}/sets/md5-encoded.bin", "md5": hashlib.md5(PACKED).hexdigest()},
]


@pytest.fixture(scope="module")
def shared(start_shared_mirror: StartMirror) -> Mirror:
    """A mirror that asks over one connection, however slow a busy machine makes it."""
    return start_shared_mirror(archives=CATALOG, origins=[{"url": URL, "paths": ["/sets/"], "connections": 1}])


@pytest.fixture(scope="module")
def impatient(start_shared_mirror: StartMirror) -> Mirror:
    """A mirror that goes on over another connection after three seconds of silence."""
    return start_shared_mirror(idle_timeout=3)


@contextmanager
def asking(mirror: Mirror, path: str) -> Iterator[http.client.HTTPResponse]:
    """A client that reads when it likes."""
    with closing(http.client.HTTPConnection("127.0.0.1", mirror.port, timeout=PATIENCE)) as connection:
        connection.request("GET", f"/{HOST}{path}")
        with connection.getresponse() as response:
            yield response


def received(client: socket.socket, size: int) -> bytes:
    """The body so far, as soon as it has `size` bytes; what else is there comes with it."""
    got = b""
    while len(got.partition(b"\r\n\r\n")[2]) < size:
        more = client.recv(HELD)
        assert more, "the connection ended"
        got += more
    return got.partition(b"\r\n\r\n")[2]


# ---- One fill, and those who follow it


def test_fifty_clients_are_one_request(shared: Mirror, shared_origin: Origin) -> None:
    """Fifty clients at once on a cold archive get all its bytes, and the origin is asked once."""
    shared_origin.add("/sets/fifty.bin", DATA, latency=0.2, rate=RATE)
    with ThreadPoolExecutor(50) as clients:
        answers = list(clients.map(lambda _: shared.archive("/sets/fifty.bin"), range(50)))
    assert all(answer.status == 200 and answer.body == DATA for answer in answers)
    assert len(shared_origin.gets("/sets/fifty.bin")) == 1


def test_first_byte_comes_long_before_the_last(shared: Mirror, shared_origin: Origin) -> None:
    """Content-Length and the first byte are there while the origin still has most of the archive to send."""
    shared_origin.add("/sets/early.bin", DATA, rate=RATE)
    with asking(shared, "/sets/early.bin") as response:
        first = response.read(1)
        assert shared_origin.bytes_sent_for("/sets/early.bin") < SIZE // 2
        assert response.headers["content-length"] == str(SIZE)
        assert first + response.read() == DATA


def test_client_that_leaves_changes_nothing(shared: Mirror, shared_origin: Origin) -> None:
    """A fill whose only client leaves at a tenth goes on, and the next client needs no second request."""
    shared_origin.add("/sets/left.bin", DATA, rate=RATE)
    with asking(shared, "/sets/left.bin") as response:
        response.read(SIZE // 10)
    shared_origin.wait_for(lambda: shared_origin.bytes_sent_for("/sets/left.bin") == SIZE)
    assert shared.archive("/sets/left.bin").body == DATA
    assert len(shared_origin.gets("/sets/left.bin")) == 1


def test_head_is_answered_from_the_fill(shared: Mirror, shared_origin: Origin) -> None:
    """HEAD during a fill tells what the fill knows, without another request."""
    shared_origin.add("/sets/head.bin", DATA, rate=RATE)
    with asking(shared, "/sets/head.bin") as response:
        response.read(1)
        answer = shared.head("/sets/head.bin")
        assert (answer.status, answer.fields["content-length"], answer.fields["etag"]) == (200, str(SIZE), '"v1"')
        assert shared_origin.heads("/sets/head.bin") == []
        response.read()


@pytest.mark.parametrize(("first", "last"), [(1000, 1999), (0, 0), (SIZE - 10, SIZE - 1)])
def test_range_of_a_cold_archive(shared: Mirror, shared_origin: Origin, first: int, last: int) -> None:
    """A Range of an archive that is not there gets 206 with exactly those bytes."""
    path = f"/sets/range-{first}.bin"
    shared_origin.add(path, DATA)
    answer = shared.archive(path, range=f"bytes={first}-{last}")
    assert (answer.status, answer.body) == (206, DATA[first : last + 1])
    assert answer.fields["content-range"] == f"bytes {first}-{last}/{SIZE}"


def test_end_waits_until_the_archive_is_published(impatient: Mirror, shared_origin: Origin) -> None:
    """While anything is missing at the origin, a reader has all but the last 64 KiB at most; then it gets them."""
    shared_origin.add("/sets/held.bin", DATA, stall_after=SIZE - 1, times=1)
    with socket.create_connection(("127.0.0.1", impatient.port), timeout=PATIENCE) as client:
        client.sendall(f"GET /{HOST}/sets/held.bin HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        beginning = received(client, SIZE - HELD)
        assert len(beginning) == SIZE - HELD
        assert not select.select([client], [], [], 0.3)[0]
        rest = b""
        while len(rest) < HELD:
            rest += client.recv(HELD)
    assert beginning + rest == DATA


# ---- Bodies whose length is not told


def test_chunked_archive_is_passed_on_and_stored(shared: Mirror, shared_origin: Origin) -> None:
    """An archive of unknown length arrives whole, is stored, and has its length from then on."""
    shared_origin.add("/sets/chunked.bin", DATA, chunked=True)
    first, second = (shared.archive("/sets/chunked.bin") for _ in range(2))
    assert first.body == second.body == DATA
    assert second.fields["content-length"] == str(SIZE)
    assert len(shared_origin.gets("/sets/chunked.bin")) == 1


def test_range_of_unknown_length_gets_the_whole(shared: Mirror, shared_origin: Origin) -> None:
    """A Range is answered with 200 and everything while the length is unknown, with 206 afterwards."""
    shared_origin.add("/sets/chunked-range.bin", DATA, chunked=True)
    answers = [shared.archive("/sets/chunked-range.bin", range="bytes=5-9") for _ in range(2)]
    assert [(answer.status, answer.body) for answer in answers] == [(200, DATA), (206, DATA[5:10])]


@pytest.mark.parametrize("name", ["close-known", "close-size"])
def test_end_by_close_is_proven_by_the_catalog(shared: Mirror, shared_origin: Origin, name: str) -> None:
    """A body that ends only by close is right if the catalog's digest or size agrees, and is stored."""
    shared_origin.add(f"/sets/{name}.bin", DATA, close_delimited=True)
    assert [shared.archive(f"/sets/{name}.bin").body == DATA for _ in range(2)] == [True, True]
    assert len(shared_origin.gets(f"/sets/{name}.bin")) == 1


def test_end_by_close_alone_proves_nothing(shared: Mirror, shared_origin: Origin) -> None:
    """Without the catalog, a body that ends only by close is a 502, or a broken connection once bytes have left."""
    shared_origin.add("/sets/close-small.bin", SMALL, close_delimited=True)
    shared_origin.add("/sets/close-large.bin", DATA, close_delimited=True)
    assert shared.archive("/sets/close-small.bin").problem["status"] == 502
    with pytest.raises(BROKEN):
        shared.archive("/sets/close-large.bin")


def test_proof_of_the_end_is_that_of_the_last_answer(impatient: Mirror, shared_origin: Origin) -> None:
    """A chunked body that breaks and comes again up to a close is not taken for whole: that close proves nothing."""
    path, cut = "/sets/chunked-then-close.bin", SIZE // 2
    shared_origin.add(path, DATA, chunked=True, stall_after=cut)
    with asking(impatient, path) as response:
        response.read(1)
        shared_origin.wait_for(lambda: shared_origin.bytes_sent_for(path) >= cut)
        shared_origin.add(path, DATA, close_delimited=True, cut_after=SIZE - 1000)
        with pytest.raises(BROKEN):
            response.read()
    shared_origin.add(path, DATA)
    assert impatient.archive(path).body == DATA


def test_a_shorter_whole_does_not_end_a_longer_beginning(impatient: Mirror, shared_origin: Origin) -> None:
    """A chunked body that breaks and comes again whole, but shorter than what was there, is another archive: never spliced."""
    path, cut = "/sets/chunked-then-shorter.bin", SIZE // 2
    shared_origin.add(path, DATA, chunked=True, etag='"v1"', stall_after=cut)
    with asking(impatient, path) as response:
        response.read(1)
        shared_origin.wait_for(lambda: shared_origin.bytes_sent_for(path) >= cut)
        shared_origin.add(path, DATA[: cut // 2], chunked=True, etag='"v1"')
        with pytest.raises(BROKEN):
            response.read()
    assert impatient.archive(path).body == DATA[: cut // 2]


# ---- Content-Encoding


def test_label_that_describes_the_file_is_dropped(shared: Mirror, shared_origin: Origin) -> None:
    """A .tar.gz that is labelled x-gzip keeps its bytes and loses the label."""
    packed = gzip.compress(SMALL)
    shared_origin.add("/sets/a.tar.gz", packed, content_encoding="x-gzip")
    for answer in (shared.archive("/sets/a.tar.gz") for _ in range(2)):
        assert (answer.body, answer.fields["content-encoding"]) == (packed, None)


def test_encoding_that_was_not_asked_for_is_decoded(shared: Mirror, shared_origin: Origin) -> None:
    """An archive that comes encoded is decoded, stored and served decoded, with its real length and no label."""
    shared_origin.add("/sets/encoded.bin", DATA, gzip="encode")
    for answer in (shared.archive("/sets/encoded.bin") for _ in range(2)):
        assert (answer.body, answer.fields["content-encoding"]) == (DATA, None)
        assert answer.fields["content-length"] == str(SIZE)


def test_all_members_are_decoded(shared: Mirror, shared_origin: Origin) -> None:
    """An encoded body of several gzip members is decoded to its very end."""
    shared_origin.add("/sets/members.bin", gzip.compress(SMALL) + gzip.compress(b"more"), content_encoding="gzip")
    assert shared.archive("/sets/members.bin").body == SMALL + b"more"


@pytest.mark.parametrize(("encoding", "data"), [("gzip", gzip.compress(SMALL)[:-9]), ("gzip", SMALL), ("br", SMALL)])
def test_what_cannot_be_decoded_is_a_502(shared: Mirror, shared_origin: Origin, encoding: str, data: bytes) -> None:
    """A cut or unknown encoding gives 502."""
    shared_origin.add("/sets/undecodable.bin", data, content_encoding=encoding)
    assert shared.archive("/sets/undecodable.bin").problem["status"] == 502


@pytest.mark.parametrize(("name", "data"), [("encoded-empty.bin", b""), ("encoded.npz", SMALL), ("encoded-page.h5", b"<!DOCTYPE html>")])
def test_decoded_bytes_are_judged(shared: Mirror, shared_origin: Origin, name: str, data: bytes) -> None:
    """What an encoded body decodes to must look like the archive, as any other body must: else 502."""
    shared_origin.add(f"/sets/{name}", data, gzip="encode")
    assert shared.archive(f"/sets/{name}").problem["type"] == "urn:dataset-mirror:not-an-archive"


def test_encoded_bytes_that_the_catalog_expects_are_kept(shared: Mirror, shared_origin: Origin) -> None:
    """An encoded body whose own MD5 is the catalog's is the archive: it is not decoded."""
    shared_origin.add("/sets/md5-encoded.bin", PACKED, content_encoding="gzip")
    assert shared.archive("/sets/md5-encoded.bin").body == PACKED


# ---- What is no archive


@pytest.mark.parametrize(
    ("name", "data", "behaviour"),
    [
        ("page.bin", SMALL, {"html": True}),
        ("empty.bin", b"", {"etag": None}),
        ("empty-chunked.bin", b"", {"chunked": True}),
        ("magic.npz", SMALL, {}),
        ("203.bin", SMALL, {"status": 203, "status_body": SMALL}),
        ("204.bin", SMALL, {"status": 204}),
    ],
)
def test_what_is_no_archive_is_a_502(shared: Mirror, shared_origin: Origin, name: str, data: bytes, behaviour: dict[str, object]) -> None:
    """A page, nothing, another format or another status in place of the archive gives 502, and the next request asks again."""
    shared_origin.add(f"/sets/{name}", data)
    shared_origin.change(f"/sets/{name}", **behaviour)
    assert [shared.archive(f"/sets/{name}").problem["status"] for _ in range(2)] == [502, 502]
    assert len(shared_origin.gets(f"/sets/{name}")) == 2


def test_other_size_than_the_catalogs_fails_before_a_byte(shared: Mirror, shared_origin: Origin) -> None:
    """An announced length that contradicts the catalog gives a clean 502 that names both."""
    shared_origin.add("/sets/size.bin", DATA)
    detail = shared.archive("/sets/size.bin").problem["detail"]
    assert f"{SIZE:,}" in detail
    assert f"{SIZE + 1:,}" in detail


def test_md5_verifies_where_only_it_is_known(shared: Mirror, shared_origin: Origin) -> None:
    """An MD5 of the catalog is enough to accept an archive, and to refuse one."""
    shared_origin.add("/sets/md5.bin", SMALL)
    shared_origin.add("/sets/md5-wrong.bin", SMALL)
    assert shared.archive("/sets/md5.bin").body == SMALL
    assert "ab12" * 8 in shared.archive("/sets/md5-wrong.bin").problem["detail"]


def test_refused_answer_is_closed(origin: Origin, start_mirror: StartMirror) -> None:
    """The connection of an answer that is refused by its head is given up, rather than left open with its body unread."""
    origin.add("/sets/size.bin", body(50_000_000))
    assert start_mirror(archives=CATALOG).archive("/sets/size.bin").status == 502
    origin.wait_for(lambda: origin.open_connections == 0)


def test_full_disk_is_a_507_and_hits_are_served(origin: Origin, mirror: Mirror) -> None:
    """Without room a cold archive gives 507 with figures, while what is there is served as ever."""
    origin.add("/sets/a.bin", SMALL)
    origin.add("/sets/b.bin", SMALL)
    assert mirror.archive("/sets/a.bin").status == 200
    mirror.stop()
    with mirroring(origin, mirror.data, min_free=10**18) as full:
        problem = full.archive("/sets/b.bin").problem
        assert (problem["status"], problem["needed"]) == (507, len(SMALL))
        assert problem["free"] > 0
        assert full.archive("/sets/a.bin").body == SMALL
