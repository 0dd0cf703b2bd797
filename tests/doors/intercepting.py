"""Clients that come in by CONNECT, byte by byte and as people use them."""

from __future__ import annotations

import socket
import ssl
import subprocess
from pathlib import Path

from tests.serving import HOST, PATIENCE, Mirror
from tests.wire.test_protocol import Wire


def connected(mirror: Mirror, target: str = f"{HOST}:443", version: str = "1.1", extra: bytes = b"") -> Wire:
    """A connection on which CONNECT was sent; its answer is still to be read."""
    wire = Wire(mirror)
    host = f"Host: {target}\r\n" if version == "1.1" else ""
    wire.send(f"CONNECT {target} HTTP/{version}\r\n{host}\r\n".encode() + extra)
    return wire


def opened(mirror: Mirror, target: str = f"{HOST}:443") -> socket.socket:
    """The plain connection of a CONNECT that was granted."""
    wire = connected(mirror, target)
    assert wire.head()[0] == 200
    return wire.socket


def trusting(mirror: Mirror) -> ssl.SSLContext:
    """A client that trusts the mirror's authority, and nobody else."""
    context = ssl.create_default_context(cadata=mirror.get("/ca.pem").body.decode())
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def secured(mirror: Mirror, host: str = HOST, port: int = 443, context: ssl.SSLContext | None = None) -> Wire:
    """A connection in TLS inside a CONNECT, by a client that trusts the mirror's authority or what else it is said to."""
    wire = connected(mirror, f"{host}:{port}")
    assert wire.head()[0] == 200
    wire.socket = (context or trusting(mirror)).wrap_socket(wire.socket, server_hostname=host)
    return wire


def asked(path: str, *fields: str, host: str = HOST, method: str = "GET") -> bytes:
    """A request as clients send it inside a CONNECT."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}", *fields, "", ""]).encode()


def curl(mirror: Mirror, url: str, folder: Path, *options: str) -> subprocess.CompletedProcess[bytes]:
    """curl with the mirror as its proxy for https."""
    trusted = folder / "trusted.pem"
    trusted.write_bytes(mirror.get("/ca.pem").body)
    command = ["curl", "-sS", "--noproxy", "", "--proxy", mirror.url, "--cacert", str(trusted), *options, url]
    return subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)


def open_files(mirror: Mirror) -> int:
    """How many descriptors the mirror's process has."""
    return sum(1 for _ in Path(f"/proc/{mirror.pid}/fd").iterdir())
