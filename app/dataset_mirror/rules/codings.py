"""What a Content-Encoding means for the bytes (RFC 9110 8.4)."""

import zlib
from collections.abc import Callable

_MEANINGLESS = frozenset(
    ["", "identity", "none", "null", "binary", "7bit", "8bit", "utf-8", "utf8", "us-ascii", "iso-8859-1", "aws-chunked"]
)
"""What stands there by mistake: no coding, the charset, how a message was sent by mail or to S3."""
_ALIASES = {"x-gzip": "gzip", "x-compress": "compress", "x-bzip2": "bzip2", "zlib": "deflate"}


def coding(field: str | None) -> str | None:
    """The codings that a Content-Encoding lists, in the order in which they were applied, in lower case; None if there is none."""
    tokens = [token.strip().strip('"').lower() for token in (field or "").split(",")]
    named = [_ALIASES.get(token, token) for token in tokens if token not in _MEANINGLESS]
    return ", ".join(named) or None


def decoder(encoding: str) -> Callable[[], "zlib._Decompress"] | None:
    """Makes a decoder for this Content-Encoding, or None if it is not known (RFC 9110 8.4.1)."""
    if encoding in ("gzip", "x-gzip"):
        return lambda: zlib.decompressobj(wbits=31)
    if encoding == "deflate":
        return lambda: zlib.decompressobj()
    return None
