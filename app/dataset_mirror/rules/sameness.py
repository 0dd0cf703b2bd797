"""Whether an origin's answer shows that it still has the very bytes that are kept."""

import re
from collections.abc import Iterable

from dataset_mirror.rules.codings import coding
from dataset_mirror.rules.conditions import Validators
from dataset_mirror.rules.digests import CHECKSUMS, told

_SIZE = re.compile(r"[0-9]{1,19}")
_CONTENT_RANGE = re.compile(rf"bytes [0-9]+-[0-9]+/({_SIZE.pattern})")


def same_bytes(kept: Validators, digests: dict[str, str], given: Validators, fields: Iterable[tuple[str, str]]) -> bool:
    """Whether strong validators are equal (RFC 9110 8.8.3.2), or a digest that the answer tells is the kept one's.

    `digests` are hex by algorithm (`sha256`, `md5`). An entity tag made of the digest, as another mirror has it, counts too.
    """
    if kept.strong is not None and kept.strong == given.strong:
        return True
    said = told([*fields, *([("etag", given.etag)] if given.etag else [])])
    return any(claim.holds(digests) for claim in said if claim.binding and claim.algorithm not in CHECKSUMS)


def whole_size(status: int, fields: dict[str, str]) -> int | None:
    """Bytes of the whole that a 200 or 206 tells of (RFC 9110 14.4); None if it does not."""
    if status == 206:
        match = _CONTENT_RANGE.fullmatch(fields.get("content-range", ""))
        return int(match[1]) if match else None
    length = fields.get("content-length", "")
    return int(length) if _SIZE.fullmatch(length) and coding(fields.get("content-encoding")) is None else None
