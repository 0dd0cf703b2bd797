"""Whether an origin's answer shows that it still has the very bytes that are kept."""

import base64
import binascii
import re
from collections.abc import Iterable

from dataset_mirror.rules.conditions import Validators

_DIGEST_FIELDS = {
    "repr-digest": (("sha-256", "sha256"),),
    "x-goog-hash": (("md5", "md5"),),
    "x-amz-checksum-sha256": (("", "sha256"),),
}
"""Field → (algorithm as the field names it, as we do)."""
_CONTENT_RANGE = re.compile(r"bytes \d+-\d+/(\d+)")


def same_bytes(kept: Validators, digests: dict[str, str], given: Validators, fields: Iterable[tuple[str, str]]) -> bool:
    """Whether strong validators are equal (RFC 9110 8.8.3.2), or a digest that the answer tells is the kept one's.

    `digests` are hex by algorithm (`sha256`, `md5`). An entity tag made of the digest, as another mirror has it, counts too.
    """
    if kept.strong is not None and kept.strong == given.strong:
        return True
    if given.etag == f'"sha256-{digests.get("sha256")}"':
        return True
    return any(told == digests.get(algorithm) for algorithm, told in _told(fields))


def whole_size(status: int, fields: dict[str, str]) -> int | None:
    """Bytes of the whole that a 200 or 206 tells of (RFC 9110 14.4); None if it does not."""
    if status == 206:
        match = _CONTENT_RANGE.fullmatch(fields.get("content-range", ""))
        return int(match[1]) if match else None
    length = fields.get("content-length", "")
    return int(length) if length.isdecimal() and "content-encoding" not in fields else None


def _told(fields: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    for name, value in fields:
        for named, algorithm in _DIGEST_FIELDS.get(name.lower(), ()):
            for part in value.split(","):
                key, equals, encoded = part.strip().partition("=") if named else ("", "=", part.strip())
                if key == named and equals:
                    yield algorithm, _hex(encoded.strip(":"))


def _hex(encoded: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).hex()
    except binascii.Error:
        return ""
