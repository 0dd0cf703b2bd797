"""Several processes at one port: whoever answers, the answer is the same, and so is its end."""

from __future__ import annotations

import json
import os
import re
import socket
import sqlite3
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import StartMirror
from tests.doors.intercepting import asked, trusting
from tests.origin import MIB, Origin, body
from tests.ports import free_port
from tests.serving import HOST, PATIENCE, URL, Mirror, environment
from tests.waiting import until
from tests.wire.crew import at, make_certificate, owner, standing_still
from tests.wire.test_protocol import Wire, raw_request, request

pytestmark = pytest.mark.skipif(not Path(f"/proc/self/task/{os.getpid()}/children").exists(), reason="no /proc tells who started whom")

SMALL, MIDDLE, LARGE, BROKEN = "/sets/small.bin", "/sets/middle.bin", "/sets/large.bin", "/sets/broken.bin"
CONTENT = {SMALL: body(50_000, 1), MIDDLE: body(400_000, 2), LARGE: body(32 * MIB, 3)}
"""The small one is answered from memory, the middle one from its file; the large one is more than the kernels' buffers hold."""


@pytest.fixture(scope="module")
def shared(start_shared_mirror: StartMirror, shared_origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    """A mirror of two processes that has all three, and does not believe the fourth. It has a port for TLS, too."""
    certificate = make_certificate(tmp_path_factory.mktemp("certificate"))
    certified = {"tls_cert": certificate, "tls_key": certificate}
    for path, content in CONTENT.items():
        shared_origin.add(path, content, etag=f'"{path[-5]}"')
    mirror = start_shared_mirror(workers=2, archives=[{"url": URL + BROKEN, "sha256": "0" * 64}], tls_port=free_port(), **certified)
    for path, content in CONTENT.items():
        assert mirror.archive(path).body == content
    return mirror


@pytest.fixture
def worker(shared: Mirror) -> Iterator[Wire]:
    """A connection to the process that does not fill."""
    with at(shared, worker=True) as wire:
        yield wire


@pytest.fixture
def first(shared: Mirror) -> Iterator[Wire]:
    """A connection to the process that fills."""
    with at(shared, worker=False) as wire:
        yield wire


REQUESTS = {
    "hit": request(SMALL),
    "hit from its file": request(MIDDLE),
    "head": request(MIDDLE, method="HEAD"),
    "range": request(MIDDLE, "Range: bytes=1000-1999"),
    "end": request(SMALL, "Range: bytes=-10"),
    "unchanged": request(MIDDLE, 'If-None-Match: "e"'),
    "unsatisfiable": request(MIDDLE, "Range: bytes=900000-"),
}


def whole(wire: Wire, asks: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, fields and body of the answer; without what tells the time."""
    wire.send(asks)
    status, fields = wire.head()
    size = 0 if asks.startswith(b"HEAD") or status == 304 else int(fields["content-length"])
    for name in ("date", "age", "x-request-id"):
        fields.pop(name, None)
    fields["cache-status"] = re.sub(r"ttl=\d+", "ttl", fields.get("cache-status", ""))
    return status, fields, wire.body(size)


@pytest.mark.parametrize("asks", REQUESTS.values(), ids=REQUESTS)
def test_a_worker_answers_hits_by_itself(shared: Mirror, worker: Wire, first: Wire, asks: bytes) -> None:
    """With the answer that the filling process would give, and though that one stands still."""
    expected = whole(first, asks)
    with standing_still(shared.pid):
        assert whole(worker, asks) == expected
        assert whole(worker, asks) == expected  # perhaps from memory now


OTHERS = {
    "page": raw_request("/status/catalog"),
    "no archive": raw_request("/sets/none.bin"),
    "not allowed": request("/other/a.bin"),
    "method": request(SMALL, "Content-Length: 3", method="DELETE") + b"abc",
    "api without a key": raw_request("/api/rm", "Content-Length: 2", "Content-Type: application/json", method="POST") + b"{}",
    "loop": raw_request(f"/{HOST}{SMALL}", "Via: 1.1 somebody"),
    "no Host": request(SMALL, host=None),
}


@pytest.mark.parametrize("asks", OTHERS.values(), ids=OTHERS)
def test_all_else_is_the_filling_process(worker: Wire, first: Wire, asks: bytes) -> None:
    """What a worker cannot answer is answered as if its client had come to the other process."""
    assert whole(worker, asks) == whole(first, asks)


def test_one_after_the_other(worker: Wire) -> None:
    """On one connection hits and what is passed on come in their order, pipelined too."""
    worker.send(request(SMALL) + raw_request("/healthz") + request(MIDDLE) + raw_request("/status/none") + request(SMALL))
    found = [worker.answer() for _ in range(5)]
    assert [status for status, _ in found] == [200, 200, 200, 404, 200]
    assert (found[0][1], found[2][1], found[4][1]) == (CONTENT[SMALL], CONTENT[MIDDLE], CONTENT[SMALL])


def test_all_is_counted(shared: Mirror, worker: Wire, first: Wire) -> None:
    """/status, /metrics, clients and log are of all processes, as soon as an answer is there."""
    before, told = shared.status, shared.get("/metrics").body.decode()
    for wire in (worker, first, worker):
        wire.send(request(SMALL) + request(MIDDLE))
        assert (wire.answer()[0], wire.answer()[0]) == (200, 200)
        after = shared.status
    assert after["hits"] - before["hits"] == 6
    assert after["bytes_served"] - before["bytes_served"] == 3 * 450_000
    hits = f'dataset_mirror_requests_total{{origin="{HOST}",outcome="hit"}} '
    now = shared.get("/metrics").body.decode()
    assert float(now.split(hits)[1].split()[0]) - float(told.split(hits)[1].split()[0]) == 6
    latest = json.loads(shared.get("/api/log", fields=shared.key).body)
    assert sum(line["archive"] == f"{HOST}{MIDDLE}" for line in latest[-12:]) >= 3
    (client,) = json.loads(shared.get("/api/clients", fields=shared.key).body)
    assert client["hits"] == after["hits"]


def test_a_miss_is_fetched_once(shared: Mirror, shared_origin: Origin, worker: Wire, first: Wire) -> None:
    """Clients of all processes follow one download, and get what came before they asked, too."""
    content = body(2 * MIB, 9)
    shared_origin.add("/sets/new.bin", content, rate=2 * MIB)
    worker.send(request("/sets/new.bin"))
    begun = worker.head(), worker.body(1000)
    first.send(request("/sets/new.bin", "Range: bytes=0-999"))
    assert begun[1] == first.answer()[1] == content[:1000]
    assert begun[1] + worker.body(2 * MIB - 1000) == content
    assert len([request for request in shared_origin.gets("/sets/new.bin") if request.range is None]) == 1


def test_a_download_that_fails_is_a_reset(shared: Mirror, shared_origin: Origin, worker: Wire) -> None:
    """A worker's client of a download whose bytes are wrong sees no clean end."""
    shared_origin.add(BROKEN, body(3 * MIB, 5))
    worker.send(request(BROKEN))
    status, fields = worker.head()
    received, is_reset = worker.until_any_end()
    assert (status, is_reset) == (200, True)
    assert len(received) < int(fields["content-length"])


@pytest.fixture
def opened(shared: Mirror, worker: Wire) -> Wire:
    """A connection in TLS to a worker, inside a CONNECT."""
    trusted = trusting(shared)
    worker.send(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n".encode())
    assert worker.head()[0] == 200
    worker.socket = trusted.wrap_socket(worker.socket, server_hostname=HOST)
    return worker


def test_a_worker_answers_in_tls_by_itself(shared: Mirror, opened: Wire) -> None:
    """Hits inside a CONNECT, too."""
    with standing_still(shared.pid):
        for path in (MIDDLE, SMALL, SMALL):
            opened.send(asked(path))
            assert opened.answer() == (200, CONTENT[path])


def test_a_worker_answers_at_the_port_for_tls(shared: Mirror) -> None:
    """Both processes accept there, and answer hits, misses and pages."""
    context = ssl._create_unverified_context()
    found: set[int] = set()
    while len(found) < 2:
        with socket.create_connection(("127.0.0.1", tls_port_of(shared)), PATIENCE) as plain:
            found.add(owner(shared, plain))
            wire = Wire(shared)
            wire.socket.close()
            wire.socket = context.wrap_socket(plain)
            with wire:
                wire.send(request(MIDDLE) + raw_request("/healthz") + request(SMALL))
                answers = [wire.answer() for _ in range(3)]
            assert [status for status, _ in answers] == [200] * 3
            assert (answers[0][1], answers[2][1]) == (CONTENT[MIDDLE], CONTENT[SMALL])


def tls_port_of(mirror: Mirror) -> int:
    return int(environment(mirror.data, mirror._settings)["DATASET_MIRROR_TLS_PORT"])


def test_a_miss_in_tls(shared: Mirror, shared_origin: Origin, opened: Wire) -> None:
    """What the filling process fetches for a worker's client in TLS, and what it relays, is whole."""
    shared_origin.add("/sets/new-in-tls.bin", body(MIB, 11))
    opened.send(asked("/sets/new-in-tls.bin"))
    assert opened.answer() == (200, body(MIB, 11))


def test_a_download_that_fails_in_tls_is_an_alert(shared: Mirror, shared_origin: Origin, opened: Wire) -> None:
    """A worker's client in TLS sees no clean end either."""
    shared_origin.add(BROKEN, body(3 * MIB, 5))
    opened.send(asked(BROKEN))
    assert opened.head()[0] == 200
    with pytest.raises(ssl.SSLError):
        opened.rest()


def test_a_connect_that_is_refused(shared: Mirror, worker: Wire, first: Wire) -> None:
    """What a worker cannot answer for is decided, and counted, by the filling process, on the same connection."""
    refused = shared.status["doors"]["refused"]
    for wire in (worker, first):
        wire.send(request(SMALL))
        assert wire.answer()[0] == 200
        wire.send(b"CONNECT 127.0.0.1:443 HTTP/1.1\r\nHost: 127.0.0.1:443\r\n\r\n")
        status, answer = wire.answer()
        assert status == 403
        assert b"is an address" in answer
        assert wire.until_any_end() == (b"", False)
    assert shared.status["doors"]["refused"] == refused + 2


def test_a_client_that_leaves(shared: Mirror, shared_origin: Origin, worker: Wire) -> None:
    """The filling process hears that a worker's client has left, and its download goes on."""
    shared_origin.add("/sets/left.bin", body(2 * MIB, 6), rate=MIB)
    worker.send(request("/sets/left.bin"))
    assert worker.head()[0] == 200
    assert [fill["readers"] for fill in shared.status["fills"]] == [1]
    worker.socket.close()
    until(lambda: [fill["readers"] for fill in shared.status["fills"]] in ([0], []))
    until(lambda: not shared.status["fills"])
    assert shared.archive("/sets/left.bin").body == body(2 * MIB, 6)


def test_what_is_removed_is_gone_everywhere(shared: Mirror, shared_origin: Origin, worker: Wire, first: Wire) -> None:
    """As soon as the answer to the one who removed it is there; and so are the bytes that take its place."""
    old, new = body(50_000, 20), body(60_000, 21)
    shared_origin.add("/sets/changing.bin", old, etag='"old"')
    for wire in (worker, first) * 3:
        wire.send(request("/sets/changing.bin"))
        assert wire.answer() == (200, old)
    shared_origin.add("/sets/changing.bin", new, etag='"new"')
    worker.send(request("/sets/changing.bin"))  # an answer from memory is under way
    assert shared.api("rm", archives=[f"{URL}/sets/changing.bin"]).status == 200
    assert worker.answer() == (200, old)
    for wire in (worker, first, worker):
        wire.send(request("/sets/changing.bin"))
        assert wire.answer() == (200, new)


def test_damage_is_seen_everywhere(shared: Mirror, shared_origin: Origin, worker: Wire) -> None:
    """What `verify` found to be damaged is not answered any more, by no process, neither from its file nor from memory."""
    shared_origin.add("/sets/rotten.bin", body(50_000, 30), etag='"r"')
    for _ in range(3):
        worker.send(request("/sets/rotten.bin"))
        assert worker.answer()[0] == 200
    [digest] = [one["sha256"] for one in json.loads(shared.get("/status/archives").body)["archives"] if "rotten" in one["url"]]
    [blob] = [blob for blob in shared.blobs if blob.name == digest]
    blob.chmod(0o600)
    blob.write_bytes(bytes(50_000))
    shared_origin.add("/sets/rotten.bin", b"", status=404)
    assert shared.api("verify", archives=[f"{URL}/sets/rotten.bin"]).status == 200
    worker.send(request("/sets/rotten.bin"))
    assert worker.answer()[0] == 404


def test_warnings_of_all(shared: Mirror, shared_origin: Origin, worker: Wire) -> None:
    """What a worker warns of is at /status/log: that it broke an answer off, for its blob became shorter."""
    shared_origin.add("/sets/shrunk.bin", body(32 * MIB, 32), etag='"s"')
    shared.archive("/sets/shrunk.bin")
    [digest] = [one["sha256"] for one in json.loads(shared.get("/status/archives?q=shrunk.bin").body)["archives"]]
    [blob] = [blob for blob in shared.blobs if blob.name == digest]
    worker.send(request("/sets/shrunk.bin"))
    assert worker.head()[0] == 200
    os.truncate(blob, 1000)
    assert worker.until_any_end()[1]
    (line,) = json.loads(shared.get("/status/log?q=broke+off+early").body)
    assert (line["level"], line["room"], bool(line["request_id"])) == ("warning", "wire", True)


def test_what_is_stale_is_checked(shared: Mirror, shared_origin: Origin, worker: Wire, first: Wire) -> None:
    """A worker serves it at once, and the filling process asks the origin once, however often it was served."""
    shared_origin.add("/sets/stale.bin", body(50_000, 31), etag='"s"')
    asked_before = len(shared_origin.gets("/sets/stale.bin"))
    worker.send(request("/sets/stale.bin"))
    assert worker.answer()[0] == 200
    ages(shared, "/sets/stale.bin")
    for _ in range(3):
        worker.send(request("/sets/stale.bin"))
        status, fields = worker.head()
        assert (status, worker.body(50_000)) == (200, body(50_000, 31))
        assert "hit" in fields["cache-status"]
    shared_origin.wait_for(lambda: len(shared_origin.gets("/sets/stale.bin")) == asked_before + 2)
    until(lambda: not shared.status["fills"])
    worker.send(request("/sets/stale.bin"))
    assert "ttl=86" in worker.head()[1]["cache-status"]


def ages(mirror: Mirror, path: str) -> None:
    """Lets an archive have been checked two days ago."""
    with sqlite3.connect(mirror.data / "index.db") as index:
        for table in ("archives", "versions"):
            index.execute(f"UPDATE {table} SET checked = checked - 172800, fetched = fetched - 172800 WHERE key LIKE ?", (f"%{path}%",))
    index.close()
