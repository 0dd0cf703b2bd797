"""Clients on bare sockets, many in one thread: they cost little, compare every byte, and know when each came."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from urllib.parse import urlsplit

CHUNK = 256 << 10
SILENCE = 60.0
"""Seconds without a byte for anybody, after which the benchmark ends."""
_SINK = bytearray(CHUNK)


@dataclass(frozen=True)
class Arrival:
    """Seconds from the start until a client had the first byte of the body, and until it had the last."""

    first: float
    last: float


def download(url: str, wanted: bytes | int, clients: int = 1, fields: Mapping[str, str] | None = None) -> list[Arrival]:
    """Lets clients ask for the URL at once, each on a new connection.

    `wanted` is the body, with which each compares what it gets, or only its length: then what it gets is thrown away unseen.
    """
    start = perf_counter()
    with selectors.DefaultSelector() as selector:
        begun = [_Client(url, wanted, fields or {}) for _ in range(clients)]
        for client in begun:
            selector.register(client.socket, selectors.EVENT_READ, client)
        while selector.get_map():
            ready = selector.select(SILENCE)
            if not ready:
                raise SystemExit(f"{url} has been silent for {SILENCE:.0f} s.")
            for key, _ in ready:
                if key.data.read():
                    selector.unregister(key.fileobj)
    return [Arrival(client.first - start, client.last - start) for client in begun]


class _Client:
    """One download. Whatever is wrong with it ends the benchmark."""

    def __init__(self, url: str, wanted: bytes | int, fields: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        self.first = self.last = 0.0
        self._url, self._wanted, self._head, self._at = url, wanted, b"", 0
        self._length = wanted if isinstance(wanted, int) else len(wanted)
        lines = [f"GET {parts.path} HTTP/1.1", f"Host: {parts.netloc}", *(f"{name}: {value}" for name, value in fields.items())]
        self.socket = socket.create_connection((parts.hostname or "", parts.port or 80))
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.socket.setblocking(False)

    def read(self) -> bool:
        """Takes what is there; whether that was the end."""
        came = self._count() if self.first and isinstance(self._wanted, int) else self._compare(self.socket.recv(CHUNK))
        self._at += came
        if came and not self.first:
            self.first = perf_counter()
        if self._at < self._length:
            return False
        self.last = perf_counter()
        self.socket.close()
        return True

    def _count(self) -> int:
        count = self.socket.recv_into(_SINK, CHUNK, socket.MSG_TRUNC)
        if not count:
            self._end("it was cut off")
        return count

    def _compare(self, data: bytes) -> int:
        if not data:
            self._end("it was cut off")
        if not self.first:
            data = self._body(data)
        if self._at + len(data) > self._length or (isinstance(self._wanted, bytes) and not self._wanted.startswith(data, self._at)):
            self._end("these are other bytes")
        return len(data)

    def _body(self, data: bytes) -> bytes:
        self._head += data
        head, end, body = self._head.partition(b"\r\n\r\n")
        if end and not (head.startswith(b"HTTP/1.1 20") and f"content-length: {self._length}".encode() in head.lower()):
            self._end(head.decode("latin-1"))
        return body if end else b""

    def _end(self, why: str) -> None:
        raise SystemExit(f"{self._url} did not serve well, at byte {self._at}: {why}")
