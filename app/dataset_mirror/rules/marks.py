"""The mark in a proxy's URL that tells which certificate of the mirror a client trusts: `http://ca:0123456789abcdef@mirror:8080`.

Clients send it with CONNECT, as the credentials of a proxy (RFC 9110 11.7.2, RFC 7617). It is no secret. User and password are
both there, because wget, Python's urllib and node send neither if one is missing.
"""

import base64
import re
import ssl
from hashlib import sha256
from urllib.parse import urlsplit

MARK_FIELD = "dataset-mirror-mark"
"""With `/ca.pem`: the mark for the proxy's URL, where one is needed."""
_USER = "ca"
_MARK = re.compile(r"[0-9a-f]{16}")


def mark_of(pem: bytes) -> str:
    """The mark of a certificate: the first 16 digits of its SHA-256. ValueError if it is none."""
    return sha256(ssl.PEM_cert_to_DER_cert(pem.decode("ascii").strip())).hexdigest()[:16]


def marked(address: str, mark: str | None) -> str:
    """A proxy's address with the mark; without one as it is."""
    scheme, _, netloc = address.partition("://")
    return f"{scheme}://{_USER}:{mark}@{netloc}" if mark else address


def unmarked(address: str) -> tuple[str, str | None]:
    """A proxy's address without the mark, and the mark; other credentials stay where they are."""
    try:
        parts = urlsplit(address)
        user, password = parts.username, parts.password
    except ValueError:
        return address, None
    if user != _USER or password is None or not _MARK.fullmatch(password):
        return address, None
    return address.replace(f"{user}:{password}@", "", 1), password


def mark_in(credentials: str | None) -> str | None:
    """The mark in a field Proxy-Authorization, if there is one."""
    scheme, _, encoded = (credentials or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(encoded.strip(), validate=True).decode("ascii").partition(":")
    except ValueError:
        return None
    return password if user == _USER and _MARK.fullmatch(password) else None
