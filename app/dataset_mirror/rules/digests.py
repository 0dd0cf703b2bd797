"""What is said of bytes beforehand: by their origin in header fields, and by their own URL (RFC 9530, RFC 3230, RFC 1864).

A field of the very answer that brought the bytes binds: bytes that contradict it were damaged on the way. A name or a URL only
hints, for nobody promises that it is kept true.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

Algorithm = Literal["sha512", "sha384", "sha256", "sha1", "md5", "crc64nvme", "crc64xz", "crc32c", "crc32"]
_BYTES: dict[Algorithm, int] = {
    "sha512": 64,
    "sha384": 48,
    "sha256": 32,
    "sha1": 20,
    "md5": 16,
    "crc64nvme": 8,
    "crc64xz": 8,
    "crc32c": 4,
    "crc32": 4,
}
CHECKSUMS = frozenset[Algorithm](["crc64nvme", "crc64xz", "crc32c", "crc32"])
"""What tells damaged bytes from whole ones, but no bytes from others that were made for it."""

_NAMES: dict[str, Algorithm] = {
    "sha-512": "sha512",
    "sha-384": "sha384",
    "sha-256": "sha256",
    "sha": "sha1",
    "sha-1": "sha1",
    "md5": "md5",
    "crc32c": "crc32c",
}
_LISTS = ("repr-digest", "content-digest", "digest", "x-goog-hash")
_SINGLE: dict[str, Algorithm] = {
    "content-md5": "md5",
    "x-amz-checksum-sha512": "sha512",
    "x-amz-checksum-sha256": "sha256",
    "x-amz-checksum-sha1": "sha1",
    "x-amz-checksum-md5": "md5",
    "x-amz-checksum-crc32": "crc32",
    "x-amz-checksum-crc32c": "crc32c",
    "x-amz-checksum-crc64nvme": "crc64nvme",
    "x-bz-content-sha1": "sha1",
    "x-checksum-sha512": "sha512",
    "x-checksum-sha256": "sha256",
    "x-checksum-sha1": "sha1",
    "x-checksum-md5": "md5",
}
_DECIMAL = ("x-oss-hash-crc64ecma", "x-cos-hash-crc64ecma")
"""Alibaba's and Tencent's stores write the CRC-64 of an object as a number."""
_OURS = re.compile(r'"sha256-([0-9a-f]{64})"')
_MD5_TAG = re.compile(r'"([0-9a-f]{32})"')
_KMS = re.compile(r"aws:", re.ASCII | re.IGNORECASE)
_HEX = re.compile(r"[0-9a-fA-F]+")
_IN_NAME = re.compile(r"[^/]*-([0-9a-f]{8,64})\.(?:pth|pt|ckpt|bin|safetensors)(?:\.tar|\.zip|\.gz)?")
_DATE = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])")


@dataclass(frozen=True, slots=True)
class Claim:
    """That some bytes have this digest. `value`: in hex, or only its beginning; `by`: who says so, for people."""

    algorithm: Algorithm
    value: str
    by: str
    binding: bool = True
    """Whether bytes that contradict it are damaged for certain."""

    def holds(self, digests: Mapping[str, str]) -> bool | None:
        """Whether bytes with these digests (hex by algorithm) are meant; None if theirs is not known."""
        had = digests.get(self.algorithm)
        return had.startswith(self.value) if had else None


def told(fields: Iterable[tuple[str, str]]) -> tuple[Claim, ...]:
    """What the fields of a 200 say of the bytes of its body, as they are on the wire. Never raises: what cannot be read says nothing."""
    named = [(name.lower(), value.strip()) for name, value in fields]
    return tuple(_claims(named))


def _claims(fields: list[tuple[str, str]]) -> Iterator[Claim]:
    given = dict(fields)
    for name, value in fields:
        if name in _LISTS and not (name == "x-goog-hash" and _is_decoded_on_the_way(given)):
            yield from _listed(name, value)
        elif name in _SINGLE and not (name.startswith("x-amz-") and given.get("x-amz-checksum-type", "").upper() == "COMPOSITE"):
            yield from _claim(_SINGLE[name], value, name)
        elif name in _DECIMAL and value.isascii() and value.isdecimal() and 0 < len(value) <= 20 and 0 < int(value) < 2**64:
            yield Claim("crc64xz", f"{int(value):016x}", name)
    yield from _tagged(given)


def _listed(field: str, value: str) -> Iterator[Claim]:
    """The members of a list such as `sha-256=:…:, md5=…`; parameters of members say nothing."""
    for member in value.split(","):
        name, equals, encoded = member.partition(";")[0].strip().partition("=")
        algorithm = _NAMES.get(name.strip().lower())
        if equals and algorithm:
            yield from _claim(algorithm, encoded.strip().strip(":"), field)


def _claim(algorithm: Algorithm, encoded: str, by: str) -> Iterator[Claim]:
    """None for what is not of the algorithm's length, such as S3's digests of digests, which end in the number of parts."""
    length = _BYTES[algorithm]
    if len(encoded) == 2 * length and _HEX.fullmatch(encoded):
        yield Claim(algorithm, encoded.lower(), by)
        return
    try:
        digest = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return
    if len(digest) == length and (any(digest) or algorithm not in CHECKSUMS):  # a checksum of zero is one that nobody computed
        yield Claim(algorithm, digest.hex(), by)


def _is_decoded_on_the_way(given: Mapping[str, str]) -> bool:
    """Whether Google Cloud Storage decompressed what it stores: its hash is then of other bytes than it sends."""
    stored = given.get("x-goog-stored-content-encoding", "identity").lower()
    return stored not in ("", "identity") and "content-encoding" not in given


def _tagged(given: Mapping[str, str]) -> Iterator[Claim]:
    """What an entity tag says: another mirror's; or S3's, an MD5 unless the object was put in parts or is encrypted with other keys.

    The tag of a server that is not known for it may just look like an MD5.
    """
    tag = given.get("etag", "")
    if ours := _OURS.fullmatch(tag):
        yield Claim("sha256", ours[1], "etag")
    if md5 := _MD5_TAG.fullmatch(tag):
        yield Claim("md5", md5[1], "etag", binding=_is_plain_s3(given))


def _is_plain_s3(given: Mapping[str, str]) -> bool:
    is_s3 = given.get("server", "").lower() == "amazons3" or "x-amz-request-id" in given or "x-amz-id-2" in given
    with_other_keys = "x-amz-server-side-encryption-customer-algorithm" in given or _KMS.match(
        given.get("x-amz-server-side-encryption", "")
    )
    return is_s3 and not with_other_keys


def named(path: str) -> tuple[Claim, ...]:
    """What a normalised path says of the bytes at it: a segment that is a SHA-256 or MD5, or a name like `resnet18-f37072fd.pth`."""
    segments = path.split("/")
    by_length: dict[int, Algorithm] = {64: "sha256", 32: "md5"}
    whole = [
        Claim(by_length[len(segment)], segment.lower(), "its URL", binding=False)
        for segment in segments
        if len(segment) in by_length and _HEX.fullmatch(segment)
    ]
    return (*whole, *(replace(claim, binding=False) for claim in in_name(path)))


def in_name(path: str) -> tuple[Claim, ...]:
    """The beginning of a SHA-256 that the name of a file has, such as `resnet18-f37072fd.pth`, as a claim that binds."""
    match = _IN_NAME.fullmatch(path.rpartition("/")[2])
    return (Claim("sha256", match[1], "its name"),) if match and not _DATE.fullmatch(match[1]) else ()


def hexadecimal(text: str, length: int) -> bool:
    """Whether a text is a digest of so many digits."""
    return len(text) == length and _HEX.fullmatch(text) is not None


def needed(claims: Iterable[Claim]) -> frozenset[Algorithm]:
    """The algorithms that it takes to check them; plain checksums only where nothing better is said."""
    algorithms = frozenset(claim.algorithm for claim in claims)
    return algorithms - CHECKSUMS or algorithms


def disproved(claims: Iterable[Claim], digests: Mapping[str, str]) -> Claim | None:
    """The first binding claim that bytes with these digests contradict."""
    return next((claim for claim in claims if claim.binding and claim.holds(digests) is False), None)


def confirmed(claims: Iterable[Claim], digests: Mapping[str, str]) -> Claim | None:
    """The first claim that bytes with these digests bear out."""
    return next((claim for claim in claims if claim.holds(digests)), None)
