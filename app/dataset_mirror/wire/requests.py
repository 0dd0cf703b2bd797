"""What a well-formed head must have besides, to be answered (RFC 9112 3.2, 6.1), and what its target names."""

import re
from typing import NamedTuple

from dataset_mirror.errors import BadRequest, NotImplementedHere, VersionNotSupported
from dataset_mirror.wire.parsing import Head

_NAME = rb"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,253})?"
_HOST = re.compile(rb"(?:%b|\[[0-9A-Fa-f:.]+(?:%%[A-Za-z0-9._~%%-]+)?\])(?::(\d{1,5})?)?" % _NAME)
_END_OF_AUTHORITY = re.compile(rb"[/?#]")
VERSIONS = ("1.1", "1.0")


class Named(NamedTuple):
    """A target's parts, raw; `authority` only of the absolute form."""

    authority: str | None
    path: bytes
    query: bytes


def check(head: Head) -> None:
    """VersionNotSupported, BadRequest or NotImplementedHere if the request cannot be answered, whatever it is for."""
    if head.version not in VERSIONS:
        raise VersionNotSupported(f"HTTP/{head.version} is not supported here.", "Use HTTP/1.1.")
    hosts = [value for name, value in head.fields if name == b"host"]
    if len(hosts) > 1:
        raise BadRequest("The request has more than one Host field (RFC 9112 3.2).", "Send exactly one.")
    if not hosts and head.version == "1.1":
        raise BadRequest("The request has no Host field, which HTTP/1.1 requires (RFC 9112 3.2).", "Send the field Host.")
    if hosts and not is_host(hosts[0].strip()):
        raise BadRequest(f"{_shown(hosts[0])} in the field Host is not a host with an optional port.", "Check the field Host.")
    _check_coding(head)
    if head.method == "CONNECT" and any(
        name == b"transfer-encoding" or (name == b"content-length" and int(value)) for name, value in head.fields
    ):
        raise BadRequest("CONNECT has no content (RFC 9110 9.3.6).", "Send it without Content-Length and Transfer-Encoding.")


def _check_coding(head: Head) -> None:
    """Chunked is the only transfer coding that is known here (RFC 9112 6.1, 7)."""
    codings = [coding.strip().lower() for name, value in head.fields if name == b"transfer-encoding" for coding in value.split(b",")]
    if codings and head.version != "1.1":
        raise BadRequest("HTTP/1.0 has no Transfer-Encoding (RFC 9112 6.1).", "Use HTTP/1.1, or send a Content-Length.")
    unknown = next((coding for coding in codings if coding != b"chunked"), None)
    if unknown is not None:
        raise NotImplementedHere(f"The transfer coding {_shown(unknown)} is not known here.", "Send Transfer-Encoding: chunked.")
    if len(codings) > 1:
        raise BadRequest("The transfer coding chunked is named twice (RFC 9112 6.1).", "Send Transfer-Encoding: chunked, once.")


def is_host(value: bytes) -> bool:
    """Whether it is a host name or an address, with an optional port (RFC 9110 7.2)."""
    match = _HOST.fullmatch(value)
    return match is not None and int(match[1] or 0) <= 65535


def named(head: Head) -> Named:
    """What the target names. BadRequest if it is in no form of RFC 9112 3.2, or of a foreign scheme.

    A fragment, which no client should send, is dropped.
    """
    target = head.target
    if target == b"*" and head.method == "OPTIONS":
        return Named(None, target, b"")
    authority = None
    if not target.startswith(b"/"):
        scheme, _, rest = target.partition(b"://")
        if scheme.lower() not in (b"http", b"https"):
            raise BadRequest(f"The target {_shown(target)} is not a path nor an http or https URL (RFC 9112 3.2).", "Check the URL.")
        raw = _END_OF_AUTHORITY.split(rest, maxsplit=1)[0]
        if b"@" in raw:
            raise BadRequest("The target carries a user name or password.", "Leave them out of the URL.")
        if not is_host(raw):
            raise BadRequest(f"{_shown(raw)} in the target is not a host with an optional port.", "Check the URL.")
        authority, target = raw.decode("ascii"), rest[len(raw) :]
        if not target.startswith(b"/"):
            target = b"/" + target
    path, _, query = target.partition(b"#")[0].partition(b"?")
    return Named(authority, path, query)


def _shown(value: bytes) -> str:
    return repr(value[:80].decode("latin-1"))
