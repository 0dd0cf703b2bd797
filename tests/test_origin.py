"""The misbehaving origin keeps its promises: a test of the mirror is worth no more than its origin."""

from __future__ import annotations

import gzip
import http.client
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.origin import Behaviour, Origin, Request, body

DATA = body(100_000)
DATE = "Wed, 01 May 2024 10:00:00 GMT"
LATER = "Thu, 02 May 2024 10:00:00 GMT"
EARLIER = "Tue, 30 Apr 2024 10:00:00 GMT"


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as running:
        yield running


class Answer(NamedTuple):
    """A response with its content as on the wire, any content coding left in place."""

    status_code: int
    headers: httpx.Headers
    content: bytes


def fetch(origin: Origin, target: str, method: str = "GET", **headers: str) -> Answer:
    """One request on a connection of its own; keyword `if_range` is the field If-Range."""
    fields = {"Accept-Encoding": "identity"} | {name.replace("_", "-"): value for name, value in headers.items()}
    with httpx.Client(trust_env=False) as client, client.stream(method, origin.url + target, headers=fields) as response:
        return Answer(response.status_code, response.headers, b"".join(response.iter_raw()))


def connected(origin: Origin) -> socket.socket:
    return socket.create_connection(("127.0.0.1", origin.port), timeout=60)


def ask(sock: socket.socket, target: str) -> None:
    sock.sendall(f"GET {target} HTTP/1.1\r\nHost: origin\r\n\r\n".encode())


def read_until(sock: socket.socket, size: int) -> tuple[bytes, bytes]:
    """The head, and at least `size` bytes of the body or those before the end."""
    received = b""
    while b"\r\n\r\n" not in received or len(received.partition(b"\r\n\r\n")[2]) < size:
        data = sock.recv(65536)
        if not data:
            break
        received += data
    head, _, rest = received.partition(b"\r\n\r\n")
    return head, rest


# ---- A good origin


def test_get_answers_the_whole_representation_with_its_metadata(origin: Origin) -> None:
    """A GET is answered 200 with body, length, type, validators, Accept-Ranges, a valid Date and the extra headers."""
    origin.add("/a", DATA, etag='"x"', last_modified=DATE, content_type="application/x-tar", headers={"X-Hash": "abc"})
    response = fetch(origin, "/a")
    assert (response.status_code, response.content) == (200, DATA)
    expected = {
        "content-length": "100000",
        "content-type": "application/x-tar",
        "etag": '"x"',
        "last-modified": DATE,
        "accept-ranges": "bytes",
        "x-hash": "abc",
    }
    assert expected.items() <= dict(response.headers).items()
    assert parsedate_to_datetime(response.headers["date"]).tzinfo is not None


def test_headers_of_a_resource_replace_those_of_the_origin(origin: Origin) -> None:
    """An extra header takes the place of the one with the same name in any case."""
    origin.add("/a", DATA, headers={"content-type": "text/csv", "Date": DATE})
    response = fetch(origin, "/a")
    assert response.headers.get_list("content-type") == ["text/csv"]
    assert response.headers.get_list("date") == [DATE]


def test_etag_none_sends_no_etag(origin: Origin) -> None:
    """A resource may have no validators at all."""
    origin.add("/a", DATA, etag=None)
    response = fetch(origin, "/a")
    assert "etag" not in response.headers
    assert "last-modified" not in response.headers


def test_head_has_the_headers_of_get_and_no_body(origin: Origin) -> None:
    """A HEAD announces the length but sends nothing, and is recorded apart from GETs."""
    origin.add("/a", DATA)
    response = fetch(origin, "/a", "HEAD")
    assert (response.headers["content-length"], response.headers["etag"], response.content) == ("100000", '"v1"', b"")
    assert (len(origin.heads("/a")), origin.gets("/a"), origin.bytes_sent) == (1, [], 0)


def test_a_file_is_served_as_its_bytes(origin: Origin, tmp_path: Path) -> None:
    """A path serves the content of the file, an empty one included."""
    full, empty = tmp_path / "full", tmp_path / "empty"
    full.write_bytes(DATA)
    empty.write_bytes(b"")
    origin.add("/full", full)
    origin.add("/empty", empty)
    assert fetch(origin, "/full").content == DATA
    assert fetch(origin, "/full", range="bytes=5-9").content == DATA[5:10]
    assert fetch(origin, "/empty").content == b""


def test_a_callable_makes_the_body_of_each_request(origin: Origin) -> None:
    """A callable receives the request and returns the body."""

    def greeting(request: Request) -> bytes:
        return f"hello {request.header('X-Name')}".encode()

    origin.add("/a", greeting)
    assert fetch(origin, "/a", x_name="Ada").content == b"hello Ada"


def test_an_unknown_path_is_not_found(origin: Origin) -> None:
    """A target without resource is answered 404 and recorded."""
    assert fetch(origin, "/nothing").status_code == 404
    assert len(origin.gets("/nothing")) == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_not_allowed(origin: Origin, method: str) -> None:
    """Anything but GET and HEAD is answered 405 with Allow, and the connection stays usable after a request body."""
    origin.add("/a", DATA)
    with httpx.Client(trust_env=False) as client:
        response = client.request(method, origin.url + "/a", content=b"x" * 200_000)
        assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")
        assert client.get(origin.url + "/a").content == DATA
    assert origin.connections == 1


def test_connections_are_kept_alive(origin: Origin) -> None:
    """Requests on one connection share its id; Connection: close ends it."""
    origin.add("/a", DATA)
    with httpx.Client(trust_env=False) as client:
        for _ in range(3):
            client.get(origin.url + "/a")
        assert client.get(origin.url + "/a", headers={"Connection": "close"}).headers["connection"] == "close"
        origin.wait_for(lambda: origin.open_connections == 0)
        client.get(origin.url + "/a")
    assert [each.connection_id for each in origin.requests] == [1, 1, 1, 1, 2]
    assert origin.connections == 2


@pytest.mark.parametrize("garbage", [b"nonsense\r\n\r\n", b"GET /" + b"a" * 70_000], ids=["no HTTP", "endless head"])
def test_a_client_without_http_is_hung_up_on(origin: Origin, garbage: bytes) -> None:
    """A malformed or oversized head closes the connection, and the origin lives on."""
    with connected(origin) as sock:
        sock.sendall(garbage)
        assert sock.recv(1) == b""
    assert fetch(origin, "/").status_code == 404


# ---- Targets


def test_the_query_counts_only_for_a_resource_added_with_one(origin: Origin) -> None:
    """A query is ignored, unless the very target with query is a resource."""
    origin.add("/a", b"plain")
    origin.add("/a?b=c", b"query")
    origin.add("/only?b=c", b"only")
    assert fetch(origin, "/a?x=y").content == b"plain"
    assert fetch(origin, "/a?b=c").content == b"query"
    assert fetch(origin, "/only").status_code == 404
    assert (len(origin.gets("/a")), len(origin.gets("/a?b=c"))) == (2, 1)


@pytest.mark.parametrize(("added", "asked"), [("/~u", "/%7Eu"), ("/%7Eu", "/~u"), ("/a%2fb", "/a%2Fb"), ("/a%20b", "/a%20b")])
def test_escapes_of_unreserved_characters_are_equivalent(origin: Origin, added: str, asked: str) -> None:
    """Targets match raw and normalised; the record keeps the target as sent."""
    origin.add(added, DATA)
    with connected(origin) as sock:
        ask(sock, asked)
        assert read_until(sock, len(DATA))[1] == DATA
    assert origin.gets(added)[0].target == asked
    assert origin.bytes_sent_for(added) == len(DATA)


def test_reserved_escapes_are_not_decoded(origin: Origin) -> None:
    """An escaped slash is not a slash."""
    origin.add("/a/b", DATA)
    assert fetch(origin, "/a%2Fb").status_code == 404


# ---- Ranges and conditions


@pytest.mark.parametrize(
    ("value", "first", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=99990-", 99_990, 100_000),
        ("bytes=99990-200000", 99_990, 100_000),
        ("bytes=-10", 99_990, 100_000),
        ("bytes=-200000", 0, 100_000),
    ],
)
def test_a_range_is_answered_with_its_bytes(origin: Origin, value: str, first: int, stop: int) -> None:
    """A satisfiable range is answered 206 with Content-Range, and recorded."""
    origin.add("/a", DATA)
    response = fetch(origin, "/a", range=value)
    assert (response.status_code, response.content) == (206, DATA[first:stop])
    assert response.headers["content-range"] == f"bytes {first}-{stop - 1}/100000"
    assert origin.requests[0].range == value


@pytest.mark.parametrize("value", ["bytes=100000-", "bytes=200000-300000", "bytes=-0"])
def test_an_unsatisfiable_range_is_answered_416(origin: Origin, value: str) -> None:
    """A range outside of the representation is answered 416 with its length."""
    origin.add("/a", DATA)
    response = fetch(origin, "/a", range=value)
    assert (response.status_code, response.headers["content-range"]) == (416, "bytes */100000")


@pytest.mark.parametrize("value", ["bytes=0-1,5-6", "lines=1-2", "bytes=5-2", "bytes=-", "bytes=a-b"])
def test_an_invalid_or_multiple_range_is_ignored(origin: Origin, value: str) -> None:
    """What is not one valid byte range is answered with the whole representation."""
    origin.add("/a", DATA)
    response = fetch(origin, "/a", range=value)
    assert (response.status_code, response.content) == (200, DATA)


@pytest.mark.parametrize(
    ("condition", "status"),
    [('"v1"', 206), ('"v2"', 200), ('W/"v1"', 200), (DATE, 206), (LATER, 200), (EARLIER, 200), ("rubbish", 200)],
)
def test_if_range_guards_the_range(origin: Origin, condition: str, status: int) -> None:
    """The range is served only when the strong ETag or the exact date is the current one."""
    origin.add("/a", DATA, last_modified=DATE)
    assert fetch(origin, "/a", range="bytes=5-", if_range=condition).status_code == status


def test_if_range_never_matches_a_weak_etag(origin: Origin) -> None:
    """A weak ETag does not protect a range, even an equal one."""
    origin.add("/a", DATA, etag='W/"v1"')
    assert fetch(origin, "/a", range="bytes=5-", if_range='W/"v1"').status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if_none_match": '"v1"'}, 304),
        ({"if_none_match": '"v0", W/"v1"'}, 304),
        ({"if_none_match": "*"}, 304),
        ({"if_none_match": '"v2"'}, 200),
        ({"if_none_match": '"v2"', "if_modified_since": LATER}, 200),
        ({"if_modified_since": DATE}, 304),
        ({"if_modified_since": LATER}, 304),
        ({"if_modified_since": EARLIER}, 200),
        ({"if_modified_since": "rubbish"}, 200),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_conditions_are_evaluated(origin: Origin, method: str, headers: dict[str, str], status: int) -> None:
    """If-None-Match decides alone when present, else If-Modified-Since; 304 carries validators and no body."""
    origin.add("/a", DATA, last_modified=DATE)
    response = fetch(origin, "/a", method, **headers)
    assert response.status_code == status
    assert response.headers["etag"] == '"v1"'
    assert response.content == (DATA if status == 200 and method == "GET" else b"")


# ---- Faults of a transfer


def test_cut_after_sends_so_many_bytes_then_fin(origin: Origin) -> None:
    """The length is announced in full, the bytes stop at the cut and the stream ends cleanly."""
    origin.add("/a", DATA, cut_after=1000)
    with connected(origin) as sock:
        ask(sock, "/a")
        head, received = read_until(sock, len(DATA))
    assert b"Content-Length: 100000" in head
    assert received == DATA[:1000]
    assert origin.bytes_sent == 1000


def test_the_spared_have_no_faults(origin: Origin) -> None:
    """Faults begin after the spared GETs, and `times` counts from there."""
    origin.add("/a", DATA, status=404, spared=2, times=1)
    assert [fetch(origin, "/a").status_code for _ in range(4)] == [200, 200, 404, 200]


def test_a_cut_with_times_leaves_the_resume_good(origin: Origin) -> None:
    """With times=1 the first GET is cut and the range that resumes it is served; HEADs do not count."""
    origin.add("/a", DATA, cut_after=1000, times=1)
    fetch(origin, "/a", "HEAD")
    with pytest.raises(httpx.RemoteProtocolError):
        fetch(origin, "/a")
    assert fetch(origin, "/a", range="bytes=1000-").content == DATA[1000:]


def test_a_cut_past_the_response_has_no_effect(origin: Origin) -> None:
    """A position is counted in each response, so that a short range of a cut resource is complete."""
    origin.add("/a", DATA, cut_after=1000)
    assert fetch(origin, "/a", range="bytes=5000-5499").content == DATA[5000:5500]


def test_reset_after_delivers_so_many_bytes_then_rst(origin: Origin) -> None:
    """The client receives the bytes before the reset, then ECONNRESET."""
    origin.add("/a", DATA, reset_after=50_000)
    with connected(origin) as sock:
        ask(sock, "/a")
        assert read_until(sock, 50_000)[1] == DATA[:50_000]
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


def test_stall_after_sends_so_many_bytes_then_nothing(origin: Origin) -> None:
    """The bytes stop and the connection stays open, until the client closes it."""
    origin.add("/a", DATA, stall_after=1000)
    with connected(origin) as sock:
        ask(sock, "/a")
        assert read_until(sock, 1000)[1] == DATA[:1000]
        sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        assert origin.open_connections == 1
    origin.wait_for(lambda: origin.open_connections == 0)


def test_flip_at_inverts_one_byte_of_the_representation(origin: Origin) -> None:
    """The length is right and one byte is wrong, at an offset in the whole: a range sees it only when it holds it."""
    origin.add("/a", DATA, flip_at=70_000)
    wrong = bytearray(DATA)
    wrong[70_000] ^= 0xFF
    assert fetch(origin, "/a").content == wrong
    assert fetch(origin, "/a", range="bytes=60000-").content == wrong[60_000:]
    assert fetch(origin, "/a", range="bytes=70001-").content == DATA[70_001:]


@pytest.mark.timed
def test_rate_paces_each_connection(origin: Origin) -> None:
    """Bytes come no faster than the rate, and connections do not share it: together these would take 4 s."""
    origin.add("/a", DATA, rate=500_000)
    started = time.monotonic()
    socks = [connected(origin) for _ in range(20)]
    for sock in socks:
        ask(sock, "/a")
    for sock in socks:
        assert read_until(sock, len(DATA))[1] == DATA
        sock.close()
    assert 0.1 < time.monotonic() - started < 3


def test_latency_delays_the_head(origin: Origin) -> None:
    """The request is recorded on arrival and answered after the latency."""
    origin.add("/a", DATA, latency=0.2)
    assert fetch(origin, "/a").content == DATA
    assert time.monotonic() - origin.requests[0].time >= 0.2


# ---- Faults of an answer


@pytest.mark.parametrize("status", [202, 403, 404, 429, 451, 500, 503, 599])
def test_status_takes_the_place_of_the_body(origin: Origin, status: int) -> None:
    """The commanded status comes with its body and Retry-After, so many times; then the resource is good."""
    origin.add("/a", DATA, status=status, status_body=b"no", retry_after=7, times=2)
    for _ in range(2):
        response = fetch(origin, "/a")
        assert (response.status_code, response.content, response.headers["retry-after"]) == (status, b"no", "7")
    assert fetch(origin, "/a").content == DATA


def test_status_without_retry_after(origin: Origin) -> None:
    """Retry-After is sent only when commanded."""
    origin.add("/a", DATA, status=503)
    assert "retry-after" not in fetch(origin, "/a").headers


def test_html_is_an_error_page_with_status_200(origin: Origin) -> None:
    """The page claims success, has no validators and ignores ranges."""
    origin.add("/a", DATA, html=True)
    response = fetch(origin, "/a", range="bytes=5-")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert response.content.startswith(b"<!DOCTYPE html>")
    assert "etag" not in response.headers


def test_redirect_sends_location_as_given(origin: Origin) -> None:
    """A redirect points to a path or URL, with the commanded status."""
    origin.add("/a", DATA, redirect="/b")
    origin.add("/b", DATA, redirect="http://127.0.0.1:1/c", redirect_status=308)
    first, second = fetch(origin, "/a"), fetch(origin, "/b", "HEAD")
    assert (first.status_code, first.headers["location"]) == (302, "/b")
    assert (second.status_code, second.headers["location"]) == (308, "http://127.0.0.1:1/c")


def test_a_redirect_to_itself_is_a_loop(origin: Origin) -> None:
    """A client that follows redirects gives up."""
    origin.add("/a", DATA, redirect="/a")
    with httpx.Client(trust_env=False, follow_redirects=True, max_redirects=3) as client, pytest.raises(httpx.TooManyRedirects):
        client.get(origin.url + "/a")


# ---- Framing and metadata


def test_chunked_has_no_length(origin: Origin) -> None:
    """The body comes in chunks and ends with the last chunk; the connection is kept."""
    origin.add("/a", DATA, chunked=True, rate=5_000_000)
    response = fetch(origin, "/a")
    assert (response.content, response.headers["transfer-encoding"]) == (DATA, "chunked")
    assert origin.bytes_sent == len(DATA)


def test_a_chunked_body_can_be_cut(origin: Origin) -> None:
    """A cut at the very end withholds only the last chunk, which is still an incomplete message."""
    origin.add("/a", DATA, chunked=True, cut_after=len(DATA))
    connection = http.client.HTTPConnection("127.0.0.1", origin.port, timeout=60)
    connection.request("GET", "/a")
    with pytest.raises(http.client.IncompleteRead) as raised:
        connection.getresponse().read()
    connection.close()
    assert raised.value.partial == DATA


def test_close_delimited_ends_with_the_connection(origin: Origin) -> None:
    """Neither a length nor chunks: the FIN is the end of the body."""
    origin.add("/a", DATA, close_delimited=True)
    response = fetch(origin, "/a")
    assert (response.content, response.headers["connection"]) == (DATA, "close")
    assert "content-length" not in response.headers
    assert "transfer-encoding" not in response.headers


def test_gzip_encodes_though_identity_was_asked(origin: Origin) -> None:
    """The body on the wire is gzipped, labelled so, and the length is that of the wire."""
    origin.add("/a", b"abc" * 1000, gzip="encode")
    response = fetch(origin, "/a")
    assert response.headers["content-encoding"] == "gzip"
    assert gzip.decompress(response.content) == b"abc" * 1000
    assert int(response.headers["content-length"]) == len(response.content) < 3000


def test_content_encoding_is_a_label_on_the_plain_body(origin: Origin) -> None:
    """The body is sent as it is, under a coding it may not have."""
    origin.add("/a", DATA, content_encoding="x-gzip")
    response = fetch(origin, "/a")
    assert (response.headers["content-encoding"], response.content) == ("x-gzip", DATA)


def test_without_ranges_the_range_is_ignored_even_after_the_faults(origin: Origin) -> None:
    """No Accept-Ranges and always 200; the nature of the origin outlives `times`."""
    origin.add("/a", DATA, ranges=False, status=500, times=1)
    assert fetch(origin, "/a").status_code == 500
    response = fetch(origin, "/a", range="bytes=5-")
    assert (response.status_code, response.content) == (200, DATA)
    assert "accept-ranges" not in response.headers


def test_refuse_head_refuses_only_head(origin: Origin) -> None:
    """HEAD gets the commanded status, GET the body."""
    origin.add("/a", DATA, refuse_head=405)
    assert fetch(origin, "/a", "HEAD").status_code == 405
    assert fetch(origin, "/a").content == DATA


def test_etag_per_connection_differs_between_connections(origin: Origin) -> None:
    """The ETag is strong, the same within a connection and another on the next."""
    origin.add("/a", DATA, etag_per_connection=True)
    with httpx.Client(trust_env=False) as client:
        first, second = (client.get(origin.url + "/a").headers["etag"] for _ in range(2))
    other = fetch(origin, "/a", range="bytes=5-", if_range=first)
    assert first == second != other.headers["etag"]
    assert first.startswith('"')
    assert other.status_code == 200


@pytest.mark.parametrize("announced", [10, 200_000], ids=["short", "long"])
def test_lie_length_announces_another_length(origin: Origin, announced: int) -> None:
    """The whole body follows whatever Content-Length says, then the connection closes."""
    origin.add("/a", DATA, lie_length=announced)
    with connected(origin) as sock:
        ask(sock, "/a")
        head, received = read_until(sock, 300_000)
    assert f"Content-Length: {announced}\r\n".encode() in head + b"\r\n"
    assert received == DATA


# ---- Changes, records and life of the server


def test_change_replaces_only_what_it_names(origin: Origin) -> None:
    """A change of body and ETag keeps the behaviour; a change of behaviour starts `times` afresh."""
    origin.add("/a", b"old", status=500, times=1)
    assert fetch(origin, "/a").status_code == 500
    origin.change("/a", body=b"new", etag='"v2"')
    assert (fetch(origin, "/a").content, fetch(origin, "/a").headers["etag"]) == (b"new", '"v2"')
    origin.change("/a", status=503)
    assert [fetch(origin, "/a").status_code for _ in range(2)] == [503, 200]


def test_unknown_behaviour_is_an_error(origin: Origin) -> None:
    """A misspelt fault does not pass for a good origin."""
    with pytest.raises(TypeError):
        origin.add("/a", DATA, cut_of=3)
    origin.add("/a", DATA)
    with pytest.raises(TypeError):
        origin.change("/a", cut_of=3)
    with pytest.raises(KeyError):
        origin.change("/b", etag=None)


def test_the_default_behaviour_is_good() -> None:
    """Without faults nothing of the defaults changes."""
    assert Behaviour(status=500, latency=1, times=1, html=True).without_faults() == Behaviour()


def test_requests_are_recorded_as_sent(origin: Origin) -> None:
    """A record has the method, target and headers; names are found in any case."""
    fetch(origin, "/a?b=%7E", x_trace="1")
    (request,) = origin.requests
    assert (request.method, request.target, request.connection_id) == ("GET", "/a?b=%7E", 1)
    assert ("x-trace", "1") in request.headers
    assert (request.header("X-TRACE"), request.header("absent"), request.range) == ("1", None, None)


def test_bytes_are_counted_by_path(origin: Origin) -> None:
    """Bytes are those of bodies, in total and for one path."""
    origin.add("/a", DATA)
    origin.add("/b", DATA[:10])
    for target in ("/a", "/b", "/b?x"):
        fetch(origin, target)
    assert (origin.bytes_sent_for("/a"), origin.bytes_sent_for("/b"), origin.bytes_sent) == (100_000, 20, 100_020)


def test_clear_empties_the_records(origin: Origin) -> None:
    """After a clear only what is open is still counted, and ids go on."""
    with connected(origin):
        origin.wait_for(lambda: origin.open_connections == 1)
        fetch(origin, "/a")
        origin.wait_for(lambda: origin.open_connections == 1)
        origin.clear()
        assert (origin.requests, origin.bytes_sent, origin.connections, origin.open_connections) == ([], 0, 0, 1)
    fetch(origin, "/a")
    assert origin.requests[0].connection_id == 3


def test_wait_for_is_woken_by_a_request(origin: Origin) -> None:
    """The wait ends with the request another thread makes, and fails in time when none comes."""
    thread = threading.Thread(target=fetch, args=(origin, "/a"))
    thread.start()
    origin.wait_for(lambda: origin.gets("/a"))
    thread.join()
    with pytest.raises(TimeoutError):
        origin.wait_for(lambda: origin.gets("/b"), timeout=0.05)


def test_refuse_resets_every_connection(origin: Origin) -> None:
    """While `refuse` is set connections are counted and reset; then the origin serves again."""
    origin.add("/a", DATA)
    origin.refuse = True
    # Who was reset before writing is told of it once, by the write; what is read then is an end.
    with pytest.raises((httpx.NetworkError, httpx.RemoteProtocolError)):
        fetch(origin, "/a")
    assert (origin.connections, origin.requests) == (1, [])
    origin.refuse = False
    assert fetch(origin, "/a").content == DATA


def test_the_origin_goes_and_comes_back_on_its_port(origin: Origin) -> None:
    """A stopped origin refuses connections; started again it serves the same resources at the same URL."""
    origin.add("/a", DATA)
    url = origin.url
    fetch(origin, "/a")
    origin.stop()
    origin.stop()
    with pytest.raises(httpx.ConnectError):
        fetch(origin, "/a")
    origin.start()
    assert origin.url == url
    assert fetch(origin, "/a").content == DATA
    with pytest.raises(RuntimeError):
        origin.start()


def test_interrupt_ends_all_connections_and_no_other() -> None:
    """After an interruption all connections are closed, and the next one is answered at once."""
    with Origin() as origin:
        origin.add("/stalled", DATA, stall_after=10)
        origin.add("/b", DATA)
        with connected(origin) as stalled, connected(origin) as idle:
            ask(stalled, "/stalled")
            origin.wait_for(lambda: origin.bytes_sent_for("/stalled") == 10 and origin.open_connections == 2)
            origin.interrupt()
            assert origin.open_connections == 0
            assert idle.recv(1) == b""
            assert origin.connections == 2
            assert httpx.get(f"{origin.url}/b").content == DATA


def test_stop_ends_stalled_slow_and_idle_connections() -> None:
    """A stop waits for no connection, whatever its state, and leaves no thread and no open connection."""
    before = threading.active_count()
    socks = []
    with Origin() as origin:
        origin.add("/stalled", DATA, stall_after=10)
        origin.add("/slow", DATA, rate=10)
        origin.add("/late", DATA, latency=1000)
        origin.add("/unread", body(20_000_000))
        for target in ("/stalled", "/slow", "/late", "/unread", None):
            socks.append(connected(origin))
            if target:
                ask(socks[-1], target)
        origin.wait_for(lambda: len(origin.requests) == 4 and origin.open_connections == 5)
        origin.stop()
        assert origin.open_connections == 0
    assert threading.active_count() == before
    for sock in socks:
        sock.close()


def test_many_connections_at_once(origin: Origin) -> None:
    """Slow connections do not hold up others."""
    origin.add("/slow", DATA, rate=10)
    origin.add("/a", DATA)
    socks = [connected(origin) for _ in range(50)]
    for sock in socks:
        ask(sock, "/slow")
    assert fetch(origin, "/a").content == DATA
    assert origin.connections == 51
    for sock in socks:
        sock.close()


# ---- Bodies and the command line


def test_body_is_deterministic_and_never_repeats() -> None:
    """A size and seed always give the same bytes; seeds and MiBs differ."""
    mib = 1 << 20
    data = body(3 * mib + 5, seed=1)
    assert len(data) == 3 * mib + 5
    assert len({data[start : start + mib] for start in range(0, 3 * mib, mib)}) == 3
    assert body(100, seed=1) == data[:100] != body(100, seed=2)
    assert body(0) == b""


def test_the_command_line_serves_a_folder(tmp_path: Path) -> None:
    """Files are served under their relative paths with validators and ranges, until the process is terminated."""
    (tmp_path / "a set").mkdir()
    (tmp_path / "a set" / "x.tar").write_bytes(DATA)
    command = [sys.executable, "-m", "tests.origin", "--rate", "50M", "--dir", str(tmp_path)]
    with subprocess.Popen(command, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        response = httpx.get(url + "/a%20set/x.tar", headers={"Range": "bytes=-5"}, trust_env=False)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert (response.status_code, response.content) == (206, DATA[-5:])
    assert {"etag", "last-modified"} <= set(response.headers)


@pytest.mark.parametrize(("arguments", "status", "text"), [(["--help"], 0, "example:"), (["--rate", "fast"], 2, "not a number of bytes")])
def test_the_command_line_explains_itself(arguments: list[str], status: int, text: str) -> None:
    """Help has an example; a wrong quantity is refused with a reason."""
    command = [sys.executable, "-m", "tests.origin", *arguments]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == status
    assert text in done.stdout + done.stderr
