"""Relays: inside a CONNECT to an origin everything that is no archive goes to the real host as it is, and nothing of it stays."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.conftest import StartMirror
from tests.doors.intercepting import asked, curl, secured, trusting
from tests.origin import MIB
from tests.serving import HOST, PATIENCE, URL, Mirror
from tests.waiting import until
from tests.wire.crew import at
from tests.wire.test_protocol import Wire, dechunked, raw_request
from tests.wire.test_workers import pytestmark as _needs_proc

SECRET = "secret-in-the-path"
LARGE = 64 * MIB


@dataclass
class Heard:
    """A request as the real host got it."""

    method: str
    target: str
    fields: dict[str, str]
    size: int
    gone: threading.Event = field(default_factory=threading.Event)
    """Set when the other side has left in the middle of the answer."""


class RealHost(BaseHTTPRequestHandler):
    """A web server that is more than its archives."""

    protocol_version = "HTTP/1.1"
    heard: list[Heard]

    def handle_one(self) -> None:
        heard = Heard(self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, self._body())
        self.heard.append(heard)
        path = self.path.partition("?")[0]
        if path == "/short":
            self._head(200, ("Content-Length", "1000000"))
            self.wfile.write(b"x" * 500_000)
            self.close_connection = True
        elif path in ("/large", "/endless"):
            self._head(200, ("Content-Length", str(LARGE if path == "/large" else 10**12)))
            self._write_much(heard, LARGE if path == "/large" else 10**12)
        elif path == "/chunked":
            self._head(200, ("Transfer-Encoding", "chunked"))
            self.wfile.write(b"5\r\nhello\r\n0\r\n\r\n")
        elif path.startswith("/status/"):
            self._head(int(path[8:]), ("ETag", '"e"'), *([] if path[8:] in ("204", "304") else [("Content-Length", "0")]))
        else:
            content = json.dumps({"method": heard.method, "size": heard.size}).encode()
            cookies = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")] if path == "/fields" else []
            self._head(200, ("Content-Length", str(len(content))), ("X-Own", "kept"), *cookies)
            self.wfile.write(b"" if self.command == "HEAD" else content)

    do_GET = do_HEAD = do_POST = do_PUT = do_PROPFIND = handle_one  # noqa: N815

    def _body(self) -> int:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return len(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        size = 0
        while step := int(self.rfile.readline() or b"0", 16):
            size += len(self.rfile.read(step))
            self.rfile.readline()
        self.rfile.readline()
        return size

    def _head(self, status: int, *fields: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in fields:
            self.send_header(name, value)
        self.end_headers()

    def _write_much(self, heard: Heard, size: int) -> None:
        block = b"y" * MIB
        try:
            for _ in range(0, size, MIB):
                self.wfile.write(block)
        except OSError:
            heard.gone.set()
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class Real:
    """A running RealHost."""

    port: int
    heard: list[Heard]


@pytest.fixture(scope="module")
def real() -> Iterator[Real]:
    heard: list[Heard] = []
    handler = type("Handler", (RealHost,), {"heard": heard})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Real(server.server_address[1], heard)
        server.shutdown()
        thread.join(PATIENCE)


def origins(real: Real, **more: object) -> list[dict[str, object]]:
    return [{"url": f"http://localhost:{real.port}", "paths": ["/sets/"], "allow_private": True, **more}]


@pytest.fixture(scope="module")
def shared(start_shared_mirror: StartMirror, real: Real) -> Mirror:
    return start_shared_mirror(origins=origins(real), upstreams={})


@pytest.fixture
def wire(shared: Mirror, real: Real) -> Iterator[Wire]:
    """A connection in TLS inside a CONNECT to the real host."""
    with secured(shared, "localhost", real.port) as opened:
        yield opened


def to(real: Real, path: str, *fields: str, method: str = "GET") -> bytes:
    return asked(path, *fields, host=f"localhost:{real.port}", method=method)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PROPFIND"])
def test_what_is_no_archive(shared: Mirror, real: Real, wire: Wire, method: str) -> None:
    """Any method, with the client's credentials and its target byte by byte; hop-by-hop fields end at the mirror."""
    before = shared.status["doors"]["relayed"]
    fields = ("Authorization: Bearer x", "Cookie: c=1", "Proxy-Authorization: Basic y", "Connection: X-Hop", "X-Hop: 1", "Accept: */*")
    wire.send(to(real, "/api/%7Euser/a%2Fb?q={x}&z", *fields, "Content-Length: 5", method=method) + b"hello")
    status, body = wire.answer()
    heard = real.heard[-1]
    assert (status, json.loads(body)) == (200, {"method": method, "size": 5})
    assert heard.target == "/api/%7Euser/a%2Fb?q={x}&z"
    assert {name: heard.fields.get(name) for name in ("authorization", "cookie", "accept", "host")} == {
        "authorization": "Bearer x",
        "cookie": "c=1",
        "accept": "*/*",
        "host": f"localhost:{real.port}",
    }
    assert not {"proxy-authorization", "x-hop", "user-agent", "accept-encoding", "transfer-encoding"} & set(heard.fields)
    assert shared.status["doors"]["relayed"] == before + 1


def test_archives_are_the_mirrors_own(shared: Mirror, real: Real, wire: Wire) -> None:
    """What the origin lists comes from the mirror, asked for once; other methods there are the host's own matter."""
    for _ in range(2):
        wire.send(to(real, "/sets/a.bin", "Authorization: Bearer x"))
        assert wire.answer()[0] == 200
    [heard] = [each for each in real.heard if each.target == "/sets/a.bin"]
    assert "authorization" not in heard.fields
    wire.send(to(real, "/sets/a.bin", "Content-Length: 2", method="PUT") + b"hi")
    assert json.loads(wire.answer()[1]) == {"method": "PUT", "size": 2}


@pytest.mark.parametrize("status", [204, 302, 304, 404, 500])
def test_statuses(real: Real, wire: Wire, status: int) -> None:
    """Whatever the host answers is passed on, and the connection goes on."""
    for _ in range(2):
        wire.send(to(real, f"/status/{status}"))
        got, fields = wire.head()
        assert (got, fields["etag"]) == (status, '"e"')
        assert fields.get("content-length", "0") == "0"
    wire.send(to(real, "/again", method="HEAD"))
    assert wire.head()[0] == 200


def test_an_answer_in_chunks(real: Real, wire: Wire) -> None:
    """An answer without a length stays one."""
    wire.send(to(real, "/chunked", "Connection: close"))
    assert wire.head()[0] == 200
    assert dechunked(wire.rest()) == b"hello"


def test_fields_that_come_twice(shared: Mirror, real: Real, tmp_path: Path) -> None:
    """Every field of the answer arrives, also those that come several times."""
    got = curl(shared, f"https://localhost:{real.port}/fields", tmp_path, "-i")
    head = got.stdout.partition(b"\r\n\r\n")[2].partition(b"\r\n\r\n")[0].lower()
    assert head.count(b"set-cookie:") == 2
    assert b"x-own: kept" in head


@pytest.mark.parametrize("options", [["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"]])
def test_a_large_upload(shared: Mirror, real: Real, tmp_path: Path, options: list[str]) -> None:
    """A body of any size goes through as a stream, in chunks and after `100 Continue` too."""
    file = tmp_path / "upload.bin"
    with file.open("wb") as opened:
        opened.truncate(LARGE)
    memory = shared.memory
    got = curl(shared, f"https://localhost:{real.port}/upload", tmp_path, "-T", str(file), *options)
    assert json.loads(got.stdout) == {"method": "PUT", "size": LARGE}
    assert shared.memory - memory < 24 * MIB


def test_a_large_download(shared: Mirror, real: Real, tmp_path: Path) -> None:
    """An answer of any size goes through as a stream, and nothing of it is kept or logged."""
    memory, blobs = shared.memory, shared.blobs
    got = curl(shared, f"https://localhost:{real.port}/large?{SECRET}", tmp_path, "-o", "/dev/null", "-w", "%{size_download}")
    assert got.stdout == str(LARGE).encode()
    assert shared.memory - memory < 24 * MIB
    assert shared.blobs == blobs
    assert shared.archive("/large").status in (403, 404)


def test_nothing_is_logged(start_mirror: StartMirror, real: Real) -> None:
    """Not even the log of requests has the path of one that was passed through, whole or not."""
    mirror = start_mirror(origins=origins(real), upstreams={}).restart("--access-log", "--log-level", "debug")
    with secured(mirror, "localhost", real.port) as wire:
        wire.send(to(real, f"/{SECRET}?{SECRET}") + to(real, "/sets/logged.bin"))
        assert [wire.answer()[0] for _ in range(2)] == [200, 200]
    with secured(mirror, "localhost", real.port) as wire:
        wire.send(to(real, f"/{SECRET}", "Transfer-Encoding: chunked", method="POST") + b"1\r\nx\r\n")
        until(lambda: mirror.log.count("Relayed a request") == 2)
        wire.send(b"no chunk\r\n")
        assert wire.head()[0] == 400
    assert "/sets/logged.bin" in mirror.log
    assert SECRET not in mirror.log
    assert f"localhost:{real.port}" in mirror.log


@_needs_proc
def test_nothing_is_logged_by_a_worker(start_mirror: StartMirror, real: Real) -> None:
    """Nor does another process, which does not know where a request goes, log what it refuses in the middle of its body."""
    mirror = start_mirror(origins=origins(real), upstreams={}, workers=2).restart("--access-log")
    context = trusting(mirror)
    with at(mirror, worker=True) as wire:
        wire.send(f"CONNECT localhost:{real.port} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert wire.head()[0] == 200
        wire.socket = context.wrap_socket(wire.socket, server_hostname="localhost")
        wire.send(to(real, f"/{SECRET}", "Transfer-Encoding: chunked", method="POST") + b"1\r\nx\r\n")
        until(lambda: mirror.status["doors"]["relayed"] == 1)
        wire.send(b"no chunk\r\n")
        assert wire.head()[0] == 400
    assert SECRET not in mirror.log


def test_an_answer_that_breaks_off(real: Real, wire: Wire) -> None:
    """When the host breaks off, the client sees an error, not an end."""
    wire.send(to(real, "/short"))
    assert wire.head()[0] == 200
    with pytest.raises(ssl.SSLError):
        wire.body(1_000_000)


def test_a_client_that_leaves(real: Real, wire: Wire) -> None:
    """When the client leaves, the mirror leaves the host."""
    wire.send(to(real, "/endless"))
    assert wire.head()[0] == 200
    heard = real.heard[-1]
    wire.socket.close()
    assert heard.gone.wait(PATIENCE)


def test_a_host_that_does_not_answer(start_mirror: StartMirror, real: Real) -> None:
    """A host that cannot be reached is a 504."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    mirror = start_mirror(origins=[{"url": f"http://localhost:{port}", "paths": ["/sets/"], "allow_private": True}], upstreams={})
    with secured(mirror, "localhost", port) as wire:
        wire.send(asked("/x", host=f"localhost:{port}"))
        assert wire.answer()[0] == 504


def test_a_private_address(start_mirror: StartMirror) -> None:
    """A host whose address is private is refused unless the origin allows it."""
    mirror = start_mirror(origins=[{"url": "https://localhost", "paths": ["/sets/"]}], upstreams={})
    with secured(mirror, "localhost") as wire:
        wire.send(asked("/x", host="localhost"))
        status, body = wire.answer()
    assert status == 403
    assert "allow_private" in body.decode()


def test_passthrough_can_be_turned_off(start_mirror: StartMirror, real: Real) -> None:
    """With `passthrough = false` there is nothing but archives; offline, and outside of a CONNECT, likewise."""
    before = len(real.heard)
    mirror = start_mirror(origins=origins(real, passthrough=False), upstreams={})
    with secured(mirror, "localhost", real.port) as wire:
        wire.send(to(real, "/x") + to(real, "/x", "Content-Length: 0", method="POST"))
        assert [wire.answer()[0] for _ in range(2)] == [403, 403]
    offline = start_mirror(origins=origins(real), upstreams={}, offline=True)
    with secured(offline, "localhost", real.port) as wire:
        wire.send(to(real, "/x"))
        assert wire.answer()[0] == 504
    with Wire(offline) as plain:
        plain.send(raw_request(f"http://localhost:{real.port}/x"))
        assert plain.answer()[0] == 403
    assert len(real.heard) == before


def test_what_a_rule_never_keeps_is_not_wanted(start_mirror: StartMirror) -> None:
    """Offline it is refused, and is not on the wanted list: nobody could bring it."""
    rules = [{"match": "/api/**", "store": False}]
    mirror = start_mirror(origins=[{"url": URL, "paths": ["/api/"], "rules": rules}], offline=True)
    assert mirror.get(f"/{HOST}/api/whoami").status == 504
    assert json.loads(mirror.get("/status/wanted").body)["wanted"] == []
