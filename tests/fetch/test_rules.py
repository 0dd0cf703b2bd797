"""Rules of an origin, in force."""

import hashlib
import json

import pytest

from tests.conftest import StartMirror
from tests.origin import Origin, Request, body
from tests.serving import HOST, URL, Mirror

COMMIT, DATA = "0123456789" * 4, body(40_000)
DIGEST = hashlib.sha256(DATA).hexdigest()
RULES = [
    {"match": "/sets/at/{commit}/**", "freshness": "never"},
    {"match": "/sets/blobs/*", "digest": "sha256-in-path"},
    {"match": "/sets/weights/*", "digest": "sha256-prefix-in-name", "freshness": "never"},
    {"match": "/sets/pages/**", "pages": True, "freshness": "1d"},
    {"match": "/sets/one/*", "query": "ignore", "freshness": "1d"},
    {"match": "/sets/signed/*", "query": "drop-signature", "freshness": "1d"},
    {"match": "/sets/some/*", "query": ["id", "part"], "freshness": "1d"},
]


@pytest.fixture(scope="module")
def mirror(start_shared_mirror: StartMirror, shared_origin: Origin) -> Mirror:
    """A mirror for which all is stale at once, but for what its rules say; the origin may redirect below one host."""
    block = {"url": URL, "paths": ["/sets/"], "freshness": 0, "redirects_to": ["*.store.example"], "rules": RULES}
    return start_shared_mirror(origins=[block], upstreams={HOST: [shared_origin.url], "eu.store.example": [shared_origin.url]})


def test_what_never_changes_is_never_asked_for_again(mirror: Mirror, shared_origin: Origin) -> None:
    """Bytes at a path that is immutable by a rule have no end; those beside it are stale at once."""
    for path, status in ((f"/sets/at/{COMMIT}/a", "dataset-mirror; hit"), ("/sets/at/main/a", "dataset-mirror; hit; ttl=-1")):
        shared_origin.add(path, DATA)
        assert mirror.archive(path).body == DATA
        assert mirror.archive(path).fields["cache-status"] == status
    shared_origin.wait_for(lambda: len(shared_origin.gets("/sets/at/main/a")) == 2)
    assert len(shared_origin.gets(f"/sets/at/{COMMIT}/a")) == 1


def test_a_digest_in_the_path_is_the_expected_one(mirror: Mirror, shared_origin: Origin) -> None:
    """Where a URL has the digest of its bytes, others are refused as those of a wrong archive, and the right ones are proven."""
    shared_origin.add(f"/sets/blobs/{DIGEST}", DATA)
    assert mirror.archive(f"/sets/blobs/{DIGEST}").body == DATA
    assert mirror.archive(f"/sets/blobs/{DIGEST}").fields["cache-status"] == "dataset-mirror; hit"
    wrong = "ab" * 32
    shared_origin.add(f"/sets/blobs/{wrong}", DATA)
    refused = mirror.archive(f"/sets/blobs/{wrong}")
    assert refused.status == 502
    assert wrong.encode() in refused.body


def test_a_redirect_below_a_listed_host(mirror: Mirror, shared_origin: Origin) -> None:
    """A redirect to any host below one with a star is followed, and to no other."""
    shared_origin.add("/sets/far", DATA)
    shared_origin.add("/sets/near", b"", redirect="https://eu.store.example/sets/far")
    shared_origin.add("/sets/else", b"", redirect="https://store.example/sets/far")
    assert mirror.archive("/sets/near").body == DATA
    assert mirror.archive("/sets/else").status == 403


def test_a_digest_in_the_name(mirror: Mirror, shared_origin: Origin) -> None:
    """Where a name begins with the digest of its bytes, others are refused, and nothing of them is kept; the right ones are vouched for."""
    right, wrong = f"/sets/weights/net-{DIGEST[:8]}.pth", "/sets/weights/net-deadbeef.pth"
    shared_origin.add(right, DATA)
    shared_origin.add(wrong, DATA)
    assert mirror.archive(right).body == DATA
    refused = mirror.archive(wrong)
    assert (refused.status, b"deadbeef" in refused.body) == (502, True)
    listed = {one["url"]: one["state"] for one in json.loads(mirror.get("/status/archives").body)["archives"]}
    assert (listed[URL + right], URL + wrong in listed) == ("verified", False)
    assert mirror.archive("/sets/weights/net-deadbeef.pth").status == 502


def test_pages_are_content(mirror: Mirror, shared_origin: Origin) -> None:
    """HTML is kept where a rule says so, and each kind of Accept has its own; elsewhere it is no archive."""
    shared_origin.add("/sets/pages/simple/", _by_accept, content_type="text/html")
    shared_origin.add("/sets/page.npz", b"<!doctype html><html></html>", content_type="text/html")
    for accept, content in (("text/html", b"<!doctype html>1"), ("application/json", b"{}"), ("TEXT/HTML ", b"<!doctype html>1")):
        for _ in range(2):
            assert mirror.archive("/sets/pages/simple/", accept=accept).body == content
    assert len(shared_origin.gets("/sets/pages/simple/")) == 2
    assert mirror.archive("/sets/page.npz").status == 502


def _by_accept(request: Request) -> bytes:
    return b"{}" if request.header("accept") == "application/json" else b"<!doctype html>1"


def _by_target(request: Request) -> bytes:
    return request.target.encode()


@pytest.mark.parametrize(
    ("path", "queries", "different"),
    [
        pytest.param("/sets/one/a", ["", "?x=1", "?token=abcdefgh"], 1, id="ignore"),
        pytest.param(
            "/sets/signed/a",
            ["?id=1", "?id=1&X-Amz-Signature=a&X-Amz-Date=b", "?X-Goog-Signature=c&id=1", "?id=1&download=1"],
            1,
            id="signed",
        ),
        pytest.param("/sets/signed/b", ["?id=1", "?id=2&X-Amz-Signature=a"], 2, id="not signed"),
        pytest.param("/sets/some/a", ["?id=1&part=2", "?id=1&x=y&part=2", "?part=2&id=1"], 2, id="some, in their order"),
        pytest.param("/sets/kept/a", ["", "?x=1", "?x=2"], 3, id="keep"),
    ],
)
def test_what_of_a_query_is_identity(path: str, queries: list[str], different: int, mirror: Mirror, shared_origin: Origin) -> None:
    """URLs that differ only in fields that are no identity are one archive; the origin is asked with the whole query of the first."""
    shared_origin.add(path, _by_target)
    answers = {mirror.archive(path + query).body for query in queries}
    assert len(answers) == different
    assert f"{path}{queries[0]}".encode() in answers
    assert len(shared_origin.gets(path)) == different or path == "/sets/kept/a"
