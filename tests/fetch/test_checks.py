"""Background checks of what is stored: stale bytes are served at once, and their origin is asked meanwhile."""

import hashlib
from typing import Any

import pytest

from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, PATIENCE, URL, Mirror
from tests.waiting import until

PATH = "/sets/a.bin"
OLD, NEW = body(200_000, seed=1), body(200_000, seed=2)


def impatient(start_mirror: StartMirror, **block: Any) -> Mirror:
    """A mirror for which everything is stale at once."""
    return start_mirror(origins=[{"url": URL, "paths": ["/sets/"], "freshness": "0s", **block}])


def log_after_a_request(mirror: Mirror) -> str:
    """What it has logged by the time it answered once more."""
    mirror.get("/healthz")
    return mirror.log


def test_stale_bytes_are_served_at_once(origin: Origin, start_mirror: StartMirror) -> None:
    """A hit never waits for the origin, which is asked in the background with the validators of what is there."""
    origin.add(PATH, OLD, etag='"1"')
    mirror = impatient(start_mirror)
    mirror.archive(PATH)
    origin.change(PATH, latency=2 * PATIENCE)
    answer = mirror.archive(PATH)
    assert answer.body == OLD
    assert "hit; ttl=-" in answer.fields["cache-status"]
    origin.wait_for(lambda: len(origin.gets(PATH)) == 2)
    assert origin.gets(PATH)[1].header("if-none-match") == '"1"'


def test_a_tag_once_sent_stays(origin: Origin, start_mirror: StartMirror) -> None:
    """The same bytes under another tag of the origin keep the tag that clients know."""
    origin.add(PATH, OLD, etag='"1"')
    mirror = impatient(start_mirror)
    mirror.archive(PATH)
    origin.change(PATH, etag='"2"')
    mirror.archive(PATH)
    until(lambda: "its origin still has the same" in log_after_a_request(mirror))
    assert len(origin.gets(PATH)) == 2
    assert mirror.head(PATH).fields["etag"] == '"1"'
    assert mirror.restart().head(PATH).fields["etag"] == '"1"'


def test_a_304_refreshes_what_is_there(origin: Origin, start_mirror: StartMirror) -> None:
    """An origin that has the same sends no byte again, and nothing new is kept."""
    origin.add(PATH, OLD, etag='"1"')
    mirror = impatient(start_mirror)
    mirror.archive(PATH)
    mirror.archive(PATH)
    until(lambda: "its origin still has the same" in log_after_a_request(mirror))
    assert origin.bytes_sent_for(PATH) == len(OLD)
    assert len(mirror.blobs) == 1


def test_a_change_is_served_from_the_next_request_on(origin: Origin, start_mirror: StartMirror) -> None:
    """Other bytes become a new blob; the old ones are kept beside them, and the log says that it changed."""
    origin.add(PATH, OLD, etag='"1"')
    mirror = impatient(start_mirror)
    mirror.archive(PATH)
    origin.change(PATH, body=NEW, etag='"2"')
    assert mirror.archive(PATH).body == OLD
    until(lambda: mirror.archive(PATH).body == NEW)
    assert mirror.archive(PATH).fields["etag"] == '"2"'
    assert len(mirror.blobs) == 2
    assert "changed at its origin" in mirror.log


def test_an_origin_may_be_kept_from_changing(origin: Origin, start_mirror: StartMirror) -> None:
    """With on_change = "keep" the first bytes stay for ever."""
    origin.add(PATH, OLD, etag='"1"')
    mirror = impatient(start_mirror, on_change="keep")
    mirror.archive(PATH)
    origin.change(PATH, body=NEW, etag='"2"')
    mirror.archive(PATH)
    until(lambda: "its first bytes are kept" in log_after_a_request(mirror))
    assert mirror.archive(PATH).body == OLD
    assert len(mirror.blobs) == 1


def test_a_dead_origin_is_asked_once_in_a_while(origin: Origin, start_mirror: StartMirror) -> None:
    """While checks fail, hits are served and cause no further ones."""
    origin.add(PATH, OLD)
    mirror = impatient(start_mirror)
    mirror.archive(PATH)
    origin.change(PATH, status=503)
    mirror.archive(PATH)
    until(lambda: bool(mirror.status["failures"]))
    seen = len(origin.gets(PATH))
    for _ in range(5):
        assert mirror.archive(PATH).body == OLD
    assert mirror.status["fills"] == []
    assert len(origin.gets(PATH)) == seen


def test_what_the_catalog_proves_is_never_checked(origin: Origin, start_mirror: StartMirror) -> None:
    """Bytes with the catalog's digest are immutable, whatever their age."""
    origin.add(PATH, OLD)
    block = {"url": URL, "paths": ["/sets/"], "freshness": "0s"}
    mirror = start_mirror(origins=[block], archives=[{"url": URL + PATH, "sha256": hashlib.sha256(OLD).hexdigest()}])
    for _ in range(3):
        assert mirror.archive(PATH).body == OLD
    assert mirror.archive(PATH).fields["cache-status"] == "dataset-mirror; hit"
    assert len(origin.gets(PATH)) == 1


@pytest.mark.parametrize("arrives", [True, False], ids=["and has them", "but sends others"])
def test_a_catalog_that_changes_its_mind(origin: Origin, start_mirror: StartMirror, arrives: bool) -> None:
    """When the catalog expects other bytes the old ones are served until those have come, verified."""
    origin.add(PATH, OLD, etag='"1"')
    mirror = start_mirror()
    mirror.archive(PATH)
    mirror.stop()
    origin.change(PATH, body=NEW if arrives else body(200_000, seed=3), etag='"2"')
    expected = [{"url": URL + PATH, "sha256": hashlib.sha256(NEW).hexdigest()}]
    origins = [{"url": URL, "paths": ["/sets/"]}]
    with Mirror(mirror.data, upstreams={HOST: [origin.url]}, origins=origins, archives=expected) as stricter:
        assert stricter.archive(PATH).body == OLD
        if arrives:
            until(lambda: stricter.archive(PATH).body == NEW)
        else:
            until(lambda: bool(stricter.status["failures"]))
            assert stricter.archive(PATH).body == OLD


def test_the_same_bytes_of_an_origin_that_is_no_more(origin: Origin, start_mirror: StartMirror) -> None:
    """An object of Git LFS that two origins brought comes from the one that is still configured: of the other nobody knows who may read."""
    objects = "/sets/{repo}.git/info/lfs/objects"
    rule = {"match": [f"{objects}/batch", f"{objects}/{{sha256}}"], "scope": "{repo}", "lfs": True}
    hosts = [HOST, "gone.example.org", "other.example.org"]
    blocks = [{"url": f"https://{host}", "paths": ["/sets/"], "rules": [rule]} for host in hosts]
    origin.add(PATH, OLD)
    mirror = start_mirror(origins=blocks, upstreams={host: [origin.url] for host in hosts})
    for host in hosts[1:]:
        assert mirror.get(f"/{host}{PATH}").body == OLD
    mirror.stop()
    del blocks[1]
    mirror.start()
    path = f"/sets/a.git/info/lfs/objects/{hashlib.sha256(OLD).hexdigest()}"
    assert mirror.archive(path).body == OLD
    assert mirror.head(path).status == 200
