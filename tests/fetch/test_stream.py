"""Bytes that come over TLS: in large parts, and never for whole if they are not."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from dataset_mirror.fetch.reply import Broken
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.origins.model import Origin as Known
from tests.fetch.asking import PATH, asking
from tests.origin import MIB, body
from tests.serving import HOST, URL

DATA = body(8 * MIB)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(DATA)
Serve = Callable[[ssl.SSLSocket], None]
Serving = Callable[[Serve], str]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tls") / "own.pem"
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=own"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(["openssl", "req", *kind, *names, "-keyout", f"{file}.key", "-out", file], check=True, capture_output=True)
    file.write_text(file.read_text() + Path(f"{file}.key").read_text())
    return file


@pytest.fixture
def serving(certificate: Path) -> Iterator[Serving]:
    """Starts a server that does that with its first connection, once its request is there; its URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with ExitStack() as ends:

        def start(serve: Serve) -> str:
            listening = ends.enter_context(socket.create_server(("127.0.0.1", 0)))

            def talk() -> None:
                with suppress(OSError):
                    connection, _ = listening.accept()
                    with context.wrap_socket(connection, server_side=True) as secured:
                        secured.recv(65536)
                        serve(secured)

            threading.Thread(target=talk, daemon=True).start()
            return f"https://127.0.0.1:{listening.getsockname()[1]}"

        yield start


async def _parts(url: str, certificate: Path, **settings: float) -> list[bytes]:
    async with asking(url, ca_file=str(certificate), **settings) as ours:
        reply = await ours.upstream.ask(Known(url=URL, paths=("/sets/",)), ArchiveId(HOST, PATH))
        try:
            return [chunk async for chunk in reply.bytes()]
        finally:
            await reply.close()


async def test_records_come_in_large_parts(serving: Serving, certificate: Path) -> None:
    """All records that have arrived are one part: 8 MiB of 16 KiB records are far fewer than their number."""
    parts = await _parts(serving(lambda connection: connection.sendall(HEAD + DATA)), certificate)
    assert b"".join(parts) == DATA
    assert len(parts) < len(DATA) / (16 * 1024) / 3


@pytest.mark.parametrize("notified", [True, False], ids=["close_notify", "fin"])
async def test_a_cut_over_tls(serving: Serving, certificate: Path, notified: bool) -> None:
    """A connection that ends before the announced length is broken, whether TLS was ended with it or not."""

    def serve(connection: ssl.SSLSocket) -> None:
        connection.sendall(HEAD + DATA[:3_000_000])
        if notified:
            with suppress(OSError):
                connection.unwrap()

    with pytest.raises(Broken):
        await _parts(serving(serve), certificate)


async def test_silence_over_tls(serving: Serving, certificate: Path) -> None:
    """A server that says nothing more is left after the time that silence may last."""
    over = threading.Event()

    def serve(connection: ssl.SSLSocket) -> None:
        connection.sendall(HEAD + DATA[:3_000_000])
        over.wait(20)

    with pytest.raises(Broken, match="silent"):
        await _parts(serving(serve), certificate, idle_timeout=0.5)
    over.set()


async def test_damaged_records(serving: Serving, certificate: Path) -> None:
    """Bytes that are no record of this connection break it."""

    def serve(connection: ssl.SSLSocket) -> None:
        connection.sendall(HEAD + DATA[:3_000_000])
        with socket.socket(fileno=connection.detach()) as plain:
            plain.sendall(b"\x17\x03\x03\x40\x00" + bytes(0x4000))

    with pytest.raises(Broken):
        await _parts(serving(serve), certificate)


async def test_a_certificate_that_nobody_vouches_for(serving: Serving) -> None:
    """Without ca_file the server's own certificate is no one's: it is unreachable, and the refusal says why."""
    async with asking(serving(lambda connection: connection.sendall(HEAD + DATA))) as ours:
        with pytest.raises(Broken, match="CERTIFICATE_VERIFY_FAILED"):
            await ours.upstream.ask(Known(url=URL, paths=("/sets/",)), ArchiveId(HOST, PATH))
