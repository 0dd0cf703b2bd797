"""What an origin says of its bytes counts, and what their URL says is held against them."""

import base64
import hashlib
import http.client
import json
import zlib

import anycrc
import pytest

from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, URL, Mirror

DATA = body(40_000)
SHA256, SHA1, MD5 = hashlib.sha256(DATA), hashlib.sha1(DATA), hashlib.md5(DATA)
S3 = {"x-amz-request-id": "4442587FB7D0A2F9", "Server": "AmazonS3", "ETag": f'"{MD5.hexdigest()}"'}


def b64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def crc(model: str) -> bytes:
    return int(anycrc.Model(model).calc(DATA)).to_bytes(8 if "64" in model else 4, "big")


SAID: dict[str, dict[str, str]] = {
    "repr-digest": {"Repr-Digest": f"sha-256=:{b64(SHA256.digest())}:"},
    "content-digest": {"Content-Digest": f"sha-256=:{b64(SHA256.digest())}:"},
    "digest": {"Digest": f"SHA-256={b64(SHA256.digest())}"},
    "content-md5": {"Content-MD5": b64(MD5.digest())},
    "x-goog-hash": {"x-goog-hash": f"crc32c={b64(crc('CRC32C'))},md5={b64(MD5.digest())}"},
    "x-goog-hash-crc32c": {"x-goog-hash": f"crc32c={b64(crc('CRC32C'))}"},
    "x-amz-checksum-sha256": {"x-amz-checksum-sha256": b64(SHA256.digest())},
    "x-amz-checksum-sha1": {"x-amz-checksum-sha1": b64(SHA1.digest())},
    "x-amz-checksum-crc32": {"x-amz-checksum-crc32": b64(zlib.crc32(DATA).to_bytes(4, "big"))},
    "x-amz-checksum-crc64nvme": {"x-amz-checksum-crc64nvme": b64(crc("CRC64-NVME")), "x-amz-checksum-type": "FULL_OBJECT"},
    "x-oss-hash-crc64ecma": {"x-oss-hash-crc64ecma": str(int.from_bytes(crc("CRC64-XZ"), "big"))},
    "etag-of-s3": S3,
}
ONLY_CHECKED = ("x-goog-hash-crc32c", "x-amz-checksum-crc32", "x-amz-checksum-crc64nvme", "x-oss-hash-crc64ecma")
"""A checksum shows damage, but does not vouch for a digest."""
CATALOG = [{"url": f"{URL}/sets/known.bin", "sha256": SHA256.hexdigest()}]


@pytest.fixture(scope="module")
def shared(start_shared_mirror: StartMirror) -> Mirror:
    return start_shared_mirror(archives=CATALOG)


def source(mirror: Mirror, path: str) -> tuple[str, str]:
    """By whom the digest of an archive is vouched for, and the archive's state."""
    detail = json.loads(mirror.get(f"/status/archive?url={URL}{path}").body)
    (listed,) = json.loads(mirror.get(f"/status/archives?prefix={URL}{path}").body)["archives"]
    assert (listed["source"], listed["state"]) == (detail["source"], detail["state"])
    return detail["source"], detail["state"]


@pytest.mark.parametrize("field", SAID)
def test_bytes_that_are_as_said_are_kept_and_vouched_for(shared: Mirror, shared_origin: Origin, field: str) -> None:
    """A digest in a field of the answer is the origin's word for the bytes; lists say so."""
    path = f"/sets/right-{field}.bin"
    shared_origin.add(path, DATA, headers=SAID[field])
    assert shared.archive(path).body == DATA
    assert len(shared_origin.gets(path)) == 1
    assert source(shared, path) == (("computed", "computed") if field in ONLY_CHECKED else ("origin", "verified"))


@pytest.mark.parametrize("field", SAID)
def test_damage_is_fetched_once_more(shared: Mirror, shared_origin: Origin, field: str) -> None:
    """Bytes that are not what their origin says are fetched again, and the client gets the right ones."""
    path = f"/sets/damaged-{field}.bin"
    shared_origin.add(path, DATA, headers=SAID[field], flip_at=39_000, times=1)
    assert shared.archive(path).body == DATA
    assert len(shared_origin.gets(path)) == 2


@pytest.mark.parametrize("field", SAID)
def test_damage_that_stays_is_refused(shared: Mirror, shared_origin: Origin, field: str) -> None:
    """After the second time it is a 502 that names both digests and the field, and nothing is kept."""
    path = f"/sets/broken-{field}.bin"
    before = shared.blobs
    shared_origin.add(path, DATA, headers=SAID[field], flip_at=100)
    problem = shared.archive(path).problem
    assert (problem["status"], problem["type"]) == (502, "urn:dataset-mirror:damaged-transfer")
    assert all(digest in problem["detail"] for digest in (problem["got"].split()[1], problem["expected"][0].split()[1]))
    assert f'[[archives]] url = "{URL}{path}" sha256 = "' in problem["hint"]
    assert len(shared_origin.gets(path)) == 2
    assert shared.blobs == before


def test_a_reader_of_damaged_bytes_is_cut_off(shared: Mirror, shared_origin: Origin) -> None:
    """A client that has got a part of them already never sees an end."""
    large = body(400_000)
    shared_origin.add("/sets/large.bin", large, headers={"Content-MD5": b64(hashlib.md5(large).digest())}, flip_at=300_000)
    with pytest.raises((ConnectionError, http.client.IncompleteRead)):
        shared.archive("/sets/large.bin")


@pytest.mark.parametrize(
    ("name", "headers"),
    [
        ("composite", {"x-amz-checksum-sha256": b64(bytes(32)) + "-3", "ETag": f'"{"0" * 32}-3"', "x-amz-request-id": "1"}),
        ("kms", {"ETag": f'"{"0" * 32}"', "x-amz-request-id": "1", "x-amz-server-side-encryption": "aws:kms"}),
        ("other-server", {"ETag": f'"{"0" * 32}"'}),
        ("unreadable", {"Repr-Digest": "sha-256=:?:", "Content-MD5": "?", "x-goog-hash": "md5"}),
        ("decompressed", {"x-goog-hash": f"md5={b64(bytes(16))}", "x-goog-stored-content-encoding": "gzip"}),
    ],
)
def test_what_says_nothing_of_the_bytes_refuses_nothing(shared: Mirror, shared_origin: Origin, name: str, headers: dict[str, str]) -> None:
    """Digests of parts, tags that only look like one, and what cannot be read are no word for these bytes."""
    path = f"/sets/{name}.bin"
    shared_origin.add(path, DATA, headers=headers)
    assert shared.archive(path).body == DATA
    assert source(shared, path) == ("computed", "computed")


def test_the_catalog_knows_better(shared: Mirror, shared_origin: Origin) -> None:
    """Bytes with the catalog's digest are right, whatever their origin says of them, and its word is not passed on."""
    shared_origin.add("/sets/known.bin", DATA, headers={"Content-MD5": b64(bytes(16))})
    assert shared.archive("/sets/known.bin").body == DATA
    assert source(shared, "/sets/known.bin") == ("catalog", "verified")
    assert shared.head("/sets/known.bin").fields["content-md5"] is None


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (f"/sets/{SHA256.hexdigest()}/tiny.pt", ("url", "verified")),
        (f"/sets/{MD5.hexdigest()}/a.bin", ("url", "verified")),
        (f"/sets/net-{SHA256.hexdigest()[:8]}.pth", ("url", "verified")),
        (f"/sets/{'0' * 64}/tiny.pt", ("disputed", "computed")),
        ("/sets/net-0123abcd.pth", ("disputed", "computed")),
    ],
)
def test_a_digest_in_the_url_marks(shared: Mirror, shared_origin: Origin, path: str, told: tuple[str, str]) -> None:
    """A digest in the URL is checked; bytes that have another one are served all the same, marked, and warned of."""
    shared_origin.add(path, DATA)
    assert shared.archive(path).body == DATA
    assert source(shared, path) == told
    assert (f"{path} has " in shared.log) is (told[0] == "disputed")


def test_who_vouches_survives_a_rebuilt_index(start_mirror: StartMirror, origin: Origin) -> None:
    """The journal has it, so that an index that is rebuilt says the same."""
    origin.add("/sets/a.bin", DATA, headers=SAID["digest"])
    mirror = start_mirror()
    mirror.archive("/sets/a.bin")
    line = json.loads((mirror.data / "archives.ndjson").read_text().splitlines()[-1])
    assert (line["url"], line["source"]) == (f"https://{HOST}/sets/a.bin", "origin")


def test_damage_is_told_before_it_is_decoded(shared: Mirror, shared_origin: Origin) -> None:
    """Digests of an encoded body are of its bytes on the wire: they are checked on those, and not passed on with the decoded ones."""
    packed = zlib.compress(DATA)
    shared_origin.add(
        "/sets/packed.bin", packed, content_encoding="deflate", headers={"Digest": f"md5={b64(hashlib.md5(packed).digest())}"}
    )
    answer = shared.archive("/sets/packed.bin")
    assert (answer.body, answer.fields["digest"]) == (DATA, None)
    assert shared.head("/sets/packed.bin").fields["digest"] is None
