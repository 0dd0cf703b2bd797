"""Clients that leave are noticed at once, whatever they wait for, and are no error."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from contextlib import closing

import pytest

from tests.conftest import StartMirror
from tests.doors.intercepting import open_files, secured
from tests.origin import MIB, Origin, body
from tests.serving import HOST, Mirror
from tests.waiting import until
from tests.wire.test_protocol import Wire, request

SMALL_BODY = body(10_000, 1)


@pytest.fixture(scope="module")
def shared(start_shared_mirror: StartMirror, shared_origin: Origin) -> Mirror:
    """A mirror with a small archive."""
    shared_origin.add("/sets/small.bin", SMALL_BODY)
    mirror = start_shared_mirror()
    assert mirror.archive("/sets/small.bin").status == 200
    return mirror


def close(client: socket.socket) -> None:
    client.close()


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def shut_and_close(client: socket.socket) -> None:
    client.shutdown(socket.SHUT_WR)
    client.close()


WAYS = pytest.mark.parametrize("leave", [close, reset, shut_and_close])
LINE = request("/sets/small.bin", "Range: bytes=0-0") * 3
WAITING = pytest.mark.parametrize("then", [b"", LINE], ids=["alone", "pipelined"])


def readers(mirror: Mirror, path: str) -> int:
    """How many follow the fill of an archive."""
    return sum(fill["readers"] for fill in mirror.status["fills"] if fill["url"].endswith(path))


@WAYS
@WAITING
def test_before_the_first_byte(shared: Mirror, shared_origin: Origin, leave: Callable[[socket.socket], None], then: bytes) -> None:
    """A client that leaves before its first byte is no reader any more, while its origin still says nothing."""
    path = f"/sets/silent-{leave.__name__}-{len(then)}.bin"
    shared_origin.add(path, body(MIB), latency=3)
    files = open_files(shared)
    clients = [Wire(shared) for _ in range(20)]
    for wire in clients:
        wire.send(request(path) + then)
    until(lambda: readers(shared, path) == 20)
    for wire in clients:
        leave(wire.socket)
    until(lambda: readers(shared, path) == 0)
    until(lambda: open_files(shared) <= files + 3)
    assert "ERROR" not in shared.log


@pytest.mark.parametrize(("leave", "then"), [(close, b""), (close, LINE), (shut_and_close, LINE)])
def test_in_the_middle(shared: Mirror, shared_origin: Origin, leave: Callable[[socket.socket], None], then: bytes) -> None:
    """A client that leaves in the middle of an archive is no reader of it any more, though nothing more comes."""
    path = f"/sets/stalled-{leave.__name__}-{len(then)}.bin"
    shared_origin.add(path, body(3 * MIB), stall_after=2 * MIB)
    with Wire(shared) as wire:
        wire.send(request(path) + then)
        assert wire.head()[0] == 200
        wire.body(MIB)
        leave(wire.socket)
        until(lambda: readers(shared, path) == 0)
    assert "ERROR" not in shared.log


def test_half_closed_clients_are_answered(shared: Mirror, shared_origin: Origin) -> None:
    """A client that closed its sending side while its origin said nothing gets its whole answer, byte for byte."""
    shared_origin.add("/sets/half.bin", SMALL_BODY, latency=0.4)
    with Wire(shared) as wire:
        wire.send(request("/sets/half.bin") + request("/sets/small.bin"))
        wire.socket.shutdown(socket.SHUT_WR)
        assert wire.answer() == (200, SMALL_BODY)
        assert wire.answer() == (200, SMALL_BODY)
        assert wire.rest() == b""


def test_half_closed_clients_get_their_refusals(shared: Mirror, shared_origin: Origin) -> None:
    """A client that closed its sending side is told of a failure as any other."""
    shared_origin.add("/sets/none.bin", b"", status=404, latency=0.4)
    with Wire(shared) as wire:
        wire.send(request("/sets/none.bin"))
        wire.socket.shutdown(socket.SHUT_WR)
        assert wire.answer()[0] == 404
        assert wire.rest() == b""


def test_in_tls(shared: Mirror, shared_origin: Origin) -> None:
    """In TLS a client that leaves before its first byte is noticed as well, and one that only closed its side is answered."""
    shared_origin.add("/sets/tls.bin", SMALL_BODY, latency=3)
    line = f"GET /sets/tls.bin HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
    with secured(shared) as stays, closing(secured(shared).socket) as leaves:
        leaves.sendall(line)
        stays.send(line)
        until(lambda: readers(shared, "tls.bin") == 2)
        leaves.close()
        stays.socket.shutdown(socket.SHUT_WR)
        until(lambda: readers(shared, "tls.bin") == 1)


def test_hundreds_at_once(shared: Mirror, shared_origin: Origin) -> None:
    """Hundreds of clients that closed before their first byte leave no connection behind, and no line in the log."""
    shared_origin.add("/sets/crowd.bin", body(MIB), latency=4)
    files, log = open_files(shared), len(shared.log)
    clients = [Wire(shared) for _ in range(300)]
    for wire in clients:
        wire.send(request("/sets/crowd.bin"))
    until(lambda: readers(shared, "crowd.bin") == 300)
    for wire in clients:
        wire.socket.close()
    until(lambda: readers(shared, "crowd.bin") == 0)
    until(lambda: open_files(shared) <= files + 3)
    assert len(shared.log) - log < 500
