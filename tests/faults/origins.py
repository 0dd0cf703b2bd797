"""Origins that fail: those of tests.origin on command, and one that does not speak HTTP as it should."""

from __future__ import annotations

import contextlib
import gzip
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from tests.faults.truth import Archive
from tests.origin import Origin

Made = Callable[[random.Random, Archive], dict[str, Any]]
ROGUE_HOST = "rogue.example.org"


def _within(key: str) -> Made:
    return lambda random_, archive: {key: random_.randrange(max(1, archive.size))}


def _longer(random_: random.Random, archive: Archive) -> dict[str, Any]:
    return {"lie_length": archive.size + random_.randrange(1, 5000)}


def _status(random_: random.Random, archive: Archive) -> dict[str, Any]:
    return {"status": random_.choice([500, 503, 429, 403, 401, 202]), "retry_after": random_.choice([None, 0, 1, 100])}


FAULTS: dict[str, Made] = {
    "cut": _within("cut_after"),
    "reset": _within("reset_after"),
    "stall": _within("stall_after"),
    "longer announced": _longer,
    "HTML": lambda _, __: {"html": True},
    "gzip although not asked": lambda _, __: {"gzip": "encode"},
    "a label of gzip": lambda _, __: {"content_encoding": "gzip"},
    "a status": _status,
    "redirect elsewhere": lambda _, __: {"redirect": "http://elsewhere.example.org/x"},
    "redirect to itself": lambda _, archive: {"redirect": archive.path},
    "late": lambda random_, _: {"latency": random_.choice([0.2, 1.0, 3.0])},
    "slow": lambda _, archive: {"rate": max(2000, archive.size / 2)},
    "ETag per connection": lambda _, __: {"etag_per_connection": True},
    "no ranges": lambda _, __: {"ranges": False},
    "chunked": lambda _, __: {"chunked": True},
    "ends by close": lambda _, __: {"close_delimited": True},
    "chunked and cut": lambda random_, archive: {"chunked": True, "cut_after": random_.randrange(max(1, archive.size))},
}
"""What any archive may meet."""
PROVEN: dict[str, Made] = {"a flipped bit": _within("flip_at"), "shorter announced": _within("lie_length")}
"""What only a digest can tell."""
_NATURE = {"times", "latency", "cut_after", "reset_after", "stall_after", "flip_at", "status", "retry_after", "html", "gzip"}
_NATURE |= {"content_encoding", "redirect", "lie_length", "rate", "ranges", "etag_per_connection", "chunked", "close_delimited"}
_GOOD: dict[str, Any] = (
    dict.fromkeys(_NATURE)
    | {"latency": 0.0, "html": False, "ranges": True}
    | dict.fromkeys(("etag_per_connection", "chunked", "close_delimited"), False)
)


def put(origin: Origin, archive: Archive, **faults: Any) -> None:
    """Lets the origin have the current version of an archive, with these faults."""
    version = archive.current
    behaviour = {**_GOOD, **archive.nature, **faults}
    origin.add(archive.path, version.content, etag=version.etag, last_modified=version.last_modified, **behaviour)


class Rogue:
    """A server whose answers are no good HTTP; the last part of a path says how."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listening.getsockname()[1]
        self._over = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._over.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with closing(connection), contextlib.suppress(OSError):
            connection.settimeout(10)
            head = b""
            while b"\r\n\r\n" not in head and (data := connection.recv(1 << 16)):
                head += data
            name = head.split(b" ")[1].decode().rpartition("/")[2] if b" " in head else ""
            ROGUES.get(name.removesuffix(".bin"), _garbage)(connection)

    @property
    def archives(self) -> list[Archive]:
        """What it offers: nothing of it is ever right."""
        return [Archive(f"/r/{name}.bin", [], host=ROGUE_HOST) for name in ROGUES]


def _garbage(connection: socket.socket) -> None:
    connection.sendall(random.randbytes(500))


def _interim(connection: socket.socket) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        time.sleep(0.01)


def _endless_head(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for _ in range(2000):
        connection.sendall(b"X-Field: " + b"x" * 1000 + b"\r\n")


def _drip(connection: socket.socket) -> None:
    for octet in b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n":
        connection.sendall(bytes([octet]))
        time.sleep(0.3)


def _bomb(connection: socket.socket) -> None:
    packed = gzip.compress(bytes(200_000_000), 6)
    connection.sendall(b'HTTP/1.1 200 OK\r\nETag: "b"\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n' % len(packed) + packed)


def _said(*parts: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(b"".join(parts))


_OK = b'HTTP/1.1 200 OK\r\nETag: "r"\r\n'
ROGUES: dict[str, Callable[[socket.socket], None]] = {
    "garbage": _garbage,
    "interim": _interim,
    "endless-head": _endless_head,
    "drip": _drip,
    "bomb": _bomb,
    "nothing": _said(),
    "two-lengths": _said(_OK, b"Content-Length: 5\r\nContent-Length: 10\r\n\r\n12345"),
    "bad-chunk": _said(_OK, b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\nzz\r\n"),
    "cut-chunk": _said(_OK, b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n"),
    "negative-length": _said(_OK, b"Content-Length: -5\r\n\r\n12345"),
    "no-length": _said(_OK, b"Connection: close\r\n\r\n12345"),
    "part": _said(b'HTTP/1.1 206 Partial Content\r\nETag: "r"\r\nContent-Range: bytes 5-9/20\r\nContent-Length: 5\r\n\r\n12345'),
    "both-framings": _said(_OK, b"Content-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n"),
    "not-modified": _said(b'HTTP/1.1 304 Not Modified\r\nETag: "r"\r\n\r\n'),
    "status-999": _said(b"HTTP/1.1 999 Huh\r\nContent-Length: 0\r\n\r\n"),
    "status-0": _said(b"HTTP/1.1 000 Huh\r\nContent-Length: 0\r\n\r\n"),
}


@contextmanager
def rogue() -> Iterator[Rogue]:
    """One that runs until the block ends."""
    running = Rogue()
    try:
        yield running
    finally:
        running.close()
