"""Header fields on their way from the origin to clients: what passes, what describes which answer, what a 304 refreshes."""

import base64
import hashlib
import json

import pytest

from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import URL, Mirror
from tests.waiting import until

DATA = body(50_000)
MD5 = base64.b64encode(hashlib.md5(DATA).digest()).decode()
SHA256 = base64.b64encode(hashlib.sha256(DATA).digest()).decode()
OURS = f"sha-256=:{SHA256}:"
OF_WHOLE = {
    "Digest": f"sha-256={SHA256}",
    "Content-Digest": f"sha-256=:{SHA256}:",
    "Repr-Digest": f"sha-256=:{SHA256}:, md5=:{MD5}:",
    "Content-MD5": MD5,
    "x-goog-hash": f"md5={MD5}",
    "x-amz-checksum-sha256": SHA256,
}
REPLAYED = [name for name in OF_WHOLE if name != "Repr-Digest"]


@pytest.fixture(scope="module")
def shared(start_shared_mirror: StartMirror) -> Mirror:
    return start_shared_mirror()


@pytest.fixture(scope="module")
def impatient(start_shared_mirror: StartMirror) -> Mirror:
    """A mirror for which everything is stale at once."""
    return start_shared_mirror(origins=[{"url": URL, "paths": ["/sets/"], "freshness": "0s"}])


def stored(mirror: Mirror, path: str) -> dict[str, object]:
    known: dict[str, object] = json.loads(mirror.get(f"/status/archive?url={URL}{path}").body)
    return known


def test_no_field_lets_another_site_read(shared: Mirror, shared_origin: Origin) -> None:
    """What would open the mirror's answers to other sites, or command a browser or a proxy, never passes: miss, hit or HEAD."""
    never = {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Credentials": "true",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "WWW-Authenticate": 'Basic realm="x"',
        "Service-Worker-Allowed": "/",
        "X-Lighttpd-Send-File": "/etc/passwd",
        "X-Reproxy-URL": "http://127.0.0.1/",
        "X-Invented-Tomorrow": "1",
    }
    for path in ("/sets/open.bin", "/sets/open-head.bin"):
        shared_origin.add(path, DATA, headers=never)
    answers = [shared.head("/sets/open-head.bin"), *(shared.archive("/sets/open.bin") for _ in range(3)), shared.head("/sets/open.bin")]
    assert [answer.status for answer in answers] == [200] * 5
    assert not [name for answer in answers for name in never if name in answer.fields]


def test_what_an_older_version_stored_does_not_pass_either(start_mirror: StartMirror, origin: Origin) -> None:
    """Fields that stand in the index already are judged when they are sent."""
    origin.add("/sets/old.bin", DATA)
    mirror = start_mirror()
    mirror.archive("/sets/old.bin")
    mirror.stop()
    _plant(
        mirror, [["access-control-allow-origin", "*"], ["content-md5", base64.b64encode(bytes(16)).decode()], ["x-goog-generation", "7"]]
    )
    mirror.start()
    for answer in (mirror.archive("/sets/old.bin"), mirror.head("/sets/old.bin"), mirror.archive("/sets/old.bin")):
        assert (answer.fields["access-control-allow-origin"], answer.fields["x-goog-generation"]) == (None, "7")


def _plant(mirror: Mirror, fields: list[list[str]]) -> None:
    import sqlite3

    with sqlite3.connect(mirror.data / "index.db") as connection:
        for table in ("archives", "versions"):
            connection.execute(f"UPDATE {table} SET fields = ?", (json.dumps(fields),))


def test_digests_stand_where_they_describe_the_message(shared: Mirror, shared_origin: Origin) -> None:
    """The whole has its digests, a part and a 304 have none but Repr-Digest, which is ours; HEAD has none of a content."""
    shared_origin.add("/sets/said.bin", DATA, headers=OF_WHOLE)
    shared.archive("/sets/said.bin")
    whole = shared.archive("/sets/said.bin")
    assert [name for name in REPLAYED if whole.fields[name] == OF_WHOLE[name]] == REPLAYED
    part = shared.archive("/sets/said.bin", range="bytes=0-9")
    same = shared.archive("/sets/said.bin", if_none_match='"v1"')
    assert (part.status, same.status) == (206, 304)
    assert not [name for answer in (part, same) for name in REPLAYED if name in answer.fields]
    head = shared.head("/sets/said.bin")
    assert [name for name in REPLAYED if name in head.fields] == [name for name in REPLAYED if name != "Content-Digest"]
    assert [answer.fields.get_all("repr-digest") for answer in (whole, part, same, head)] == [[OURS]] * 4
    beyond = shared.archive("/sets/said.bin", range="bytes=99999-")
    assert (beyond.status, beyond.fields["repr-digest"]) == (416, None)


@pytest.mark.parametrize("raw", ["größe 数.bin".encode(), "größe.bin".encode("latin-1")], ids=["utf-8", "latin-1"])
def test_a_file_name_passes_as_its_bytes_came(shared: Mirror, shared_origin: Origin, raw: bytes) -> None:
    """Content-Disposition is replayed byte for byte, from the fill and from the store."""
    field = b'attachment; filename="' + raw + b'"'
    path = f"/sets/named-{len(raw)}.bin"
    shared_origin.add(path, DATA, headers={"Content-Disposition": field.decode("latin-1")})
    for answer in (shared.head(path), shared.archive(path), shared.archive(path), shared.archive(path)):
        (value,) = [value for name, value in answer.fields.raw_items() if name.lower() == "content-disposition"]
        assert value.encode("latin-1") == field


@pytest.mark.parametrize(("tag", "asked"), [('W/"own"', 'W/"own"'), ('W/"own"', '"x", W/"own"'), ("bare", "bare"), ("bare", '"bare"')])
def test_the_origins_own_tag_answers(shared: Mirror, shared_origin: Origin, tag: str, asked: str) -> None:
    """A client that has a weak or unquoted tag from the origin itself gets 304; the tag that is sent is a proper strong one."""
    path = f"/sets/tag-{len(tag)}-{len(asked)}.bin"
    shared_origin.add(path, DATA, headers={"ETag": tag})
    shared.archive(path)
    assert shared.archive(path).fields["etag"] == f'"sha256-{hashlib.sha256(DATA).hexdigest()}"'
    assert shared.archive(path, if_none_match=asked).status == 304
    assert shared.archive(path, if_none_match='W/"other"').status == 200
    assert shared.archive(path, range="bytes=0-1", if_range=asked).status == 200


def test_a_304_refreshes_what_is_stored(impatient: Mirror, shared_origin: Origin) -> None:
    """Fields that come with a 304 replace the stored ones; type and digests, which are of the bytes, stay."""
    path = "/sets/refreshed.bin"
    shared_origin.add(path, DATA, headers={"Cache-Control": "max-age=1", "x-goog-meta-a": "1", "Content-MD5": MD5})
    impatient.archive(path)
    fresh = {"Cache-Control": "max-age=9", "Expires": "Thu, 01 Jan 2032 00:00:00 GMT", "Content-Type": "text/html", "Content-MD5": "x"}
    shared_origin.change(path, headers=fresh)
    impatient.archive(path)
    until(lambda: impatient.head(path).fields["cache-control"] == "max-age=9")
    fields = impatient.head(path).fields
    assert [fields[name] for name in ("cache-control", "expires", "x-goog-meta-a")] == [*list(fresh.values())[:2], "1"]
    assert [fields[name] for name in ("content-type", "content-md5", "etag")] == ["application/octet-stream", MD5, '"v1"']
    same = impatient.archive(path, if_none_match='"v1"')
    assert (same.status, same.fields["cache-control"]) == (304, "max-age=9")


def test_age_at_a_cache_on_the_way_counts(shared: Mirror, shared_origin: Origin) -> None:
    """Bytes that were old when they came are as old as that, on a miss, a hit and HEAD, and are checked as early (RFC 9111 4.2.3)."""
    for path in ("/sets/aged.bin", "/sets/aged-head.bin"):
        shared_origin.add(path, DATA, headers={"Age": "1000"})
    answers = [shared.head("/sets/aged-head.bin"), shared.archive("/sets/aged.bin"), shared.archive("/sets/aged.bin")]
    assert all(1000 <= int(answer.fields["age"]) < 1100 for answer in answers)
    assert 86400 - 1100 < float(str(stored(shared, "/sets/aged.bin")["ttl"])) <= 86400 - 1000
