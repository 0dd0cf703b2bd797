"""Which of an origin's response fields are kept and replayed, and the small fields of our own.

Fields pass by a list of what may: what an origin invents tomorrow says nothing to the mirror's clients. A field that obeys
somebody else (a browser, a proxy in front), that is about the origin's own message, or that is ours, never passes.
"""

import base64
import re
from collections.abc import Collection, Iterable

Fields = tuple[tuple[str, str], ...]
"""Header fields as (lower-case name, value), in order; each character of a value is one byte of it (ISO 8859-1)."""

_ABOUT_THE_ARCHIVE = """
    content-type content-disposition content-language last-modified cache-control expires
    digest content-digest content-md5 x-repo-commit x-amz-version-id x-amz-storage-class
"""
_PASSED = frozenset(_ABOUT_THE_ARCHIVE.split())
_PASSED_PREFIXES = ("x-goog-", "x-amz-meta-", "x-amz-checksum-", "x-linked-", "x-error-")

_HOP_BY_HOP = "connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding upgrade"
_OURS = """
    content-length content-range content-encoding accept-ranges age date etag cache-status repr-digest vary x-content-type-options
"""
_FOR_BROWSERS = """
    set-cookie set-cookie2 strict-transport-security public-key-pins public-key-pins-report-only expect-ct alt-svc clear-site-data
    refresh location nel report-to reporting-endpoints server-timing timing-allow-origin service-worker-allowed sourcemap
    x-sourcemap accept-ch critical-ch origin-agent-cluster origin-trial speculation-rules supports-loading-mode permissions-policy
    permissions-policy-report-only feature-policy document-policy x-permitted-cross-domain-policies activate-storage-access
    www-authenticate authentication-info proxy-authentication-info x-dns-prefetch-control use-as-dictionary
"""
_FOR_PROXIES = "x-sendfile x-sendfile2 surrogate-control cdn-cache-control"
_NEVER = frozenset(f"{_HOP_BY_HOP} {_OURS} {_FOR_BROWSERS} {_FOR_PROXIES}".split())
_NEVER_PREFIXES = (
    "access-control-",
    "cross-origin-",
    "content-security-policy",
    "sec-",
    # A reverse proxy in front of the mirror obeys these: an origin could make it hand out its own files.
    "x-accel-",
    "x-lighttpd-",
    "x-litespeed-",
    "x-reproxy-",
    "x-xet-",
)

_OF_CONTENT = frozenset(["content-digest"])
"""What describes the bytes of the very message (RFC 9530 2): an answer to HEAD has none."""
_OF_WHOLE = _OF_CONTENT | frozenset(["digest", "content-md5", "x-goog-hash"])
_OF_WHOLE_PREFIXES = ("x-amz-checksum-",)
_OF_CODED = ("x-goog-hash", "x-goog-stored-content-encoding", "x-goog-stored-content-length")
_NOT_REFRESHED = frozenset(["content-type", *_OF_CODED])
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_UPDATES = frozenset(["cache-control", "expires"])


def kept(fields: Iterable[tuple[str, str]], also: Collection[str] = ()) -> Fields:
    """The end-to-end response fields that are stored with an archive and replayed to clients (RFC 9110 7.6.1, RFC 9111 3.1).

    `also` are (lower-case) names that the origin's rule lets pass, too; some never pass, whatever a rule says.
    """
    named = [(name.lower(), value) for name, value in fields]
    connection = {token.strip().lower() for name, value in named if name == "connection" for token in value.split(",")}
    passed = tuple((name, value) for name, value in named if name not in connection and _passes(name, value, also))
    return tuple(field for field in passed if field[0] not in _OF_CODED) if _is_stored_coded(passed) else passed


def _passes(name: str, value: str, also: Collection[str]) -> bool:
    if name in _NEVER or name.startswith(_NEVER_PREFIXES) or (name == "link" and "xet-auth" in value) or not is_value(value):
        return False
    return name in _PASSED or name.startswith(_PASSED_PREFIXES) or name in also


def is_value(text: str) -> bool:
    """Whether a text, one character a byte, can be the value of a field (RFC 9110 5.5)."""
    return _VALUE.fullmatch(text) is not None


def _is_stored_coded(fields: Fields) -> bool:
    """Whether what Google Cloud Storage says of size and hash is of a coded form, which clients do not get."""
    return any(name == "x-goog-stored-content-encoding" and value.strip().lower() not in ("", "identity") for name, value in fields)


def of_decoded(fields: Fields) -> Fields:
    """Those that still describe a body that we decoded: no digest and no size of its coded form."""
    return tuple(field for field in fields if not _is_of_whole(field[0]) and field[0] not in _OF_CODED)


def of_part(fields: Fields) -> Fields:
    """Those that describe a part: no digest of the whole (RFC 9110 15.3.7)."""
    return tuple(field for field in fields if not _is_of_whole(field[0]))


def without_content(fields: Fields) -> Fields:
    """Those that describe an answer to HEAD: no digest of bytes that it does not have (RFC 9530 B.2)."""
    return tuple(field for field in fields if field[0] not in _OF_CONTENT)


def of_unchanged(fields: Fields, also: Collection[str] = ()) -> Fields:
    """Those that a 304 carries beside the validators (RFC 9110 15.4.5), and those that the origin's rule lets pass."""
    return tuple(field for field in fields if field[0] in _UPDATES or field[0] in also)


def _is_of_whole(name: str) -> bool:
    return name in _OF_WHOLE or name.startswith(_OF_WHOLE_PREFIXES)


def refreshed(stored: Fields, fresh: Fields) -> Fields:
    """The stored fields after a 304 with those `fresh` ones, which replace all of their names (RFC 9111 3.2 and 4.3.4).

    Those that describe the bytes stay: these are the same, and some servers send them wrongly with a 304.
    """
    taken = tuple(field for field in fresh if field[0] not in _NOT_REFRESHED and not _is_of_whole(field[0]))
    names = {name for name, _ in taken}
    return tuple(field for field in stored if field[0] not in names) + taken


def end_to_end(fields: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Raw fields without those that are for the next hop only (RFC 9110 7.6.1); names in lower case."""
    named = [(name.lower(), value) for name, value in fields]
    dropped = {token.strip().lower() for name, value in named if name == b"connection" for token in value.split(b",")}
    dropped |= {name.encode() for name in _HOP_BY_HOP.split()}
    return [(name, value) for name, value in named if name not in dropped]


def as_bytes(value: str) -> bytes:
    """The bytes of a value; beyond ISO 8859-1, as older versions stored some, in UTF-8."""
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode("utf-8", "replace")


def repr_digest(sha256: str) -> str:
    """The value of Repr-Digest for a SHA-256 in hex (RFC 9530 3)."""
    return f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:"


def cache_status(*parameters: str) -> str:
    """The value of Cache-Status, such as `dataset-mirror; hit; ttl=60` (RFC 9211)."""
    return "; ".join(("dataset-mirror", *parameters))
