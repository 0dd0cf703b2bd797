"""What header fields and URLs say of bytes: the fields of real servers, and what is no digest."""

import base64
import hashlib
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_mirror.rules.digests import Claim, confirmed, disproved, named, needed, told

DATA = b"the bytes of an archive"
SHA512, SHA256, SHA1, MD5 = (hashlib.new(name, DATA) for name in ("sha512", "sha256", "sha1", "md5"))


def crc(polynomial: int, size: int) -> bytes:
    """The checksum of so many bytes, bit by bit; the polynomial is reflected, as all of these are."""
    value = ones = (1 << 8 * size) - 1
    for byte in DATA:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ polynomial * (value & 1)
    return (value ^ ones).to_bytes(size, "big")


CRC32, CRC32C = zlib.crc32(DATA).to_bytes(4, "big"), crc(0x82F63B78, 4)
CRC64_NVME, CRC64_XZ = crc(0x9A6C9329AC4BC9B5, 8), crc(0xC96C5795D7870F42, 8)
OF_DATA = {
    "sha512": SHA512.hexdigest(),
    "sha256": SHA256.hexdigest(),
    "sha1": SHA1.hexdigest(),
    "md5": MD5.hexdigest(),
    "crc32": CRC32.hex(),
    "crc32c": CRC32C.hex(),
    "crc64nvme": CRC64_NVME.hex(),
    "crc64xz": CRC64_XZ.hex(),
}
S3 = [("x-amz-request-id", "4442587FB7D0A2F9"), ("Server", "AmazonS3")]
MD5_TAG = ("ETag", f'"{MD5.hexdigest()}"')


def b64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


FIELDS: dict[str, tuple[list[tuple[str, str]], list[str]]] = {
    "RFC 9530": ([("Repr-Digest", f"sha-256=:{b64(SHA256.digest())}:")], ["sha256"]),
    "RFC 9530, two, with parameters": (
        [("repr-digest", f"sha-512=:{b64(SHA512.digest())}:;x=1 , sha-256=:{b64(SHA256.digest())}:")],
        ["sha512", "sha256"],
    ),
    "the content's": ([("Content-Digest", f"sha-256=:{b64(SHA256.digest())}:")], ["sha256"]),
    "RFC 3230": ([("Digest", f"SHA-256={b64(SHA256.digest())},unixsum=30637")], ["sha256"]),
    "RFC 3230, MD5 and SHA-1": ([("Digest", f"md5={b64(MD5.digest())}, sha={b64(SHA1.digest())}")], ["md5", "sha1"]),
    "RFC 1864": ([("Content-MD5", b64(MD5.digest()))], ["md5"]),
    "RFC 1864, in hex": ([("Content-MD5", MD5.hexdigest())], ["md5"]),
    "Google Cloud Storage": ([("x-goog-hash", f"crc32c={b64(CRC32C)}"), ("x-goog-hash", f"md5={b64(MD5.digest())}")], ["crc32c", "md5"]),
    "Google Cloud Storage, one field": ([("x-goog-hash", f"crc32c={b64(CRC32C)},md5={b64(MD5.digest())}")], ["crc32c", "md5"]),
    "Google Cloud Storage, composed": ([("x-goog-hash", f"crc32c={b64(CRC32C)}")], ["crc32c"]),
    "Google Cloud Storage, stored and sent compressed": (
        [("x-goog-hash", f"md5={b64(MD5.digest())}"), ("x-goog-stored-content-encoding", "gzip"), ("content-encoding", "gzip")],
        ["md5"],
    ),
    "Google Cloud Storage, decompressed on the way": (
        [("x-goog-hash", f"md5={b64(MD5.digest())}"), ("x-goog-stored-content-encoding", "gzip")],
        [],
    ),
    "S3, SHA-256": ([("x-amz-checksum-sha256", b64(SHA256.digest()))], ["sha256"]),
    "S3, SHA-1": ([("x-amz-checksum-sha1", b64(SHA1.digest()))], ["sha1"]),
    "S3, CRC-32": ([("x-amz-checksum-crc32", b64(CRC32))], ["crc32"]),
    "S3, CRC-32C": ([("x-amz-checksum-crc32c", b64(CRC32C)), ("x-amz-checksum-type", "FULL_OBJECT")], ["crc32c"]),
    "a checksum that nobody computed": ([("x-goog-hash", "crc32c=AAAAAA==")], []),
    "S3, CRC-64": ([("x-amz-checksum-crc64nvme", b64(CRC64_NVME)), ("x-amz-checksum-type", "FULL_OBJECT")], ["crc64nvme"]),
    "S3, a CRC-64 that nobody computed": ([("x-amz-checksum-crc64nvme", "AAAAAAAAAAA=")], []),
    "S3, SHA-512 and MD5": (
        [("x-amz-checksum-sha512", b64(SHA512.digest())), ("x-amz-checksum-md5", b64(MD5.digest()))],
        ["sha512", "md5"],
    ),
    "Backblaze B2": ([("x-bz-content-sha1", SHA1.hexdigest())], ["sha1"]),
    "Backblaze B2, a large file": ([("x-bz-content-sha1", "none")], []),
    "Alibaba OSS": ([("x-oss-hash-crc64ecma", str(int.from_bytes(CRC64_XZ, "big")))], ["crc64xz"]),
    "Tencent COS": ([("x-cos-hash-crc64ecma", str(int.from_bytes(CRC64_XZ, "big")))], ["crc64xz"]),
    "no number, or one too large": (
        [("x-oss-hash-crc64ecma", "٣"), ("x-cos-hash-crc64ecma", str(2**64)), ("x-oss-hash-crc64ecma", "0")],
        [],
    ),
    "S3, a digest of digests": ([("x-amz-checksum-sha256", b64(SHA256.digest()) + "-3")], []),
    "S3, a composite": ([("x-amz-checksum-crc32", b64(CRC32)), ("x-amz-checksum-type", "COMPOSITE")], []),
    "S3, an ETag": ([*S3, MD5_TAG], ["md5"]),
    "S3, an ETag, its own keys": ([*S3, MD5_TAG, ("x-amz-server-side-encryption", "AES256")], ["md5"]),
    "Artifactory": ([("X-Checksum-Sha256", SHA256.hexdigest()), ("X-Checksum-Md5", MD5.hexdigest())], ["sha256", "md5"]),
    "another mirror": ([("ETag", f'"sha256-{SHA256.hexdigest()}"')], ["sha256"]),
    "an ETag of parts": ([*S3, ("ETag", f'"{MD5.hexdigest()}-12"')], []),
    "a weak ETag": ([*S3, ("ETag", f'W/"{MD5.hexdigest()}"')], []),
    "an ETag of another length": ([*S3, ("ETag", '"0123456789abcdef"')], []),
    "nothing": ([("Content-Type", "application/zip")], []),
    "no base64": ([("repr-digest", "sha-256=:not base64:"), ("content-md5", "?"), ("digest", "sha-256"), ("x-goog-hash", "")], []),
    "the wrong length": ([("repr-digest", f"sha-256=:{b64(MD5.digest())}:"), ("content-md5", b64(SHA256.digest()))], []),
    "an algorithm that nobody knows": ([("repr-digest", "sha3-256=:AAAA:")], []),
}


@pytest.mark.parametrize(("fields", "algorithms"), FIELDS.values(), ids=FIELDS)
def test_what_fields_tell(fields: list[tuple[str, str]], algorithms: list[str]) -> None:
    """Each form of each field is read, binds, and holds for the bytes that it is of; what cannot be read says nothing."""
    claims = told(fields)
    assert [claim.algorithm for claim in claims] == algorithms
    assert all(claim.binding and claim.holds(OF_DATA) for claim in claims)
    others = {name: "0" * len(value) for name, value in OF_DATA.items()}
    assert disproved(claims, OF_DATA) is None
    assert (disproved(claims, others) is not None) is bool(algorithms)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([], id="a server that is not known for it"),
        pytest.param([("x-amz-request-id", "1"), ("x-amz-server-side-encryption", "aws:kms")], id="encrypted with KMS"),
        pytest.param([("x-amz-request-id", "1"), ("x-amz-server-side-encryption", "aws:kms:dsse")], id="encrypted twice"),
        pytest.param([*S3, ("x-amz-server-side-encryption-customer-algorithm", "AES256")], id="encrypted with the customer's key"),
    ],
)
def test_a_tag_that_only_looks_like_an_md5_disproves_nothing(fields: list[tuple[str, str]]) -> None:
    """Such a tag is borne out by bytes that have it, and says nothing against others."""
    claims = told([*fields, MD5_TAG])
    assert confirmed(claims, OF_DATA) is not None
    assert disproved(claims, {"md5": "0" * 32}) is None


NAMES: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "whisper": (f"/main/whisper/models/{'ab' * 32}/tiny.pt", [("sha256", "ab" * 32)]),
    "a SHA-256 as the name": (f"/blobs/{'AB' * 32}", [("sha256", "ab" * 32)]),
    "an MD5": (f"/records/{'cd' * 16}/a.zip", [("md5", "cd" * 16)]),
    "torch.hub": ("/models/resnet18-f37072fd.pth", [("sha256", "f37072fd")]),
    "torch.hub, 10 digits": ("/models/x-0123abcdef.pt", [("sha256", "0123abcdef")]),
    "a date": ("/models/resnet50-20180130.pth", []),
    "digits that are no date": ("/models/vgg16-39792339.pth", [("sha256", "39792339")]),
    "7 digits": ("/models/x-0123abc.pth", []),
    "a commit": (f"/o/r/{'ab' * 20}/a.zip", []),
    "another type": ("/sets/a-f37072fd.zip", []),
    "a word of 8 letters": ("/models/x-baseline.pth", []),
    "64 characters in a longer name": (f"/{'ab' * 32}.zip", []),
}


@pytest.mark.parametrize(("path", "claims"), NAMES.values(), ids=NAMES)
def test_what_a_url_says(path: str, claims: list[tuple[str, str]]) -> None:
    """A segment that is a digest, or the suffix that torch.hub reads, is a claim that does not bind."""
    found = named(path)
    assert [(claim.algorithm, claim.value) for claim in found] == claims
    assert not any(claim.binding for claim in found)


def test_a_beginning_holds_for_the_digest_that_begins_so() -> None:
    """The first digits of a digest are compared with the first digits alone."""
    claim = Claim("sha256", OF_DATA["sha256"][:8], "its name", binding=False)
    assert claim.holds(OF_DATA) is True
    assert claim.holds({"sha256": "0" * 64}) is False
    assert claim.holds({"md5": OF_DATA["md5"]}) is None


def test_checksums_are_computed_only_where_nothing_better_is_said() -> None:
    """What takes the processor's time without adding anything is left out."""
    claims = told([("x-goog-hash", f"crc32c={b64(CRC32C)}"), ("x-goog-hash", f"md5={b64(MD5.digest())}")])
    assert needed(claims) == {"md5"}
    assert needed(claims[:1]) == {"crc32c"}
    assert needed(()) == frozenset()


_FIELD = st.sampled_from(
    [
        "repr-digest",
        "digest",
        "content-digest",
        "content-md5",
        "x-goog-hash",
        "x-amz-checksum-crc32",
        "x-oss-hash-crc64ecma",
        "etag",
        "server",
    ]
)
_VALUE = st.text(max_size=60) | st.lists(st.sampled_from(["sha-256", "=", ":", ",", ";", "md5", "AAAA", '"', " "])).map("".join)


@settings(deadline=None)
@given(st.lists(st.tuples(_FIELD, _VALUE)), st.text(max_size=90))
def test_nothing_makes_the_parsers_fail(fields: list[tuple[str, str]], path: str) -> None:
    """Whatever an origin sends, or a URL has, is a claim of the right length or says nothing."""
    assert all(len(claim.value) >= 8 for claim in (*told(fields), *named(path)))
