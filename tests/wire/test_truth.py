"""The promise: whoever reads without comparing lengths sees an error, never a clean end of a short body."""

from __future__ import annotations

import hashlib
import os
import select
import signal
import socket
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import Protocol

import pytest

from tests.conftest import StartMirror
from tests.origin import MIB, Origin, body
from tests.serving import HOST, PATIENCE, URL, Mirror
from tests.waiting import until

STEP = 8192
"""What Keras 2 and torchvision ask for at a time."""
LARGE = 32 * MIB
"""More than the buffers of two kernels' sockets hold."""


class Source(Protocol):
    """Something that gives bytes until it gives none."""

    def read(self, size: int, /) -> bytes: ...

    def close(self) -> None: ...


class RawSource:
    """A socket without any notion of HTTP beyond the empty line after the head."""

    def __init__(self, mirror: Mirror, path: str, version: str = "1.1") -> None:
        self.socket = connect(mirror)
        self.socket.sendall(f"GET /{HOST}{path} HTTP/{version}\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        received = b""
        while b"\r\n\r\n" not in received:
            data = self.socket.recv(STEP)
            if not data:
                break
            received += data
        self.head, _, self._left = received.partition(b"\r\n\r\n")

    def read(self, size: int, /) -> bytes:
        left, self._left = self._left, b""
        return left or self.socket.recv(size)

    def close(self) -> None:
        self.socket.close()


@dataclass
class Seen:
    """What a reader got: how many bytes, their digest, and the error that ended them, if one did."""

    size: int
    sha256: str
    error: OSError | None


def read_out(source: Source, after_each: Callable[[], None] = lambda: None) -> Seen:
    """Reads until no byte comes, which is all that such a client knows of the end."""
    size, digest, error = 0, hashlib.sha256(), None
    try:
        while data := source.read(STEP):
            size += len(data)
            digest.update(data)
            after_each()
    except OSError as caught:
        error = caught
    return Seen(size, digest.hexdigest(), error)


class Reader:
    """Reads as Keras 2 does, in a thread; after its first bytes it waits until it is let go."""

    def __init__(self, pool: ThreadPoolExecutor, open_: Callable[[], Source]) -> None:
        self.began, self.go = Event(), Event()
        self._open = open_
        self._end: Future[Seen] = pool.submit(self._read)

    def _read(self) -> Seen:
        with closing(self._open()) as source:
            return read_out(source, self._pause)

    def _pause(self) -> None:
        if not self.began.is_set():
            self.began.set()
            assert self.go.wait(PATIENCE)

    def seen(self) -> Seen:
        """Lets it go, and waits for its end."""
        self.go.set()
        return self._end.result(PATIENCE)


@contextmanager
def readers(mirror: Mirror, *paths: str) -> Iterator[list[Reader]]:
    """Two readers of each archive, one with a raw socket and one with urllib; all have got their first bytes."""

    def raw(path: str) -> Source:
        return RawSource(mirror, path)

    def keras(path: str) -> Source:
        response: Source = urllib.request.urlopen(mirror.at(path), timeout=PATIENCE)
        return response

    with ThreadPoolExecutor(2 * len(paths)) as pool:
        started = [Reader(pool, partial(kind, path)) for path in paths for kind in (raw, keras)]
        try:
            for reader in started:
                assert reader.began.wait(PATIENCE), "no byte came"
            yield started
        finally:
            for reader in started:
                reader.go.set()


def connect(mirror: Mirror, buffer: int | None = None) -> socket.socket:
    """A connection whose kernel buffer for what arrives has this size."""
    connection = socket.socket()
    if buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    connection.settimeout(PATIENCE)
    connection.connect(("127.0.0.1", mirror.port))
    return connection


def all_reset(started: list[Reader], size: int) -> bool:
    """Whether each reader's end was a reset, and before the last byte."""
    ends = [reader.seen() for reader in started]
    return all(isinstance(seen.error, ConnectionResetError) and seen.size < size for seen in ends) or pytest.fail(str(ends))


def is_whole(seen: Seen, content: bytes) -> bool:
    """Whether a reader got exactly this, and a clean end."""
    return seen == Seen(len(content), hashlib.sha256(content).hexdigest(), None) or pytest.fail(str(seen))


WRONG = "0" * 64
WRONG_LARGE, WRONG_SMALL, WRONG_CHUNKED = "/sets/wrong-large.bin", "/sets/wrong-small.bin", "/sets/wrong-chunked.bin"


@pytest.fixture(scope="module")
def shared(start_shared_mirror: StartMirror, shared_origin: Origin) -> Mirror:
    """A mirror whose catalog has other digests than the origin's archives."""
    shared_origin.add(WRONG_LARGE, body(3 * MIB))
    shared_origin.add(WRONG_CHUNKED, body(3 * MIB), chunked=True)
    shared_origin.add(WRONG_SMALL, body(10_000))
    paths = (WRONG_LARGE, WRONG_CHUNKED, WRONG_SMALL)
    return start_shared_mirror(archives=[{"url": URL + path, "sha256": WRONG} for path in paths])


# ---- The origin fails


def test_an_origin_that_breaks_off(shared: Mirror, shared_origin: Origin) -> None:
    """When the origin breaks off and then only resets connections, or has the archive no more, readers are reset."""
    before = shared.blobs
    paths = "/sets/gone.bin", "/sets/deleted.bin"
    for path in paths:
        shared_origin.add(path, body(3 * MIB), cut_after=2 * MIB)
    with readers(shared, *paths) as started:
        shared_origin.add("/sets/gone.bin", body(3 * MIB), reset_after=0)
        shared_origin.add("/sets/deleted.bin", b"", status=404)
        assert all_reset(started, 3 * MIB)
    assert shared.blobs == before


@pytest.mark.parametrize("path", [WRONG_LARGE, WRONG_CHUNKED])
def test_a_large_archive_with_a_wrong_digest(shared: Mirror, path: str) -> None:
    """An archive that contradicts the catalog ends in a reset before its end, with and without a known length."""
    before = shared.blobs
    with readers(shared, path) as started:
        assert all_reset(started, 3 * MIB)
    assert shared.blobs == before


def test_a_wrong_digest_over_http_1_0(shared: Mirror) -> None:
    """A body that only the close delimits ends in a reset too, so that its end cannot be taken for a good one."""
    with closing(RawSource(shared, WRONG_CHUNKED, "1.0")) as source:
        assert source.head.startswith(b"HTTP/1.1 200")
        seen = read_out(source)
    assert isinstance(seen.error, ConnectionResetError)
    assert 0 < seen.size < 3 * MIB


def test_a_small_archive_with_a_wrong_digest(shared: Mirror) -> None:
    """An archive of less than 64 KiB is verified before its first byte leaves: a 502 that names both digests."""
    answer = shared.archive(WRONG_SMALL)
    got = hashlib.sha256(body(10_000)).hexdigest()
    assert answer.status == 502
    assert answer.problem["expected"] == [f"sha256 {WRONG}"]
    assert answer.problem["got"] == f"sha256 {got}"
    assert WRONG in answer.problem["detail"]
    assert got in answer.problem["detail"]


# ---- The mirror fails


def test_a_blob_that_is_truncated_in_the_middle(mirror: Mirror, origin: Origin) -> None:
    """An exception in the middle of a body ends in a reset: here the blob became shorter under its readers."""
    mirror.may_log_traceback = True
    origin.add("/sets/large.bin", body(LARGE))
    mirror.archive("/sets/large.bin")
    with readers(mirror, "/sets/large.bin") as started:
        [blob] = mirror.blobs
        blob.chmod(0o600)
        os.truncate(blob, LARGE // 2)
        assert all_reset(started, LARGE)


@contextmanager
def busy(mirror: Mirror, origin: Origin) -> Iterator[list[Reader]]:
    """Readers in mid-body: of a hit, reading slowly, and of an archive whose origin stalls."""
    origin.add("/sets/large.bin", body(LARGE))
    mirror.archive("/sets/large.bin")
    origin.add("/sets/stalled.bin", body(LARGE), stall_after=2 * MIB)
    with readers(mirror, "/sets/large.bin", "/sets/stalled.bin") as started:
        yield started


def test_sigterm_past_its_grace(mirror: Mirror, origin: Origin) -> None:
    """Answers that are not done when the grace of SIGTERM is over are reset."""
    with busy(mirror, origin) as started:
        mirror.stop()
        assert all_reset(started, LARGE)


def test_sigkill(mirror: Mirror, origin: Origin) -> None:
    """The kernel itself resets the connections of a mirror that is killed in the middle of bodies."""
    with busy(mirror, origin) as started:
        mirror.kill()
        assert all_reset(started, LARGE)


def test_a_second_sigint(start_mirror: StartMirror, origin: Origin) -> None:
    """The second Ctrl-C resets running answers at once, without waiting for the grace."""
    mirror = start_mirror(grace=60)
    with busy(mirror, origin) as started:
        mirror.signal(signal.SIGINT)
        until(lambda: "Stopping" in mirror.log)
        mirror.signal(signal.SIGINT)
        mirror.ended()
        assert all_reset(started, LARGE)


# ---- Nothing fails


def test_a_good_archive(shared: Mirror, shared_origin: Origin) -> None:
    """A good archive ends cleanly with all its bytes, while it is fetched and afterwards."""
    content = body(3 * MIB, seed=1)
    shared_origin.add("/sets/good.bin", content)
    for _ in ("miss", "hit"):
        with readers(shared, "/sets/good.bin") as started:
            assert all(is_whole(reader.seen(), content) for reader in started)


def test_the_grace_of_sigterm(start_mirror: StartMirror, origin: Origin) -> None:
    """An answer that is done within the grace of SIGTERM ends cleanly with all its bytes."""
    mirror = start_mirror(grace=60)
    content = body(LARGE)
    origin.add("/sets/large.bin", content)
    mirror.archive("/sets/large.bin")
    with readers(mirror, "/sets/large.bin") as started:
        mirror.signal(signal.SIGTERM)
        until(lambda: "Stopping" in mirror.log)
        assert all(is_whole(reader.seen(), content) for reader in started)
    mirror.ended()


@pytest.mark.parametrize("state", ["miss", "hit"])
def test_a_reader_slower_than_the_close(shared: Mirror, shared_origin: Origin, state: str) -> None:
    """Who asked for `Connection: close` and reads only after the mirror has closed gets everything."""
    content = body(100_000, seed=2)
    path = f"/sets/closed-{state}.bin"
    shared_origin.add(path, content)
    if state == "hit":
        shared.archive(path)
    with closing(connect(shared, buffer=MIB)) as connection:
        connection.sendall(f"GET /{HOST}{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        closed = select.poll()
        closed.register(connection, select.POLLRDHUP)
        assert closed.poll(PATIENCE * 1000), "the mirror did not close"
        received = bytearray()
        while data := connection.recv(STEP):
            received += data
    assert received.partition(b"\r\n\r\n")[2] == content


def test_a_reader_with_a_small_window(shared: Mirror, shared_origin: Origin) -> None:
    """What the mirror's kernel still holds when the mirror closes arrives at a client with a small buffer."""
    content = body(2 * MIB, seed=3)
    shared_origin.add("/sets/window.bin", content)
    shared.archive("/sets/window.bin")
    with closing(connect(shared, buffer=4096)) as connection:
        connection.sendall(f"GET /{HOST}/sets/window.bin HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        received = bytearray()
        while data := connection.recv(1000):
            received += data
    assert received.partition(b"\r\n\r\n")[2] == content
