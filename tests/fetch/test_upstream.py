"""How the mirror asks its upstreams."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.conftest import StartMirror
from tests.fetch.asking import asking
from tests.origin import Origin, body
from tests.serving import HOST, Mirror, mirroring

DATA = body(1000)
PLAIN = "plain.example.org"


@pytest.fixture(scope="module")
def shared(start_shared_mirror: StartMirror) -> Mirror:
    """A mirror with the usual settings."""
    return start_shared_mirror()


def test_only_fields_of_our_own_go_upstream(shared: Mirror, shared_origin: Origin) -> None:
    """The origin sees the mirror's own fields, and none that identifies a client."""
    shared_origin.add("/sets/own.bin", DATA)
    secrets = {"Cookie": "a=b", "Authorization": "Bearer x", "X-Api-Key": "y", "User-Agent": "client/1"}
    shared.get(f"/{HOST}/sets/own.bin", fields=secrets | {"Accept-Encoding": "br", "Accept": "text/html"})
    (request,) = shared_origin.gets("/sets/own.bin")
    names = {name for name, _ in request.headers}
    assert names == {"host", "accept", "accept-encoding", "user-agent", "via", "connection"}
    assert (request.header("accept"), request.header("accept-encoding")) == ("*/*", "identity")
    assert (request.header("user-agent") or "").startswith("dataset-mirror/")
    assert (request.header("via") or "").startswith("1.1 dataset-mirror-")


def test_cookies_of_an_origin_stay_there(shared: Mirror, shared_origin: Origin) -> None:
    """A cookie that comes with one archive does not go with the request for the next."""
    for name in ("first", "second"):
        shared_origin.add(f"/sets/cookie-{name}.bin", DATA, headers={"Set-Cookie": "id=1; Path=/"})
        shared.archive(f"/sets/cookie-{name}.bin")
    assert shared_origin.gets("/sets/cookie-second.bin")[0].header("cookie") is None


async def test_connections_of_former_configurations(origin: Origin) -> None:
    """However often the configuration is read again, no connection is left of before but that which brings something."""
    origin.add("/sets/a.bin", DATA)
    origin.add("/sets/slow.bin", body(300_000), stall_after=100_000)
    async with asking(origin.url) as ours:
        reply = await ours.upstream.ask(*ours.archive("/sets/slow.bin"))
        ours.take_up()
        for _ in range(5):
            assert await ours.read("/sets/a.bin") == DATA
            ours.take_up()
            await ours.upstream.leave_former()
        await asyncio.to_thread(origin.wait_for, lambda: origin.open_connections == 1)
        await reply.close()
        ours.take_up()
        await ours.upstream.leave_former()
        await asyncio.to_thread(origin.wait_for, lambda: origin.open_connections == 0)


def test_our_own_via_is_a_loop(shared: Mirror, shared_origin: Origin) -> None:
    """A request that has been through this mirror already gets 508."""
    shared_origin.add("/sets/via.bin", DATA)
    shared.archive("/sets/via.bin")
    via = shared_origin.gets("/sets/via.bin")[0].header("via") or ""
    assert shared.archive("/sets/via.bin", via=f"1.0 other, {via}").problem["status"] == 508
    assert shared.archive("/sets/via.bin", via="1.0 other, 1.1 dataset-mirror-0000").status == 200


def test_a_mirror_that_is_its_own_upstream(origin: Origin, tmp_path: Path) -> None:
    """A mirror whose upstream is itself answers 508 instead of asking itself for ever."""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    mirror = mirroring(origin, tmp_path / "data", upstreams={HOST: [f"http://127.0.0.1:{port}/{HOST}"]})
    mirror.start("--port", str(port))
    try:
        assert mirror.archive("/sets/loop.bin").problem["status"] == 508
    finally:
        mirror.close()


def test_host_in_upstreams(start_mirror: StartMirror, origin: Origin) -> None:
    """`{host}` in an upstream's URL stands for the origin's host."""
    origin.add(f"/mirrors/{HOST}/sets/a.bin", DATA)
    mirror = start_mirror(upstreams={HOST: [origin.url + "/mirrors/{host}"]})
    assert mirror.archive("/sets/a.bin").body == DATA


def test_proxy_and_no_proxy(start_mirror: StartMirror, origin: Origin) -> None:
    """Origins are asked through upstream_proxy, except those that no_proxy names."""
    with Origin() as proxy:
        proxy.add(f"http://{PLAIN}/sets/a.bin", DATA)
        origin.add("/sets/b.bin", DATA)
        direct = {"url": origin.url, "paths": ["/sets/"], "allow_private": True}
        mirror = start_mirror(
            origins=[{"url": f"http://{PLAIN}", "paths": ["/sets/"]}, direct],
            upstreams={},
            upstream_proxy=proxy.url,
            no_proxy=["127.0.0.1"],
        )
        assert mirror.get(f"/{PLAIN}/sets/a.bin").body == DATA
        assert mirror.get(f"/127.0.0.1:{origin.port}/sets/b.bin").body == DATA
        assert [request.target for request in proxy.requests] == [f"http://{PLAIN}/sets/a.bin"]
        assert [request.target for request in origin.requests] == ["/sets/b.bin"]


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(DATA)))
        self.end_headers()
        self.wfile.write(DATA)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A file with a key and its own certificate for 127.0.0.1."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    file = tmp_path / "own.pem"
    kind = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command = ["openssl", "req", *kind, "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(file), "-out", str(tmp_path / "ca.pem")]
    subprocess.run(command, check=True, capture_output=True)
    file.write_text(file.read_text() + (tmp_path / "ca.pem").read_text())
    return file


@pytest.fixture
def secure(certificate: Path) -> Iterator[str]:
    """The URL of an HTTPS origin with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with HTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_ca_file(start_mirror: StartMirror, secure: str, certificate: Path) -> None:
    """An origin whose certificate only ca_file knows is served."""
    trusting = start_mirror(upstreams={HOST: [secure]}, ca_file=str(certificate))
    assert trusting.archive("/sets/a.bin").body == DATA
