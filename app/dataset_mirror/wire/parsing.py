"""What a client sends, as events: a request's head, parts of its body, its end; or a refusal, before much of it is kept.

httptools finds the boundaries and refuses what is malformed (RFC 9112); it bounds nothing, so that is done here.
"""

import re
from dataclasses import dataclass
from typing import Protocol

import httptools

from dataset_mirror.errors import BadRequest, HeadTooLarge, MirrorError, NotImplementedHere, TargetTooLong, VersionNotSupported
from dataset_mirror.origins.identity import MAX_TARGET
from dataset_mirror.serve.asgi import RawFields

MAX_HEAD = 64 * 1024
"""Bytes of a request's fields together, of its trailers, and of anything that brings no event."""
MAX_FIELDS = 200
_METHOD = re.compile(rb"(?:\r\n)*([A-Z][A-Z-]{0,30}) ")


@dataclass(slots=True)
class Head:
    """A request's head as it came, its field names in lower case; `keep_alive` as its client wants it."""

    method: str
    target: bytes
    version: str
    fields: RawFields
    keep_alive: bool


class Events(Protocol):
    """Who hears of what arrives. A MirrorError of `head` refuses the request."""

    def head(self, head: Head) -> None: ...
    def part(self, data: bytes) -> None: ...
    def end(self) -> None: ...


class Parser:
    """The requests of one connection. After a refusal it must not be fed any more."""

    is_between = True
    """Whether nothing of a next request has come."""
    in_body = False
    _quiet = 0
    """Bytes that came since the last event."""
    _heads = 0
    """Heads in what is being read."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._parser = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> bytes | None:
        """Reads on; returns what stands behind a CONNECT, if one came. MirrorError if the request is refused."""
        begins = self.is_between
        while True:
            self._quiet += len(data)
            self._heads = 0
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
                if self._parser.get_method() == b"CONNECT":
                    return data
                if data:  # an upgrade is not taken up: it goes on in HTTP/1.1
                    continue
            except httptools.HttpParserCallbackError as error:
                raise error.__context__ or error from None
            except httptools.HttpParserError as error:
                raise refusal_of(error, data if begins and not self._heads else b"") from None
            if self._quiet > MAX_HEAD:
                raise too_large()
            return None

    # What httptools calls

    def on_message_begin(self) -> None:
        self.is_between = False
        self._quiet = self._size = 0
        self._target = b""
        self._fields: RawFields = []
        self._count = 0

    def on_url(self, part: bytes) -> None:
        self._target += part
        if len(self._target) > MAX_TARGET:
            raise TargetTooLong(f"The target is longer than {MAX_TARGET} bytes.", "Check the URL.")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Of trailers, too, which are dropped (RFC 9110 6.5.1 allows it)."""
        self._quiet = 0
        self._size += len(name) + len(value) + 4
        self._count += 1
        if self._size > MAX_HEAD or self._count > MAX_FIELDS:
            raise too_large()
        if not self.in_body:
            self._fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        parser = self._parser
        self._heads += 1
        self.in_body = True
        self._quiet = self._size = self._count = 0
        head = Head(parser.get_method().decode("ascii"), self._target, parser.get_http_version(), self._fields, parser.should_keep_alive())
        self._events.head(head)

    def on_chunk_header(self) -> None:
        self._quiet = 0

    def on_body(self, data: bytes) -> None:
        self._quiet = 0
        self._events.part(data)

    def on_message_complete(self) -> None:
        self._quiet = 0
        self.is_between, self.in_body = True, False
        self._events.end()


def too_large() -> HeadTooLarge:
    """More fields, trailers or extensions of a chunk than are read."""
    return HeadTooLarge(f"The request has more than {MAX_FIELDS} fields, or {MAX_HEAD} bytes of them.", "Send fewer or shorter fields.")


def refusal_of(error: httptools.HttpParserError, line: bytes) -> MirrorError:
    """What is answered to bytes that are no request; httptools' own words tell what is wrong with them.

    `line`: what its request line begins with, if that is known.
    """
    reason = str(error)
    if "HTTP version" in reason or "PRI" in reason:
        return VersionNotSupported("The request is in a version of HTTP that is not supported here.", "Use HTTP/1.1.")
    if isinstance(error, httptools.HttpParserInvalidMethodError) and (method := _METHOD.match(line)):
        return NotImplementedHere(f"The method {method[1].decode()} is not known here.", "Use GET or HEAD.")
    return BadRequest(f"The request is malformed: {reason[:1].lower()}{reason[1:].rstrip('.')}.", "Check the client (RFC 9112).")
