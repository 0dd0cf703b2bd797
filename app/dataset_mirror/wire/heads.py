"""What a request's head means to answers that are made already, and when the same bytes mean the same again. No I/O here."""

import re
from dataclasses import dataclass

from dataset_mirror.wire.parsing import MAX_FIELDS, Head

_LONGEST = 2048
"""Bytes of a head that is remembered."""
_FIELD = rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+:[\t -~\x80-\xff]*\r\n"
_PLAIN = re.compile(rb"(?:GET|HEAD) [!-~]+ HTTP/1\.1\r\n(?:%b){1,%d}\r\n" % (_FIELD, MAX_FIELDS - 1))
"""One head and nothing behind it, each line a field: so a field more, between two lines, is a field more and changes no other."""
_RANGE = re.compile(rb"\r\n[Rr]ange: ?(bytes=[0-9, -]{1,80})(?=\r\n)")
_CONDITIONS = (b"range", b"if-range", b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since")
_OTHERS = frozenset((b"x-request-id", b"expect", b"upgrade", b"via", b"content-length", b"transfer-encoding"))
"""Fields that need the gateway."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """A GET or HEAD as far as it decides on its answer; `conditions` are the fields that select, with lower-case names."""

    is_head: bool
    target: bytes
    host: bytes
    conditions: dict[str, str]
    range: str | None


def meaning(head: Head, authority: str | None) -> Meaning | None:
    """What a head asks for; None if that is more than one that is stored. `authority`: of the CONNECT around it."""
    if head.method not in ("GET", "HEAD") or head.version != "1.1":
        return None
    host: bytes | None = None
    conditions: dict[str, str] = {}
    for name, value in head.fields:
        if name == b"host":
            if host is not None:
                return None
            host = value.strip()
        elif name in _CONDITIONS:
            key, text = name.decode(), value.decode("latin-1")
            conditions[key] = f"{conditions[key]}, {text}" if key in conditions else text
        elif name in _OTHERS or (name == b"connection" and value.lower() != b"keep-alive"):
            return None
    if host is None or (authority is not None and host != authority.encode()):
        return None
    return Meaning(head.method == "HEAD", head.target, host, conditions, conditions.pop("range", None))


def without_range(data: bytes) -> tuple[bytes, str | None]:
    """A head without its Range field, if it has one in the usual form, and that field's value."""
    found = _RANGE.search(data)
    return (data[: found.start()] + data[found.end() :], found[1].decode()) if found else (data, None)


def is_plain(data: bytes) -> bool:
    """Whether this is one short head, whole and without anything unusual, so that its bytes always mean the same."""
    return len(data) <= _LONGEST and _PLAIN.fullmatch(data) is not None
