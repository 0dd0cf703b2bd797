"""Which of an origin's response fields are kept and replayed, and the small fields of our own."""

import base64
from collections.abc import Iterable

Fields = tuple[tuple[str, str], ...]
"""Header fields as (lower-case name, value), in order."""

_HOP_BY_HOP = "connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding upgrade"
_OURS = "content-length content-range content-encoding accept-ranges age date etag cache-status repr-digest vary"
_NOT_FOR_OTHERS = "set-cookie set-cookie2 strict-transport-security alt-svc clear-site-data refresh location nel report-to server-timing"
# A reverse proxy in front of the mirror obeys these: an origin could make it hand out its own files.
_FOR_PROXIES = "x-sendfile"
_DROPPED = frozenset(f"{_HOP_BY_HOP} {_OURS} {_NOT_FOR_OTHERS} {_FOR_PROXIES} content-security-policy x-content-type-options".split())
_DROPPED_PREFIXES = ("x-accel-", "x-xet-")


def kept(fields: Iterable[tuple[str, str]]) -> Fields:
    """The end-to-end response fields that are stored with an archive and replayed to clients (RFC 9110 7.6.1, RFC 9111 3.1)."""
    named = [(name.lower(), value) for name, value in fields]
    connection = {token.strip().lower() for name, value in named if name == "connection" for token in value.split(",")}
    return tuple((name, value) for name, value in named if name not in connection and _is_kept(name, value))


def _is_kept(name: str, value: str) -> bool:
    if name == "link" and "xet-auth" in value:
        return False
    return name not in _DROPPED and not name.startswith(_DROPPED_PREFIXES) and value.isprintable()


def end_to_end(fields: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Raw fields without those that are for the next hop only (RFC 9110 7.6.1); names in lower case."""
    named = [(name.lower(), value) for name, value in fields]
    dropped = {token.strip().lower() for name, value in named if name == b"connection" for token in value.split(b",")}
    dropped |= {name.encode() for name in _HOP_BY_HOP.split()}
    return [(name, value) for name, value in named if name not in dropped]


def repr_digest(sha256: str) -> str:
    """The value of Repr-Digest for a SHA-256 in hex (RFC 9530 3)."""
    return f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:"


def cache_status(*parameters: str) -> str:
    """The value of Cache-Status, such as `dataset-mirror; hit; ttl=60` (RFC 9211)."""
    return "; ".join(("dataset-mirror", *parameters))
