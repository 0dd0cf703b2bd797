"""A real HTTP/1.1 server on the loopback that answers by a function, and remembers what it was asked and what it sent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qsl, unquote, urlsplit

Fields = dict[str, str]


@dataclass(frozen=True)
class Asked:
    """A request as it came; names of fields in lower case."""

    method: str
    target: str
    fields: Fields
    body: bytes = b""

    @property
    def path(self) -> str:
        """Decoded, without the query; `%2F` is a slash now."""
        return unquote(urlsplit(self.target).path)

    @property
    def raw_path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def token(self) -> str | None:
        """The bearer token."""
        scheme, _, token = self.fields.get("authorization", "").partition(" ")
        return token if scheme == "Bearer" else None


@dataclass(frozen=True)
class Said:
    """An answer. `whole`: the body may be asked for in ranges."""

    status: int
    fields: Fields = field(default_factory=dict)
    body: bytes = b""
    whole: bool = False

    def ranged(self, asked: Asked) -> Said:
        """The part that the request asks for: one range (RFC 9110 14), or nothing if it has the bytes (13.1.2)."""
        tag = self.fields.get("ETag")
        if tag and tag in asked.fields.get("if-none-match", ""):
            return Said(304, {"ETag": tag})
        wanted = asked.fields.get("range", "")
        if not self.whole or self.status != 200 or asked.method != "GET" or not wanted.startswith("bytes="):
            return self
        if asked.fields.get("if-range", tag) not in (tag, self.fields.get("Last-Modified")):
            return self
        return self._part(wanted.removeprefix("bytes="))

    def _part(self, wanted: str) -> Said:
        size = len(self.body)
        first, _, last = wanted.partition("-")
        start, end = (int(first), min(int(last or size), size - 1)) if first else (max(size - int(last), 0), size - 1)
        if start >= size or end < start:
            return Said(416, {"Content-Range": f"bytes */{size}"})
        return Said(206, {**self.fields, "Content-Range": f"bytes {start}-{end}/{size}"}, self.body[start : end + 1])


Answer = Callable[[Asked], Said]


class Server:
    """Answers until it is closed; may play dead. Everything that it remembers is in `asked` and `sent`."""

    def __init__(self, answer: Answer) -> None:
        self.asked: list[Asked] = []
        self.sent = 0
        """Bytes of bodies."""
        self.is_dead = False
        """Whether it breaks every connection off without a word."""
        self._answer = answer
        self._server = _Listener(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def forget(self) -> None:
        """From now on counts from zero."""
        self.asked.clear()
        self.sent = 0

    def count(self, method: str = "", ending: str = "") -> int:
        """How many requests came with that method, for paths that end so."""
        return sum(each.method.startswith(method) and each.path.endswith(ending) for each in self.asked)

    def answer(self, asked: Asked) -> Said:
        self.asked.append(asked)
        return self._answer(asked).ranged(asked)


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def __getattr__(self, name: str) -> Callable[[], None]:
            if name.startswith("do_"):  # whatever the method
                return self._answer
            raise AttributeError(name)

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if server.is_dead:
                self.close_connection = True
                return
            asked = Asked(self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            said = server.answer(asked)
            self.wfile.write(_head(said))
            if self.command != "HEAD":
                self.wfile.write(said.body)
                server.sent += len(said.body)

        def log_message(self, *_: object) -> None: ...

    return Handler


def _head(said: Said) -> bytes:
    fields: Iterable[tuple[str, str]] = said.fields.items()
    if said.status != 304 and "Content-Length" not in said.fields:
        fields = [*fields, ("Content-Length", str(len(said.body)))]
    lines = [f"HTTP/1.1 {said.status} {HTTPStatus(said.status).phrase}", *(f"{name}: {value}" for name, value in fields)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
