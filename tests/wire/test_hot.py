"""Answers that need no app: the same bytes as by the other way, whatever is asked, and never old ones."""

from __future__ import annotations

import json
import re
import select
import signal
import socket
import struct
import subprocess
import time
from typing import Any

import pytest

from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, PATIENCE, PROGRAM, URL, Mirror

DATA, LARGE = body(50_000, 7), body(3_000_000, 8)
PATH, LARGE_PATH = "/sets/small.bin", "/sets/large.bin"
DATE = "Wed, 01 May 2024 10:00:00 GMT"
GATEWAY = "Expect: nothing-special\r\n"
"""A field with which a request is never answered from memory, and that changes nothing else."""


class Client:
    """One kept connection, over which raw requests go."""

    def __init__(self, mirror: Mirror) -> None:
        self.socket = socket.create_connection(("127.0.0.1", mirror.port), PATIENCE)
        self.file = self.socket.makefile("rb")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()

    def send(self, target: str = f"/{HOST}{PATH}", fields: str = "", host: str = "localhost", method: str = "GET") -> None:
        self.socket.sendall(f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n".encode())

    def receive(self, *, head_only: bool = False) -> tuple[bytes, bytes]:
        head = b""
        while (line := self.file.readline()) != b"\r\n":
            assert line, "it was closed"
            head += line
        length = re.search(rb"content-length: (\d+)", head)
        return head, b"" if head_only or not length else self.file.read(int(length[1]))

    def ask(self, *arguments: Any, **named: Any) -> tuple[bytes, bytes]:
        self.send(*arguments, **named)
        return self.receive(head_only=named.get("method") == "HEAD")


def counted(mirror: Mirror) -> int:
    hits: int = mirror.status["hits"]
    return hits


@pytest.fixture(scope="module")
def shared(start_shared_mirror: StartMirror, shared_origin: Origin) -> Mirror:
    """A mirror whose archives, a small one and one that is too large for memory, were asked for."""
    mirror = start_shared_mirror()
    for path, data in ((PATH, DATA), (LARGE_PATH, LARGE)):
        shared_origin.add(path, data, etag='"x"', headers={"Last-Modified": DATE, "X-Goog-Hash": "kept"})
        shared_origin.add(f"{path}?v=1", data, etag='"x"')
        for _ in range(2):
            assert mirror.archive(path).body == data
    return mirror


RANGES = (
    *("bytes=0-9", "bytes=-7", "bytes=-0", "bytes=99-", "bytes=9999999-", "bytes=5-4", "bytes=0-9999999", "bytes=-9999999", "bytes=0-"),
    *("bytes=1-2,4-5", "bytes=0 - 9", "bytes= 0-9", "BYTES=0-9", "bytes=", "bytes=-", "bytes=x-9", "bytes=0-9 ", "items=0-9", ""),
    *(f"bytes=0-{'9' * 60}", f"bytes={'0' * 70}1-2"),
)
CONDITIONS = (
    *('If-None-Match: "x"', 'If-None-Match: "y"', 'If-None-Match: "y", W/"x"', "If-None-Match: *", "If-None-Match: x"),
    *('If-Match: "x"', 'If-Match: "y"', "If-Match: *", f"If-Modified-Since: {DATE}", "If-Modified-Since: Tue, 30 Apr 2024 10:00:00 GMT"),
    *(f"If-Unmodified-Since: {DATE}", "If-Unmodified-Since: Tue, 30 Apr 2024 10:00:00 GMT", "If-Modified-Since: soon"),
    *('If-None-Match: "a"\r\nIf-None-Match: "x"', 'If-Match: "x"\r\nIf-None-Match: "x"'),
)
PARTS = (
    *('If-Range: "x"', 'If-Range: "y"', 'If-Range: W/"x"', f"If-Range: {DATE}", 'If-None-Match: "x"', 'If-Match: "y"', "Range: bytes=1-2"),
    *("range: bytes=5-6", "RANGE: bytes=5-6", "X-Other: a\r\nAccept: */*"),
)
FIELDS = (
    "",
    *(f"Range: {value}\r\n" for value in RANGES),
    *(f"{condition}\r\n" for condition in CONDITIONS),
    *(f"Range: bytes=0-9\r\n{part}\r\n" for part in PARTS),
    *(f"{part}\r\nRange: bytes=0-9\r\nAccept: a/b\r\n" for part in PARTS),
    *("range: bytes=2-3\r\n", "Range:bytes=2-3\r\n", "Range:  bytes=2-3\r\n", "Range: bytes=2-3\t\r\n", "RaNGE: bytes=2-3\r\n"),
    "User-Agent: x\r\nAccept: */*\r\nConnection: keep-alive\r\n",
    "X-Forwarded-For: 10.0.0.1\r\nAuthorization: Bearer x\r\nCookie: a=b\r\n",
    "X-Request-Id: abc\r\n",
)
TARGETS: list[dict[str, str]] = [
    {"target": PATH, "host": HOST},
    {"target": PATH, "host": HOST.upper()},
    {"target": PATH},
    {"target": LARGE_PATH, "host": HOST},
    {"target": f"/{HOST}/%73ets/small.bin"},
    {"target": f"/{HOST}{PATH}?v=1"},
    {"target": f"http://{HOST}{PATH}"},
    {"method": "POST", "fields": "Content-Length: 0\r\n"},
    {"target": f"/{HOST}/sets/none.bin"},
    {"target": "/healthz"},
]


@pytest.mark.parametrize("path", [PATH, LARGE_PATH], ids=["small", "large"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_both_ways_select_alike(shared: Mirror, path: str, method: str) -> None:
    """Whatever conditions and ranges, head and body are the same byte for byte, whether or not the gateway answers, over and over."""
    for fields in FIELDS:
        check_alike(shared, {"target": f"/{HOST}{path}", "method": method, "fields": fields})


@pytest.mark.parametrize("request_", TARGETS, ids=str)
def test_both_ways_answer_alike(shared: Mirror, request_: dict[str, str]) -> None:
    """The same for other forms of a target, other targets and methods."""
    check_alike(shared, request_)


def check_alike(mirror: Mirror, request_: dict[str, str]) -> None:
    """Asks for it one after the other in both ways."""
    other = request_ | {"fields": request_.get("fields", "") + GATEWAY}
    with Client(mirror) as client:
        for _ in range(3):
            client.ask(**request_)
        for _ in range(5):
            answers = [client.ask(**asked) for asked in (other, request_, other)]
            if answers[0][0] == answers[2][0]:  # else a second has passed in between, and tells in Age and Date
                break
    assert answers[1] == answers[0], request_


def test_a_hit_from_memory_is_counted(shared: Mirror) -> None:
    """It is a hit like any other, for the totals, the metrics and the archive."""
    before = counted(shared)
    with Client(shared) as client:
        for _ in range(10):
            assert client.ask()[1] == DATA
    assert counted(shared) == before + 10


def noted(mirror: Mirror) -> tuple[list[tuple[object, ...]], tuple[object, ...], tuple[object, ...]]:
    """What the log has of archives, what clients were sent, and what was counted."""
    log = [
        tuple(line[name] for name in ("client", "method", "target", "archive", "status", "outcome", "size", "why", "complete"))
        for line in json.loads(mirror.get("/api/log?limit=1000", fields=mirror.key).body)
        if line["archive"]
    ]
    (client,) = json.loads(mirror.get("/api/clients", fields=mirror.key).body)
    metrics = mirror.get("/metrics").body.decode()
    counted = [line for line in metrics.splitlines() if line.startswith(("dataset_mirror_requests_total", "dataset_mirror_sent_bytes"))]
    return log, tuple(client[name] for name in ("address", "requests", "hits", "misses", "size")), tuple(sorted(counted))


def test_both_ways_are_noted_alike(origin: Origin, start_mirror: StartMirror) -> None:
    """Log, clients and metrics are the same, whether or not the gateway answered; but whole small archives are in no log."""
    seen = []
    for fields in ("", GATEWAY):
        mirror = start_mirror()
        for path, data in ((PATH, DATA), (LARGE_PATH, LARGE)):
            origin.add(path, data, etag='"x"')
            assert mirror.archive(path).body == data
            with Client(mirror) as client:
                for asked in ("Range: bytes=5-9\r\n", 'If-None-Match: "x"\r\n', "Range: bytes=9999999-\r\n"):
                    for _ in range(3):
                        client.ask(f"/{HOST}{path}", fields=asked + fields)
                for _ in range(3):
                    client.ask(f"/{HOST}{path}", method="HEAD", fields=fields)
                    client.ask(f"/{HOST}{path}", fields=fields)
        log, *others = noted(mirror)
        whole = ("GET", f"/{HOST}{PATH}", f"{HOST}{PATH}", 200, "hit")
        seen.append(([line for line in log if line[1:6] != whole], *others))
    assert seen[0] == seen[1]
    assert len(seen[0][0]) == 2 + 2 * 9 + 2 * 3 + 3


def test_pipelined_requests_are_answered_in_order(shared: Mirror) -> None:
    """Whatever of them is answered from memory."""
    with Client(shared) as client:
        client.ask()
        one = f"GET /{HOST}{PATH} HTTP/1.1\r\nHost: localhost\r\n"
        requests = [
            f"{one}\r\n",
            f"{one}Range: bytes=0-0\r\n\r\n",
            f"{one}\r\n",
            "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
            f"{one}\r\n",
        ]
        client.socket.sendall("".join(requests).encode())
        bodies = [client.receive()[1] for _ in requests]
    assert bodies[:3] == [DATA, DATA[:1], DATA]
    assert json.loads(bodies[3])["status"] == "ok"
    assert bodies[4] == DATA


SIZES = pytest.mark.parametrize("data", [DATA, LARGE], ids=["small", "large"])


def warm(origin: Origin, mirror: Mirror, data: bytes = DATA, **how: Any) -> Client:
    origin.add(PATH, data, **how)
    client = Client(mirror)
    for _ in range(3):
        assert client.ask()[1] == data
        assert client.ask(fields="Range: bytes=5-9\r\n")[1] == data[5:10]
    return client


@SIZES
def test_what_is_removed_is_never_answered(origin: Origin, mirror: Mirror, data: bytes) -> None:
    """After rm the very next request is a miss, of a range too."""
    with warm(origin, mirror, data) as client:
        origin.change(PATH, body=data[::-1], etag='"2"')
        assert mirror.api("rm", archives=[URL + PATH]).status == 200
        head, content = client.ask(fields="Range: bytes=0-99\r\n")
        assert client.ask()[1] == data[::-1]
    assert b"fwd=miss" in head
    assert content == data[::-1][:100]


def test_a_blob_that_has_gone_is_fetched_again(origin: Origin, mirror: Mirror) -> None:
    """A large archive whose file somebody removed is a miss, as if nobody had asked for it before."""
    with warm(origin, mirror, LARGE) as client:
        mirror.blobs[0].unlink()
        head, content = client.ask()
    assert b"fwd=miss" in head
    assert content == LARGE


def test_what_another_process_removes_is_never_answered(origin: Origin, mirror: Mirror) -> None:
    """A program that writes to the same data folder, without asking the server, is noticed at once."""
    with warm(origin, mirror) as client:
        origin.change(PATH, status=404)
        code = (
            "import sys; from pathlib import Path; from dataset_mirror.store.store import Store\n"
            "from dataset_mirror.origins.identity import parse_url\n"
            "Store(Path(sys.argv[1])).remove(parse_url(sys.argv[2]))"
        )
        python = PROGRAM.replace("dataset-mirror", "python")
        subprocess.run([python, "-c", code, str(mirror.data), URL + PATH], check=True, timeout=PATIENCE)
        assert b"404" in client.ask()[0].splitlines()[0]


@SIZES
def test_what_changed_is_answered_anew(origin: Origin, start_mirror: StartMirror, data: bytes) -> None:
    """New bytes of the origin replace the old ones in memory, with their tag; stale ones are checked from there, too."""
    mirror = start_mirror(origins=[{"url": URL, "paths": ["/sets/"], "freshness": "0s"}])
    with warm(origin, mirror, data, etag='"1"') as client:
        origin.change(PATH, body=data[::-1], etag='"2"')
        end = time.monotonic() + PATIENCE
        while (answer := client.ask())[1] == data:
            assert time.monotonic() < end
    assert b'etag: "2"' in answer[0]
    assert answer[1] == data[::-1]


def test_what_was_damaged_is_not_kept_in_memory(origin: Origin, mirror: Mirror) -> None:
    """Damaged bytes that were read into memory are forgotten when verify has fetched the archive again."""
    origin.add(PATH, DATA)
    mirror.archive(PATH)
    (blob,) = mirror.blobs
    blob.write_bytes(DATA[:-1] + b"?")
    with Client(mirror) as client:
        for _ in range(3):
            client.ask()
        assert mirror.api("verify", archives=[URL + PATH]).status == 200
        assert client.ask()[1] == DATA


@SIZES
def test_a_short_blob_is_never_kept_in_memory(origin: Origin, mirror: Mirror, data: bytes) -> None:
    """If the blob has become shorter, every answer breaks off; none fills its length with what comes next."""
    mirror.may_log_traceback = True
    origin.add(PATH, data)
    mirror.archive(PATH)
    (blob,) = mirror.blobs
    blob.write_bytes(data[:-100])
    for _ in range(3):
        with Client(mirror) as client, pytest.raises((ConnectionResetError, AssertionError)):
            assert len(client.ask()[1]) == len(data)


def test_a_large_blob_that_becomes_short(origin: Origin, mirror: Mirror) -> None:
    """The same after it was answered whole, over and over; what of it is there is still sent."""
    with warm(origin, mirror, LARGE) as client:
        mirror.blobs[0].write_bytes(LARGE[:-100])
        assert client.ask(fields="Range: bytes=0-99\r\n")[1] == LARGE[:100]
        with pytest.raises((ConnectionResetError, AssertionError)):
            assert len(client.ask()[1]) == len(LARGE)
    assert "An answer failed: the file ends 100 bytes too early." in mirror.log


@SIZES
def test_a_reload_is_taken_up(origin: Origin, start_mirror: StartMirror, data: bytes) -> None:
    """An archive that the configuration does not list any more is refused at once."""
    mirror = start_mirror(origins=[])
    block = f'[[origins]]\nurl = "{URL}"\npaths = ["/sets/"]\n'
    mirror.stop()
    del mirror._settings["origins"]
    (mirror.data / "mirror.toml").write_text(block)
    mirror.start()
    with warm(origin, mirror, data) as client:
        (mirror.data / "mirror.toml").write_text(block + 'readers = ["10.0.0.0/8"]\n')
        assert mirror.api("reload").status == 200
        assert b"403" in client.ask()[0].splitlines()[0]


@pytest.mark.parametrize("limit", [0, 60_000, 120_000])
def test_memory_is_bounded(origin: Origin, start_mirror: StartMirror, limit: int) -> None:
    """What does not fit is answered from the disk, rightly."""
    mirror = start_mirror(memory_cache=limit)
    names = [f"/sets/{number}.bin" for number in range(5)]
    for number, name in enumerate(names):
        origin.add(name, body(50_000, number))
    with Client(mirror) as client:
        for _ in range(3):
            for number, name in enumerate(names):
                assert client.ask(f"/{HOST}{name}")[1] == body(50_000, number)
    assert counted(mirror) == 10


def stalled(mirror: Mirror, requests: int = 100) -> socket.socket:
    """A client with a small window that asked for more than the kernels take, and reads nothing."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(PATIENCE)
    client.connect(("127.0.0.1", mirror.port))
    client.sendall(f"GET /{HOST}/sets/larger.bin HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * requests)
    return client


LARGER = body(250_000, 3)


@pytest.fixture
def busy(origin: Origin, mirror: Mirror) -> Mirror:
    origin.add("/sets/larger.bin", LARGER)
    with Client(mirror) as client:
        for _ in range(3):
            assert client.ask(f"/{HOST}/sets/larger.bin")[1] == LARGER
    return mirror


def test_a_slow_client_gets_all_of_it(busy: Mirror) -> None:
    """What the kernel does not take at once follows as the client reads, in order."""
    with stalled(busy) as client, client.makefile("rb") as file:
        for _ in range(100):
            head = b""
            while (line := file.readline()) != b"\r\n":
                head += line
            assert head.startswith(b"HTTP/1.1 200")
            assert file.read(len(LARGER)) == LARGER


def test_a_kill_in_the_middle_is_a_reset(busy: Mirror) -> None:
    """SIGKILL while an answer from memory is on its way ends the connection with an error, not as if all had come."""
    with stalled(busy, requests=1) as client:
        select.select([client], [], [], PATIENCE)
        busy.kill()
        with pytest.raises(ConnectionResetError):
            list(iter(lambda: client.recv(65536), b""))


def test_an_orderly_stop_is_a_clean_end(busy: Mirror) -> None:
    """A connection that waits for its next request is closed cleanly when the mirror is stopped."""
    with Client(busy) as client:
        assert client.ask(f"/{HOST}/sets/larger.bin")[1] == LARGER
        busy.signal(signal.SIGTERM)
        assert client.socket.recv(1) == b""
    busy.ended()


def test_a_half_closed_client_ends_cleanly(busy: Mirror) -> None:
    """A client that closes its sending side after its answer sees a clean end."""
    with Client(busy) as client:
        assert client.ask(f"/{HOST}/sets/larger.bin")[1] == LARGER
        client.socket.shutdown(socket.SHUT_WR)
        assert client.socket.recv(1) == b""


def test_a_reset_client_harms_nobody(busy: Mirror) -> None:
    """A client that resets in the middle is forgotten, and others go on."""
    client = stalled(busy)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    assert busy.archive("/sets/larger.bin").body == LARGER


def test_an_access_log_has_every_request(origin: Origin, mirror: Mirror) -> None:
    """With --access-log no request is answered past it."""
    mirror.restart("--access-log")
    with warm(origin, mirror) as client:
        for _ in range(5):
            client.ask()
    mirror.stop()
    assert mirror.log.count(f"GET /{HOST}{PATH} HTTP/1.1") >= 8
