"""Rules of an origin, in force."""

import hashlib

import pytest

from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, URL, Mirror

COMMIT, DATA = "0123456789" * 4, body(40_000)
DIGEST = hashlib.sha256(DATA).hexdigest()
RULES = [{"match": "/sets/at/{commit}/**", "freshness": "never"}, {"match": "/sets/blobs/*", "digest": "sha256-in-path"}]


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
