"""How answers are written: the one function that makes heads, and how a body is delimited (RFC 9112 6, 7). No I/O here."""

import re
from http import HTTPStatus

from dataset_mirror.errors import MirrorError
from dataset_mirror.serve.asgi import RawFields
from dataset_mirror.serve.head import problem

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_NO_BODY = (204, 304)
_NOT_A_NAME = re.compile(rb"[^!#$%&'*+.^_`|~0-9A-Za-z-]")
_NOT_A_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_CLOSE = (b"connection", b"close")


def head(status: int, fields: RawFields, words: str | None = None) -> bytes:
    """An answer's head; `words` stand in its first line. RuntimeError if a field would break out of its line."""
    lines = [f"HTTP/1.1 {status} {_PHRASES.get(status, '') if words is None else words}".encode("ascii")]
    for name, value in fields:
        if not name or _NOT_A_NAME.search(name) or _NOT_A_VALUE.search(value):
            raise RuntimeError(f"{name!r} is not a field of HTTP, or its value has a control character.")
        lines.append(name.lower() + b": " + value)
    return b"\r\n".join(lines) + b"\r\n\r\n"


def refusal(error: MirrorError, own_fields: RawFields = [], *, in_first_line: bool = False, is_head: bool = False) -> bytes:  # noqa: B006
    """A whole answer that refuses a request and announces the close; some clients show nothing but the first line."""
    status, fields, body = problem(error)
    words = "".join(character for character in error.detail if " " <= character <= "~")[:200] if in_first_line else None
    return head(status, [*own_fields, *fields, _CLOSE], words) + (b"" if is_head else body)


class Framing:
    """One answer's body: with its length, in chunks, or up to the close. It must be neither longer nor shorter than announced."""

    def __init__(self, method: str, version: str, *, keep_alive: bool) -> None:
        self._method, self._version = method, version
        self.closes = not keep_alive or version == "1.0"
        """Whether the connection closes behind the answer."""
        self.left: int | None = None
        """Bytes of the announced length that are still to come; None without one."""
        self.has_body = True
        self._is_chunked = False

    def begin(self, status: int, fields: RawFields, own_fields: RawFields) -> bytes:
        """The head, with the fields that the framing needs."""
        added: RawFields = []
        says_close = False
        for name, value in fields:
            lower = name.lower()
            if lower == b"content-length" and not self._is_chunked:
                self.left = int(value)
            elif lower == b"transfer-encoding" and value.lower() == b"chunked":
                self._is_chunked, self.left = True, None
            elif lower == b"connection" and b"close" in value.lower().replace(b" ", b"").split(b","):
                self.closes = says_close = True
        self.has_body = self._method != "HEAD" and status not in _NO_BODY
        if self.has_body and self.left is None and not self._is_chunked:
            if self._version == "1.0":  # it does not know chunks
                self.closes = True
            else:
                self._is_chunked = True
                added.append((b"transfer-encoding", b"chunked"))
        if self.closes and not says_close:
            added.append(_CLOSE)
        return head(status, [*own_fields, *fields, *added])

    def part(self, data: bytes) -> bytes:
        """A part of the body as it is written."""
        if not self.has_body or not data:
            return b""
        self._account(len(data))
        return b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data

    def file(self, count: int) -> bool:
        """Whether so many bytes of a file are to be sent as they are; RuntimeError without an announced length."""
        if not self.has_body:
            return False
        if self.left is None:
            raise RuntimeError("Zero-copy bodies need a Content-Length.")
        self._account(count)
        return True

    def end(self) -> bytes:
        """What is written behind the body."""
        if not self.has_body:
            return b""
        if self.left:
            raise RuntimeError("The body is shorter than its Content-Length.")
        return b"0\r\n\r\n" if self._is_chunked else b""

    def _account(self, count: int) -> None:
        if self.left is None:
            return
        if count > self.left:
            raise RuntimeError("The body is longer than its Content-Length.")
        self.left -= count
