"""HTTP/1.x on the wire, with sockets only: what clients may send, and what never happens to a body."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from types import TracebackType
from typing import Self

import pytest

from tests.conftest import StartMirror
from tests.origin import MIB, Origin, body
from tests.serving import HOST, PATIENCE, URL, Mirror
from tests.waiting import until

LARGE = 32 * MIB
"""More than the buffers of two kernels' sockets hold."""
SMALL_BODY, OTHER_BODY, CHUNKED_BODY, LARGE_BODY = body(10_000, 1), body(20_000, 2), body(MIB, 3), body(LARGE)
SMALL, OTHER, CHUNKED, BIG, SLOW = "/sets/small.bin", "/sets/other.bin", "/sets/chunked.bin", "/sets/large.bin", "/sets/slow.bin"


class Wire:
    """A connection to a mirror, byte by byte."""

    def __init__(self, mirror: Mirror, buffer: int = MIB) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)  # else it may grow until it holds `LARGE`
        self.socket.settimeout(PATIENCE)
        self.socket.connect(("127.0.0.1", mirror.port))
        self._left = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def head(self) -> tuple[int, dict[str, str]]:
        """Status and fields (lower-case names) of the next response."""
        while b"\r\n\r\n" not in self._left:
            data = self.socket.recv(4096)
            assert data, f"closed in the head after {self._left!r}"
            self._left += data
        head, _, self._left = self._left.partition(b"\r\n\r\n")
        line, *rest = head.decode("latin-1").split("\r\n")
        match = re.fullmatch(r"HTTP/1\.1 (\d{3}) .*", line)
        assert match, f"not a status line: {line!r}"
        fields = [field.split(": ", 1) for field in rest]
        names = [name.lower() for name, _ in fields]
        assert len(set(names)) == len(names), f"a field comes twice: {names}"
        return int(match[1]), dict(zip(names, (value for _, value in fields), strict=True))

    def body(self, size: int) -> bytes:
        """The next bytes, exactly so many."""
        received = bytearray(self._left)
        while len(received) < size and (data := self.socket.recv(MIB)):
            received += data
        self._left = bytes(received[size:])
        return bytes(received[:size])

    def answer(self) -> tuple[int, bytes]:
        """Status and body of the next response, which has a Content-Length."""
        status, fields = self.head()
        return status, self.body(int(fields["content-length"]))

    def rest(self) -> bytes:
        """All until the mirror closes."""
        received = bytearray(self._left)
        while data := self.socket.recv(MIB):
            received += data
        return bytes(received)

    def until_any_end(self) -> tuple[bytes, bool]:
        """All until the mirror closes or resets, and whether it was a reset."""
        received = bytearray(self._left)
        try:
            while data := self.socket.recv(MIB):
                received += data
        except ConnectionResetError:
            return bytes(received), True
        return bytes(received), False


def request(path: str, *fields: str, method: str = "GET", version: str = "1.1", host: str | None = "127.0.0.1") -> bytes:
    """A request for an archive of the test's origin in its path form."""
    return raw_request(f"/{HOST}{path}", *fields, method=method, version=version, host=host)


def raw_request(target: str, *fields: str, method: str = "GET", version: str = "1.1", host: str | None = "127.0.0.1") -> bytes:
    hosts = () if host is None else (f"Host: {host}",)
    return "\r\n".join([f"{method} {target} HTTP/{version}", *hosts, *fields, "", ""]).encode("latin-1")


@pytest.fixture(scope="module")
def shared(start_shared_mirror: StartMirror, shared_origin: Origin) -> Mirror:
    """A mirror that has all archives but CHUNKED and SLOW."""
    shared_origin.add(SMALL, SMALL_BODY)
    shared_origin.add(OTHER, OTHER_BODY)
    shared_origin.add(BIG, LARGE_BODY)
    mirror = start_shared_mirror()
    for path in (SMALL, OTHER, BIG):
        assert mirror.archive(path).status == 200
    return mirror


@pytest.fixture
def wire(shared: Mirror) -> Iterator[Wire]:
    """A connection to the shared mirror."""
    with Wire(shared) as opened:
        yield opened


# ---- Several requests on a connection


def test_keep_alive(wire: Wire) -> None:
    """A connection serves one request after the other, errors and empty answers in between."""
    for _ in range(2):
        wire.send(request(SMALL))
        assert wire.answer() == (200, SMALL_BODY)
        wire.send(request("/elsewhere/x"))
        assert wire.answer()[0] == 403
        wire.send(request(SMALL, method="HEAD"))
        status, fields = wire.head()
        assert (status, fields["content-length"]) == (200, str(len(SMALL_BODY)))
        wire.send(request(OTHER, "Range: bytes=5-9"))
        assert wire.answer() == (206, OTHER_BODY[5:10])


def test_pipelining(wire: Wire) -> None:
    """Requests sent at once are answered in their order, a large body in the middle."""
    wire.send(request(SMALL) + request(BIG) + request(OTHER, "Connection: close"))
    assert wire.answer() == (200, SMALL_BODY)
    assert wire.answer() == (200, LARGE_BODY)
    assert wire.answer() == (200, OTHER_BODY)
    assert wire.rest() == b""


def test_pipelined_answers_are_armed(start_mirror: StartMirror, origin: Origin) -> None:
    """The second of two pipelined answers ends in a reset too when the mirror is killed in its middle."""
    mirror = start_mirror()
    origin.add(SMALL, SMALL_BODY)
    origin.add(SLOW, body(3 * MIB), stall_after=2 * MIB)
    with Wire(mirror) as wire:
        wire.send(request(SMALL) + request(SLOW))
        assert wire.answer() == (200, SMALL_BODY)
        assert wire.head()[0] == 200
        assert wire.body(MIB)
        mirror.kill()
        assert wire.until_any_end()[1]


def test_a_client_that_leaves_while_a_pipelined_request_waits(shared: Mirror, wire: Wire) -> None:
    """A client that leaves with a request still in line ends its running answer: nobody is served in vain."""
    before = settled(shared)
    wire.send(request(BIG) + request(BIG))
    assert wire.head()[0] == 200
    settled(shared)
    wire.socket.close()
    assert settled(shared) - before < LARGE
    assert "socket.send() raised" not in shared.log


def test_a_client_of_a_fill_that_leaves_while_a_pipelined_request_waits(shared: Mirror, shared_origin: Origin, wire: Wire) -> None:
    """A client that leaves with a request still in line is no reader of its fill any more, though the fill stalls."""
    path = "/sets/left.bin"
    shared_origin.add(path, body(3 * MIB), stall_after=2 * MIB)
    wire.send(request(path) + request(SMALL))
    assert wire.head()[0] == 200
    wire.body(MIB)
    wire.socket.close()
    until(lambda: [fill["readers"] for fill in shared.status["fills"]] == [0])
    shared_origin.add(path, body(3 * MIB))


# ---- Clients that close, or say too much


@pytest.mark.parametrize("count", [1, 2])
def test_a_half_closed_client(wire: Wire, count: int) -> None:
    """A client that closed its sending side gets all of its answers, then the mirror closes."""
    wire.send(request(BIG) * count)
    wire.socket.shutdown(socket.SHUT_WR)
    for _ in range(count):
        assert wire.answer() == (200, LARGE_BODY)
    assert wire.rest() == b""


def test_a_half_closed_client_of_a_fill(shared: Mirror, shared_origin: Origin, wire: Wire) -> None:
    """A client that closed its sending side gets the whole of an archive that is still being fetched."""
    content = body(2 * MIB, 4)
    shared_origin.add("/sets/half.bin", content, latency=0.2, rate=8 * MIB)
    wire.send(request("/sets/half.bin"))
    wire.socket.shutdown(socket.SHUT_WR)
    assert wire.answer() == (200, content)
    assert wire.rest() == b""


def test_a_half_closed_idle_client(wire: Wire) -> None:
    """A client that closes its sending side after its answer is closed at once."""
    wire.send(request(SMALL))
    assert wire.answer() == (200, SMALL_BODY)
    wire.socket.shutdown(socket.SHUT_WR)
    assert wire.rest() == b""


@pytest.mark.parametrize("garbage", [b"\x00\x01garbage\r\n\r\n", b"NONSENSE / HTTP/9.9\r\n\r\n", b"GET /" + b"x" * 70_000])
def test_garbage_during_a_body(wire: Wire, garbage: bytes) -> None:
    """What a client sends during a body never shows in it: the body goes on unharmed, or the connection is reset."""
    wire.send(request(BIG))
    status, _ = wire.head()
    assert status == 200
    wire.send(garbage)
    received, was_reset = b"", False
    try:
        received = wire.body(LARGE)
    except ConnectionResetError:
        was_reset = True
    assert was_reset or received == LARGE_BODY


def test_garbage_during_a_body_is_no_clean_end(wire: Wire) -> None:
    """All that a client reads after its garbage are bytes of the archive, and their early end is a reset."""
    wire.send(request(BIG))
    wire.head()
    wire.send(b"\x00garbage\r\n\r\n")
    received, was_reset = wire.until_any_end()
    assert received == LARGE_BODY[: len(received)]
    assert was_reset or len(received) == LARGE


def test_garbage_instead_of_a_request(wire: Wire) -> None:
    """Garbage on an idle connection is a 400, and the connection closes."""
    wire.send(b"\x00garbage\r\n\r\n")
    assert wire.answer()[0] == 400
    assert wire.rest() == b""


def test_expect_on_a_get(shared: Mirror, shared_origin: Origin, wire: Wire) -> None:
    """`Expect: 100-continue` on a GET gets its answer, hit or miss, and no interim response inside or after it."""
    shared_origin.add("/sets/expected.bin", OTHER_BODY, latency=0.05)
    for path, content in ((SMALL, SMALL_BODY), ("/sets/expected.bin", OTHER_BODY), ("/sets/expected.bin", OTHER_BODY)):
        wire.send(request(path, "Expect: 100-continue"))
        status, fields = wire.head()
        if status == 100:
            status, fields = wire.head()
        assert (status, wire.body(int(fields["content-length"]))) == (200, content)
    wire.send(request(SMALL, "Connection: close"))
    assert wire.answer() == (200, SMALL_BODY)
    assert wire.rest() == b""


# ---- HTTP/1.0


def test_http_1_0_with_a_known_length(wire: Wire) -> None:
    """HTTP/1.0 gets a Content-Length and the close."""
    wire.send(request(SMALL, version="1.0"))
    status, fields = wire.head()
    assert (status, fields["content-length"]) == (200, str(len(SMALL_BODY)))
    assert "transfer-encoding" not in fields
    assert wire.rest() == SMALL_BODY


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_an_origin_without_a_length(shared: Mirror, shared_origin: Origin, wire: Wire, version: str) -> None:
    """An archive whose length is not known yet comes in chunks, but over HTTP/1.0 up to the close, without chunks."""
    path = f"/sets/chunked-{version}.bin"
    shared_origin.add(path, CHUNKED_BODY, chunked=True, rate=8 * MIB)
    wire.send(request(path, "Connection: close", version=version))
    status, fields = wire.head()
    assert status == 200
    assert "content-length" not in fields
    assert fields.get("transfer-encoding") == (None if version == "1.0" else "chunked")
    received = wire.rest()
    assert (received if version == "1.0" else dechunked(received)) == CHUNKED_BODY


def test_http_1_0_without_a_host(wire: Wire) -> None:
    """HTTP/1.0 knows no Host field; the path form works without it."""
    wire.send(request(SMALL, version="1.0", host=None))
    assert wire.answer() == (200, SMALL_BODY)


def dechunked(coded: bytes) -> bytes:
    """The content of a chunked body; it must end with the last chunk and nothing after it."""
    content = bytearray()
    while True:
        line, _, coded = coded.partition(b"\r\n")
        size = int(line, 16)
        content += coded[:size]
        assert coded[size : size + 2] == b"\r\n"
        coded = coded[size + 2 :]
        if size == 0:
            assert coded == b""
            return bytes(content)


# ---- Targets


@pytest.mark.parametrize("host", ["elsewhere.example.net", "127.0.0.1", HOST])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_absolute_target(wire: Wire, host: str, scheme: str) -> None:
    """The authority of an absolute-form target wins over Host (RFC 9112 3.2.2)."""
    wire.send(raw_request(f"{scheme}://{HOST}{SMALL}", host=host))
    assert wire.answer() == (200, SMALL_BODY)


def test_an_absolute_target_of_another_server(wire: Wire) -> None:
    """An absolute-form target that no origin lists is refused, whatever Host says."""
    wire.send(raw_request(f"http://elsewhere.example.net{SMALL}", host=HOST))
    assert wire.answer()[0] == 403


@pytest.mark.parametrize("user", ["user@", "user:secret@"])
def test_an_absolute_target_with_a_password(wire: Wire, user: str) -> None:
    """A user name or password in an absolute-form target is a 400: it must not be dropped unseen."""
    wire.send(raw_request(f"http://{user}{HOST}{SMALL}"))
    assert wire.answer()[0] == 400


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "mirror.lab"])
def test_an_absolute_target_of_the_mirror_itself(shared: Mirror, wire: Wire, host: str) -> None:
    """An absolute-form target with the mirror's own port is a page of the mirror, over IPv6 too."""
    wire.send(raw_request(f"http://{host}:{shared.port}/healthz"))
    assert wire.answer()[0] == 200


def test_an_absolute_target_does_not_stay(wire: Wire) -> None:
    """The authority of one request is forgotten with the next one on the connection."""
    wire.send(raw_request(f"{URL}{SMALL}") + raw_request(SMALL, host=HOST) + request(OTHER) + raw_request("/healthz"))
    assert [wire.answer() for _ in range(3)] == [(200, SMALL_BODY), (200, SMALL_BODY), (200, OTHER_BODY)]
    assert wire.answer()[0] == 200


@pytest.mark.parametrize("second", ["127.0.0.1", "data.example.org"])
def test_two_hosts(wire: Wire, second: str) -> None:
    """Two Host fields are a 400, even when they agree (RFC 9112 3.2)."""
    wire.send(request(SMALL, f"Host: {second}"))
    assert wire.answer()[0] == 400


@pytest.mark.parametrize("size", [9_000, 300_000])
def test_a_long_target(wire: Wire, size: int) -> None:
    """A target longer than 8 KiB is a 4xx."""
    wire.send(request("/sets/" + "x" * size))
    assert wire.answer()[0] in (400, 414)


@pytest.mark.parametrize(
    "path",
    [
        "/sets/../secret.bin",
        "/sets/..",
        "/sets/%2e%2e/secret.bin",
        "/sets/%2E./secret.bin",
        "/sets/.%2e/secret.bin",
        "/sets/%252e%252e/../x",
        "/sets/..\\secret.bin",
        "/sets/a\\b.bin",
        "/sets/%5c..%5csecret.bin",
        "/sets/%00.bin",
    ],
)
def test_a_path_that_leads_elsewhere(shared_origin: Origin, wire: Wire, path: str) -> None:
    """Dots that climb, plain or encoded, backslashes and NUL are a 400, and no origin is asked."""
    asked = len(shared_origin.requests)
    wire.send(request(path))
    assert wire.answer()[0] == 400
    assert {each.target for each in shared_origin.requests[asked:]} <= {CHUNKED, SLOW}  # of another test's download


# ---- Clients that do not read


def settled(mirror: Mirror) -> int:
    """The bytes served once they do not grow any more: nothing tells that a send waits."""
    before = -1
    end = time.monotonic() + PATIENCE
    while (served := int(mirror.status["bytes_served"])) != before:
        assert time.monotonic() < end, "it serves on and on"
        before = served
        time.sleep(0.1)
    return served


def test_clients_that_stop_reading(shared: Mirror) -> None:
    """Clients that do not read cost the mirror a chunk each, not the archive, and hold up nobody."""
    assert shared.archive(BIG).body == LARGE_BODY
    before = settled(shared)
    memory = shared.memory
    with ExitStack() as ends:
        wires = [ends.enter_context(Wire(shared, buffer=4096)) for _ in range(16)]
        for wire in wires:
            wire.send(request(BIG))
            assert wire.head()[0] == 200
        assert settled(shared) - before < 16 * LARGE / 2
        assert shared.memory - memory < 16 * MIB
        assert shared.archive(BIG).body == LARGE_BODY


def test_a_client_of_a_fill_that_stops_reading(shared: Mirror, shared_origin: Origin) -> None:
    """A client that does not read slows neither the fill nor those who read."""
    content = body(LARGE, 5)
    shared_origin.add(SLOW, content)
    memory = shared.memory
    with closing(Wire(shared, buffer=4096).socket) as stuck:
        stuck.sendall(request(SLOW))
        assert stuck.recv(1) == b"H"
        assert shared.archive(SLOW).body == content
        assert shared.memory - memory < 16 * MIB
    assert len([request for request in shared_origin.gets(SLOW) if request.range is None]) == 1
