"""What is no request in HTTP/1.1 is refused with a status and a problem document, and the connection closes behind it."""

from __future__ import annotations

import json
import socket

import pytest

from tests.conftest import StartMirror
from tests.doors.intercepting import secured, trusting
from tests.origin import MIB, Origin, body
from tests.serving import HOST, Mirror
from tests.wire.test_protocol import Wire, raw_request, request

SMALL, LARGE = "/sets/small.bin", "/sets/large.bin"
SMALL_BODY, LARGE_BODY = body(10_000, 1), body(24 * MIB, 2)
H = b"Host: mirror\r\n"
POST = b"POST /api/rm HTTP/1.1\r\n" + H
CONNECT = f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n".encode()
EARLY = (403, 404, 405, 504)
"""What a request may get when only its head has come: who may, what there is and an origin that is away need no body."""


@pytest.fixture(scope="module")
def shared(start_shared_mirror: StartMirror, shared_origin: Origin) -> Mirror:
    """A mirror with a small and a large archive."""
    shared_origin.add(SMALL, SMALL_BODY)
    shared_origin.add(LARGE, LARGE_BODY)
    mirror = start_shared_mirror()
    assert mirror.archive(SMALL).status == mirror.archive(LARGE).status == 200
    return mirror


def refused(wire: Wire) -> int:
    """The status of a refusal; it must be a problem document, announce the close, and be followed by it.

    What the app refuses when only the head has come cannot announce it yet.
    """
    status, fields = wire.head()
    assert fields["content-type"] == "application/problem+json"
    assert fields.get("connection") == "close" or status in EARLY
    document = json.loads(wire.body(int(fields["content-length"])))
    assert document["status"] == status
    assert document["detail"]
    assert document["hint"]
    assert wire.rest() == b""
    return status


REFUSALS = {
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (b"GET / HTTP/1.1\r\n" + H + H + b"\r\n", 400),
    "empty Host": (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
    "Host with a space": (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    "Host with a path": (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    "Host with a user": (b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
    "Host with a word for a port": (b"GET / HTTP/1.1\r\nHost: a:http\r\n\r\n", 400),
    "Host with too large a port": (b"GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", 400),
    "Host that is a URL": (b"GET / HTTP/1.1\r\nHost: http://a\r\n\r\n", 400),
    "Host in half brackets": (b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400),
    "HTTP/1.0 with a malformed Host": (b"GET / HTTP/1.0\r\nHost: a b\r\n\r\n", 400),
    "absolute form without Host": (b"GET http://a/ HTTP/1.1\r\n\r\n", 400),
    "unknown coding": (b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: gzip\r\n\r\n", 501),
    "unknown coding before chunked": (b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    "coding behind chunked": (b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked, gzip\r\n\r\n", 400),
    "length and coding": (b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "coding in HTTP/1.0": (b"POST / HTTP/1.0\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "negative length": (b"POST / HTTP/1.1\r\n" + H + b"Content-Length: -1\r\n\r\n", 400),
    "two lengths": (b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
    "length that overflows": (b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 99999999999999999999\r\n\r\n", 400),
    "bad size of a chunk": (b"POST /api/rm HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    "size of a chunk that overflows": (
        b"POST /api/rm HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        400,
    ),
    "garbage": (b"\x00garbage\r\n\r\n", 400),
    "TLS": (bytes.fromhex("16030100050102030405") * 5, 400),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/2.0": (b"GET / HTTP/2.0\r\n" + H + b"\r\n", 505),
    "HTTP/3.0": (b"GET / HTTP/3.0\r\n" + H + b"\r\n", 505),
    "HTTP/0.9": (b"GET /\r\n\r\n", 505),
    "lower-case version": (b"GET / http/1.1\r\n" + H + b"\r\n", 400),
    "lower-case method": (b"get / HTTP/1.1\r\n" + H + b"\r\n", 400),
    "unknown method": (b"FETCH / HTTP/1.1\r\n" + H + b"\r\n", 501),
    "space in the target": (b"GET /a b HTTP/1.1\r\n" + H + b"\r\n", 400),
    "byte that is not ASCII": (b"GET /\xc3\xa9 HTTP/1.1\r\n" + H + b"\r\n", 400),
    "NUL in the target": (b"GET /a\x00 HTTP/1.1\r\n" + H + b"\r\n", 400),
    "foreign scheme": (b"GET ftp://a/x HTTP/1.1\r\n" + H + b"\r\n", 400),
    "absolute form without a host": (b"GET http:///x HTTP/1.1\r\n" + H + b"\r\n", 400),
    "asterisk for GET": (b"GET * HTTP/1.1\r\n" + H + b"\r\n", 400),
    "bare LF": (b"GET / HTTP/1.1\n" + H + b"\n", 400),
    "bare CR": (b"GET / HTTP/1.1\r\n" + H + b"A: b\rc\r\n\r\n", 400),
    "NUL in a field": (b"GET / HTTP/1.1\r\n" + H + b"A: b\x00c\r\n\r\n", 400),
    "space before the colon": (b"GET / HTTP/1.1\r\nHost : mirror\r\n\r\n", 400),
    "field without a colon": (b"GET / HTTP/1.1\r\n" + H + b"A\r\n\r\n", 400),
    "folded field": (b"GET / HTTP/1.1\r\n" + H + b"A: b\r\n c\r\n\r\n", 400),
    "long target": (b"GET /" + b"x" * 8192 + b" HTTP/1.1\r\n" + H + b"\r\n", 414),
    "large field": (b"GET / HTTP/1.1\r\n" + H + b"A: " + b"x" * 65_536 + b"\r\n\r\n", 431),
    "large fields": (b"GET / HTTP/1.1\r\n" + H + b"".join(b"A%d: %b\r\n" % (n, b"x" * 1000) for n in range(70)) + b"\r\n", 431),
    "many fields": (b"GET / HTTP/1.1\r\n" + H + b"A: b\r\n" * 200 + b"\r\n", 431),
    "large trailers": (b"POST /api/rm HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"A: b\r\n" * 210, 431),
    "chunked twice": (POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
    "chunked in two fields": (POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "chunked behind a control byte": (POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    "identity": (POST + b"Transfer-Encoding: identity\r\n\r\n", 501),
    "empty coding": (POST + b"Transfer-Encoding:\r\n\r\n", 400),
    "signed length": (POST + b"Content-Length: +5\r\n\r\nhello", 400),
    "hexadecimal length": (POST + b"Content-Length: 0x5\r\n\r\nhello", 400),
    "empty length": (POST + b"Content-Length:\r\n\r\n", 400),
    "list of lengths": (POST + b"Content-Length: 5, 5\r\n\r\nhello", 400),
    "length with a space in it": (POST + b"Content-Length: 1 0\r\n\r\nhello", 400),
    "size of a chunk with a sign": (POST + b"Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n", 400),
    "size of a chunk with 0x": (POST + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n", 400),
    "no size of a chunk": (POST + b"Transfer-Encoding: chunked\r\n\r\n\r\nhello\r\n0\r\n\r\n", 400),
    "chunk longer than its size": (POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n", 400),
    "bare LF behind the size of a chunk": (POST + b"Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", 400),
    "bare CR in an extension": (POST + b"Transfer-Encoding: chunked\r\n\r\n5;a\rb\r\nhello\r\n0\r\n\r\n", 400),
    "name of a field with a bracket": (b"GET / HTTP/1.1\r\n" + H + b"A(b): c\r\n\r\n", 400),
    "empty name of a field": (b"GET / HTTP/1.1\r\n" + H + b": c\r\n\r\n", 400),
    "first field is folded": (b"GET / HTTP/1.1\r\n A: b\r\n" + H + b"\r\n", 400),
    "field folded by a tab": (b"GET / HTTP/1.1\r\n" + H + b"A: b\r\n\tc\r\n\r\n", 400),
    "DEL in the target": (b"GET /a\x7f HTTP/1.1\r\n" + H + b"\r\n", 400),
    "tab between the parts": (b"GET\t/\tHTTP/1.1\r\n" + H + b"\r\n", 400),
    "CONNECT with a length": (CONNECT + b"Content-Length: 5\r\n\r\n", 400),
    "CONNECT with a body": (CONNECT + b"Content-Length: 5\r\n\r\nhello", 400),
    "CONNECT with a coding": (CONNECT + b"Transfer-Encoding: chunked\r\n\r\n", 400),
    "large extension of 1 MB": (POST + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 1_000_000, 431),
    "large extension": (b"POST /api/rm HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 200_000, 431),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(shared: Mirror, case: str) -> None:
    """Each kind of malformed request has its status, a document that says why, and a close that lets the client read it."""
    sent, status = REFUSALS[case]
    with Wire(shared) as wire:
        wire.send(sent)
        seen = refused(wire)
    assert seen == status or (b"/api/" in sent and seen in EARLY)


def test_refusals_inside_connect(shared: Mirror) -> None:
    """Over TLS, in a connection that was opened by CONNECT, the same is refused in the same way."""
    context = trusting(shared)
    for case, (sent, status) in REFUSALS.items():
        with secured(shared, context=context) as wire:
            wire.send(sent.replace(H, f"Host: {HOST}\r\n".encode()))
            seen = refused(wire)
        assert seen == status or (b"/api/" in sent and seen in EARLY), case


def test_why_can_be_read_over_tls(shared: Mirror) -> None:
    """Over TLS, a client that is still sending when it is refused can read why, however much of it had come."""
    context = trusting(shared)
    sent, status = REFUSALS["large extension of 1 MB"]
    for _ in range(50):
        with secured(shared, context=context) as wire:
            wire.send(sent.replace(H, f"Host: {HOST}\r\n".encode()))
            assert refused(wire) in (status, *EARLY)


def test_a_head_that_is_refused(shared: Mirror) -> None:
    """What is refused to a HEAD has no body either (RFC 9110 9.3.2)."""
    for asks in (b"HEAD / HTTP/1.1\r\n\r\n", b"HEAD / HTTP/1.1\r\n" + H + b"Transfer-Encoding: gzip, chunked\r\n\r\n"):
        with Wire(shared) as wire:
            wire.send(asks)
            status, fields = wire.head()
            assert (status in (400, 501), fields["connection"]) == (True, "close")
            assert int(fields["content-length"]) > 0
            assert wire.rest() == b""


ACCEPTED = {
    "absolute form without a path": b"GET http://127.0.0.1:%d HTTP/1.1\r\nHost: mirror\r\n\r\n",
    "absolute form with a query alone": b"GET http://127.0.0.1:%d?x=1 HTTP/1.1\r\nHost: mirror\r\n\r\n",
    "host with an underscore": b"GET /healthz HTTP/1.1\r\nHost: dataset_mirror:%d\r\n\r\n",
    "IPv6 host": b"GET /healthz HTTP/1.1\r\nHost: [::1]:%d\r\n\r\n",
    "blank lines before": b"\r\n\r\nGET /healthz HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n",
    "64 KiB of fields": b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nA: " + b"x" * 65_000 + b"\r\n\r\n",
    "200 fields": b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" + b"A: b\r\n" * 199 + b"\r\n",
    "an upgrade that is not offered": b"GET /healthz HTTP/1.1\r\nHost: a:%d\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_what_is_not_refused(shared: Mirror, case: str) -> None:
    """What RFC 9112 allows is answered, and the connection goes on."""
    with Wire(shared) as wire:
        wire.send(ACCEPTED[case] % shared.port)
        assert wire.answer()[0] in (200, 303, 307)
        wire.send(request(SMALL))
        assert wire.answer() == (200, SMALL_BODY)


def test_a_head_without_an_end(shared: Mirror) -> None:
    """A head of many megabytes is refused when the limit is passed, its client can read why, and nothing of it is kept."""
    memory = shared.memory
    with Wire(shared) as wire:
        wire.send(b"GET / HTTP/1.1\r\n" + H + b"A: ")
        for _ in range(48):
            wire.send(b"x" * MIB)
        assert refused(wire) == 431
    assert shared.memory - memory < 8 * MIB


@pytest.mark.parametrize(
    "behind", [b"\x00garbage\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET /" + b"x" * 9000], ids=["bytes", "host", "size"]
)
def test_behind_an_answer(shared: Mirror, behind: bytes) -> None:
    """What is refused never cuts the answers to the requests before it, and is not answered within them."""
    with Wire(shared) as wire:
        wire.send(request(LARGE) + request(SMALL, "Range: bytes=0-99") + behind)
        assert wire.answer() == (200, LARGE_BODY)
        assert wire.answer() == (206, SMALL_BODY[:100])
        rest, was_reset = wire.until_any_end()
    assert not was_reset
    assert rest == b"" or rest.startswith(b"HTTP/1.1 4")


def test_a_long_line_of_requests(shared: Mirror) -> None:
    """Thousands of requests sent at once do not wait in memory; all are answered, in their order."""
    memory = shared.memory
    one = request(SMALL, "Range: bytes=0-0")
    with Wire(shared) as wire:
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MIB)
        wire.send(raw_request(f"/{HOST}{LARGE}") + one * 3000)
        assert wire.answer() == (200, LARGE_BODY)
        assert shared.memory - memory < 16 * MIB
        for _ in range(3000):
            assert wire.answer() == (206, SMALL_BODY[:1])


def test_a_body_that_nobody_wants(shared: Mirror) -> None:
    """A body behind a refused head is taken up to a megabyte, and then the connection goes on; more of it ends the connection."""
    with Wire(shared) as wire:
        wire.send(request(SMALL, f"Content-Length: {MIB // 2}", method="POST"))
        assert wire.answer()[0] == 405
        wire.send(b"x" * (MIB // 2) + request(SMALL))
        assert wire.answer() == (200, SMALL_BODY)
        wire.send(request(SMALL, f"Content-Length: {512 * MIB}", method="POST"))
        assert wire.answer()[0] == 405
        wire.send(b"x" * (3 * MIB // 2))
        assert wire.rest() == b""
