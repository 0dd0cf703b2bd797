"""A host far away, at a public address of a network of its own: a plugin of the run that tests/doors/test_tunnel.py starts."""

from __future__ import annotations

import contextlib
import io
import socket
import ssl
import struct
import subprocess
import threading
import zipfile
from pathlib import Path

import pytest

from tests.origin import MIB, body

FAR, PUBLIC = "193.0.0.1", "public.example.com"
"""Its address and its name."""
CONTENT = body(3 * MIB)
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def wheel() -> bytes:
    """A package with nothing in it."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as file:
        file.writestr("tiny.py", "")
        file.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        file.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr("tiny-1.0.dist-info/RECORD", "")
    return written.getvalue()


PAGES = {
    "/repository.git/info/refs": ("text/plain", f"{COMMIT}\trefs/heads/main\n".encode()),
    "/simple/tiny/": ("text/html", b'<!DOCTYPE html><a href="/tiny-1.0-py3-none-any.whl">tiny-1.0-py3-none-any.whl</a>'),
    "/tiny-1.0-py3-none-any.whl": ("application/zip", wheel()),
}
"""What the far host has for git and pip; the rest is CONTENT."""
_RESET = struct.pack("ii", 1, 0)


class Far:
    """A server at port 443 of a public address. What a client says first decides what it does."""

    def __init__(self, certificate: Path) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)
        self.ended = threading.Event()
        """Set when a client of `echo` has closed its side."""
        self.broken = threading.Event()
        """Set when a client of `flood` is gone."""
        self._listening = socket.create_server((FAR, 443))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listening.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        first = connection.recv(1, socket.MSG_PEEK)
        kind = {b"\x16": self._tls, b"e": self._echo, b"f": self._flood, b"r": self._reset}.get(first)
        with connection, contextlib.suppress(OSError):
            if kind:
                kind(connection)

    def _tls(self, plain: socket.socket) -> None:
        with self.context.wrap_socket(plain, server_side=True) as connection:
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(65536)
            kind, content = PAGES.get(head.split(b" ")[1].partition(b"?")[0].decode(), ("application/octet-stream", CONTENT))
            fields = f"Connection: close\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n\r\n"
            connection.sendall(b"HTTP/1.1 200 OK\r\n" + fields.encode() + content)

    def _echo(self, connection: socket.socket) -> None:
        while data := connection.recv(MIB):
            connection.sendall(data)
        self.ended.set()

    def _flood(self, connection: socket.socket) -> None:
        try:
            while True:
                connection.sendall(bytes(MIB))
        except OSError:
            self.broken.set()
            raise

    def _reset(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def self_signed(file: Path) -> Path:
    """Writes a certificate for PUBLIC, and its key, into a file."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=far"]
    subprocess.run([*command, "-addext", f"subjectAltName=DNS:{PUBLIC}", "-keyout", f"{file}.key", "-out", file], check=True)
    file.write_text(file.read_text() + Path(f"{file}.key").read_text())
    return file


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("far") / "far.pem")


@pytest.fixture(scope="session")
def far(certificate: Path) -> Far:
    return Far(certificate)
