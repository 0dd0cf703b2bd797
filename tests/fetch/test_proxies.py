"""The way out through a proxy: in the clear, in TLS, TLS within TLS, and a proxy that refuses."""

from __future__ import annotations

import logging
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from dataset_mirror.errors import OriginUnreachable
from tests.fetch.asking import asking
from tests.origin import Origin, body
from tests.serving import HOST, URL

DATA = body(3_000_000)
ANSWER = b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: %d\r\n\r\n' % len(DATA)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate for the host and for the proxy."""
    file = tmp_path_factory.mktemp("tls") / "own.pem"
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=own"]
    names = ["-addext", f"subjectAltName=DNS:{HOST},IP:127.0.0.1"]
    subprocess.run(["openssl", "req", *kind, *names, "-keyout", f"{file}.key", "-out", file], check=True, capture_output=True)
    file.write_text(file.read_text() + Path(f"{file}.key").read_text())
    return file


class Proxy:
    """A proxy that plays the host itself behind CONNECT, or says no with its `status`."""

    def __init__(self, certificate: Path, ends: ExitStack) -> None:
        self.status = b"200 OK"
        self.asked: list[bytes] = []
        self.tls = False
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._listening = ends.enter_context(socket.create_server(("127.0.0.1", 0)))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://user:p%40ss@127.0.0.1:{self._listening.getsockname()[1]}"

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, plain: socket.socket) -> None:
        with plain, suppress(OSError):
            outer = _Tls(plain, self._context) if self.tls else plain
            self.asked.append(outer.recv(65536))
            outer.sendall(b"HTTP/1.1 " + self.status + b"\r\nContent-Length: 0\r\n\r\n")
            if self.status.startswith(b"200"):
                inner = _Tls(outer, self._context)
                while inner.recv(65536):
                    inner.sendall(ANSWER + DATA)


class _Tls:
    """The server's side of TLS over anything that sends and receives."""

    def __init__(self, below: socket.socket | _Tls, context: ssl.SSLContext) -> None:
        self._below, self._in, self._out = below, ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._shake()

    def _shake(self) -> None:
        while True:
            try:
                return self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._take()
            finally:
                self._below.sendall(self._out.read())

    def _take(self) -> None:
        self._below.sendall(self._out.read())
        if not (data := self._below.recv(65536)):
            raise OSError("closed")
        self._in.write(data)

    def recv(self, size: int) -> bytes:
        while True:
            try:
                return self._tls.read(size)
            except ssl.SSLWantReadError:
                self._take()

    def sendall(self, data: bytes) -> None:
        if data:
            self._tls.write(data)
            self._below.sendall(self._out.read())


@pytest.fixture
def proxy(certificate: Path) -> Iterator[Proxy]:
    with ExitStack() as ends:
        yield Proxy(certificate, ends)


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
async def test_an_https_origin_through_a_proxy(proxy: Proxy, certificate: Path, tls: bool) -> None:
    """CONNECT, and TLS within it (within that of the proxy); the connection serves again."""
    proxy.tls = tls
    async with asking(upstreams={}, upstream_proxy=proxy.url, ca_file=str(certificate)) as ours:
        assert await ours.read() == DATA
        assert await ours.read("/sets/b.bin") == DATA
    (asked,) = proxy.asked
    assert asked.startswith(f"CONNECT {HOST}:443 HTTP/1.1\r\n".encode())
    assert b"proxy-authorization: basic dxnlcjpwqhnz" in asked.lower()


async def test_a_proxy_that_wants_a_password(proxy: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    """A proxy's 407 to CONNECT is told as what it is, once, with the setting that helps; it is not the origin's answer."""
    proxy.status = b"407 Proxy Authentication Required"
    async with asking(upstreams={}, upstream_proxy=proxy.url) as ours:
        error = await ours.refusal()
    assert (type(error), error.status) == (OriginUnreachable, 504)
    assert "407" in error.detail
    assert "`upstream_proxy`" in error.hint
    assert len(proxy.asked) == 1
    (logged,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert "upstream_proxy" in logged
    assert "p%40ss" not in logged + error.detail + error.hint


async def test_a_proxy_that_wants_a_password_for_http() -> None:
    """The same for an origin in the clear, where the proxy's answer stands where the origin's would."""
    with Origin() as proxy:
        proxy.add(f"http://{HOST}/sets/a.bin", b"", status=407, headers={"Proxy-Authenticate": "Basic"})
        plain = {"url": URL.replace("https", "http"), "paths": ["/sets/"]}
        async with asking(origins=[plain], upstreams={}, upstream_proxy=proxy.url) as ours:
            error = await ours.refusal()
        assert len(proxy.requests) == 1
    assert (type(error), error.status) == (OriginUnreachable, 504)
    assert "`upstream_proxy`" in error.hint


async def test_an_upstreams_own_407(origin: Origin) -> None:
    """Without a proxy on the way a 407 is an answer that makes no sense: 502, and nobody is sent to look at the proxy."""
    origin.add("/sets/a.bin", b"", status=407)
    async with asking(origin.url) as ours:
        assert (await ours.refusal()).status == 502


async def test_a_proxy_that_forbids(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any other refusal of CONNECT names the proxy and its status."""
    monkeypatch.setattr("dataset_mirror.fetch.opening.TRIES", 1)
    proxy.status = b"403 Forbidden"
    async with asking(upstreams={}, upstream_proxy=proxy.url) as ours:
        error = await ours.refusal()
    assert error.status == 504
    assert "the proxy answers 403" in error.detail
