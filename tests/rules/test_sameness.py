"""Whether an answer shows that an origin still has the bytes that are kept."""

import base64
import hashlib

import pytest

from dataset_mirror.rules.conditions import Validators
from dataset_mirror.rules.sameness import same_bytes, whole_size

DATA = b"the bytes"
SHA256, MD5 = hashlib.sha256(DATA), hashlib.md5(DATA)
DIGESTS = {"sha256": SHA256.hexdigest(), "md5": MD5.hexdigest()}
DAY, LATER = "Wed, 01 May 2024 10:00:00 GMT", "Thu, 02 May 2024 10:00:00 GMT"


def b64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


@pytest.mark.parametrize(
    ("kept", "given", "same"),
    [
        (Validators('"1"'), Validators('"1"'), True),
        (Validators('"1"'), Validators('"2"'), False),
        (Validators('W/"1"'), Validators('W/"1"'), False),
        (Validators(None, DAY, True), Validators(None, DAY, True), True),
        (Validators(None, DAY, True), Validators(None, LATER, True), False),
        (Validators(None, DAY, False), Validators(None, DAY, False), False),
        (Validators(), Validators(), False),
        (Validators(), Validators(f'"sha256-{SHA256.hexdigest()}"'), True),
        (Validators('"1"', DAY, True), Validators(None, DAY, True), False),
    ],
)
def test_validators(kept: Validators, given: Validators, same: bool) -> None:
    """Only equal strong validators, or an entity tag made of the very digest, show it."""
    assert same_bytes(kept, DIGESTS, given, []) is same


@pytest.mark.parametrize(
    ("name", "value", "same"),
    [
        ("repr-digest", f"sha-256=:{b64(SHA256.digest())}:", True),
        ("Repr-Digest", f"sha-512=:AAAA:, sha-256=:{b64(SHA256.digest())}:", True),
        ("repr-digest", f"sha-256=:{b64(MD5.digest())}:", False),
        ("repr-digest", "sha-256=:not base64:", False),
        ("x-goog-hash", f"crc32c=AAAAAA==,md5={b64(MD5.digest())}", True),
        ("x-goog-hash", "crc32c=AAAAAA==", False),
        ("x-amz-checksum-sha256", b64(SHA256.digest()), True),
        ("x-amz-checksum-sha256", b64(MD5.digest()), False),
        ("x-other", b64(SHA256.digest()), False),
    ],
)
def test_digests(name: str, value: str, same: bool) -> None:
    """A digest that the answer tells shows it, if it is the kept one's."""
    assert same_bytes(Validators(), DIGESTS, Validators(), [(name, value)]) is same


def test_a_digest_that_is_not_known_shows_nothing() -> None:
    """Where no MD5 is kept, a wrong or empty MD5 is no proof."""
    assert not same_bytes(Validators(), {"sha256": SHA256.hexdigest()}, Validators(), [("x-goog-hash", "md5=")])


@pytest.mark.parametrize(
    ("status", "fields", "size"),
    [
        (200, {"content-length": "12"}, 12),
        (200, {}, None),
        (200, {"content-length": "12", "content-encoding": "gzip"}, None),
        (206, {"content-range": "bytes 0-0/12", "content-length": "1"}, 12),
        (206, {"content-range": "bytes 0-0/*", "content-length": "1"}, None),
        (206, {"content-length": "1"}, None),
        (206, {"content-range": f"bytes 0-0/{'9' * 5000}"}, None),
        (200, {"content-length": "9" * 5000}, None),
    ],
)
def test_size_of_the_whole(status: int, fields: dict[str, str], size: int | None) -> None:
    """A 200 tells it by its length, a 206 by its range; an encoded body does not."""
    assert whole_size(status, fields) == size
