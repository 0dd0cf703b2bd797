"""The gateway: how archives are named, and the head that they leave with."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, URL, Mirror

DATA = body(300_000, 7)
SHA256 = hashlib.sha256(DATA).hexdigest()
MODIFIED = "Tue, 02 Jan 2024 03:04:05 GMT"


@pytest.fixture(scope="module")
def shared(start_shared_mirror: StartMirror) -> Mirror:
    """One mirror for this module; each test has archives of its own."""
    return start_shared_mirror()


@pytest.fixture(scope="module")
def kept(shared: Mirror, shared_origin: Origin) -> str:
    """The path of an archive that the mirror has."""
    shared_origin.add("/sets/kept.bin", DATA, last_modified=MODIFIED)
    assert shared.archive("/sets/kept.bin").body == DATA
    return "/sets/kept.bin"


def test_all_forms_of_a_url_lead_to_the_same_bytes(shared: Mirror, shared_origin: Origin) -> None:
    """Path form, bare path, Host form and absolute form give the same bytes with one GET at the origin."""
    shared_origin.add("/sets/forms.bin", DATA)
    answers = [
        shared.archive("/sets/forms.bin"),
        shared.get("/sets/forms.bin"),
        shared.get("/sets/forms.bin", fields={"Host": HOST}),
        shared.get("/sets/forms.bin", fields={"Host": f"{HOST}:{shared.port}"}),
        shared.get(f"http://{HOST}/sets/forms.bin"),
    ]
    assert [(answer.status, answer.body == DATA) for answer in answers] == [(200, True)] * 5
    assert len(shared_origin.gets("/sets/forms.bin")) == 1


@pytest.mark.parametrize("etag", ['"of-the-origin"', None])
def test_the_etag_outlives_the_origin(mirror: Mirror, origin: Origin, etag: str | None) -> None:
    """Bytes and ETag stay the same over a restart with --offline while the origin is gone."""
    origin.add("/sets/a.bin", DATA, etag=etag)
    mirror.archive("/sets/a.bin")
    before = mirror.archive("/sets/a.bin")
    origin.stop()
    mirror.restart("--offline")
    after = mirror.archive("/sets/a.bin")
    assert before.fields["etag"] == after.fields["etag"] == (etag or f'"sha256-{SHA256}"')
    assert after.body == DATA


def test_first_a_miss_then_a_hit(shared: Mirror, shared_origin: Origin) -> None:
    """Cache-Status says fwd=miss for what had to be fetched, and hit afterwards."""
    shared_origin.add("/sets/miss.bin", DATA)
    first, second = (shared.archive("/sets/miss.bin").fields["cache-status"] for _ in range(2))
    assert first.startswith("dataset-mirror; fwd=miss")
    assert second.startswith("dataset-mirror; hit; ttl=")


def test_fields_of_every_archive(shared: Mirror, kept: str) -> None:
    """An archive leaves with its digest and age, with ranges offered, and harmless to a browser."""
    fields = shared.archive(kept).fields
    assert fields["repr-digest"] == f"sha-256=:{base64.b64encode(bytes.fromhex(SHA256)).decode()}:"
    assert int(fields["age"]) >= 0
    assert fields["x-content-type-options"] == "nosniff"
    assert fields["content-security-policy"] == "sandbox"
    assert fields["accept-ranges"] == "bytes"
    assert fields["content-length"] == str(len(DATA))
    assert fields["content-encoding"] is None


def test_which_fields_of_the_origin_are_replayed(shared: Mirror, shared_origin: Origin) -> None:
    """What describes the archive is kept; what is meant for a session, a proxy or another protocol is dropped, miss or hit."""
    kept = {"Content-Disposition": 'attachment; filename="a.bin"', "x-goog-hash": "crc32c=AAAAAA=="}
    dropped = {"Set-Cookie": "a=b", "X-Accel-Redirect": "/etc/", "Alt-Svc": 'h3=":443"', "Link": '<https://x.example/>; rel="xet-auth"'}
    shared_origin.add("/sets/fields.bin", DATA, content_type="application/x-tar", last_modified=MODIFIED, headers=kept | dropped)
    for _ in range(2):
        fields = shared.archive("/sets/fields.bin").fields
        assert {name: fields[name] for name in kept} == kept
        assert (fields["content-type"], fields["last-modified"]) == ("application/x-tar", MODIFIED)
        assert [name for name in dropped if name in fields] == []


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        pytest.param("bytes=0-0", 0, 1, id="first byte"),
        pytest.param("bytes=100-199", 100, 200, id="middle"),
        pytest.param("bytes=299000-", 299_000, 300_000, id="open"),
        pytest.param("bytes=-500", 299_500, 300_000, id="suffix"),
        pytest.param("bytes=299999-999999", 299_999, 300_000, id="beyond the end"),
    ],
)
def test_single_ranges(shared: Mirror, kept: str, wanted: str, start: int, end: int) -> None:
    """A single range gives 206 with exactly those bytes."""
    answer = shared.archive(kept, range=wanted)
    assert (answer.status, answer.fields["content-range"]) == (206, f"bytes {start}-{end - 1}/{len(DATA)}")
    assert answer.body == DATA[start:end]


@pytest.mark.parametrize("wanted", ["bytes=300000-", "bytes=-0"])
def test_range_outside(shared: Mirror, kept: str, wanted: str) -> None:
    """A range that has no byte gives 416 with the size."""
    answer = shared.archive(kept, range=wanted)
    assert (answer.status, answer.fields["content-range"], answer.body) == (416, f"bytes */{len(DATA)}", b"")


def test_several_ranges(shared: Mirror, kept: str) -> None:
    """Several ranges give the whole."""
    answer = shared.archive(kept, range="bytes=0-1,5-9")
    assert (answer.status, answer.body == DATA) == (200, True)


def test_range_of_what_is_missing(shared: Mirror, shared_origin: Origin) -> None:
    """A range of an archive that is not there fetches the whole once, and gives the range."""
    shared_origin.add("/sets/cold.bin", DATA)
    answer = shared.archive("/sets/cold.bin", range="bytes=1000-1999")
    assert (answer.status, answer.body) == (206, DATA[1000:2000])
    assert shared.archive("/sets/cold.bin").body == DATA
    assert len(shared_origin.gets("/sets/cold.bin")) == 1


@pytest.mark.parametrize(("condition", "status"), [('"v1"', 206), ('"v2"', 200), ('W/"v1"', 200), (MODIFIED, 206)])
def test_if_range(shared: Mirror, kept: str, condition: str, status: int) -> None:
    """A range is given only of the bytes that If-Range names by a strong validator; else the whole."""
    answer = shared.archive(kept, range="bytes=10-19", if_range=condition)
    assert (answer.status, answer.body) == (status, DATA[10:20] if status == 206 else DATA)


@pytest.mark.parametrize("condition", ['"v1"', 'W/"v1"', '"other", "v1"', "*"])
def test_if_none_match(shared: Mirror, kept: str, condition: str) -> None:
    """Who has these bytes gets 304 with the ETag and no body."""
    answer = shared.archive(kept, if_none_match=condition)
    assert (answer.status, answer.fields["etag"], answer.body) == (304, '"v1"', b"")


def test_if_none_match_of_other_bytes(shared: Mirror, kept: str) -> None:
    """Who has other bytes gets the whole, whatever If-Modified-Since says."""
    assert shared.archive(kept, if_none_match='"v2"', if_modified_since=MODIFIED).status == 200
    assert shared.archive(kept, if_modified_since=MODIFIED).status == 304


def test_head_of_what_is_missing(shared: Mirror, shared_origin: Origin) -> None:
    """HEAD of an archive that is not there is a HEAD at the origin, and never a download."""
    shared_origin.add("/sets/head.bin", DATA, last_modified=MODIFIED)
    answer = shared.head("/sets/head.bin")
    assert (answer.status, answer.body, answer.fields["content-length"]) == (200, b"", str(len(DATA)))
    assert (answer.fields["etag"], answer.fields["last-modified"]) == ('"v1"', MODIFIED)
    assert (len(shared_origin.heads("/sets/head.bin")), len(shared_origin.gets("/sets/head.bin"))) == (1, 0)


def test_head_of_what_is_there(shared: Mirror, shared_origin: Origin, kept: str) -> None:
    """HEAD of an archive that is there says what GET says, and asks nobody."""
    head, get = shared.head(kept), shared.archive(kept)
    drop = {"age", "date"}
    assert [each for each in head.fields.items() if each[0] not in drop] == [each for each in get.fields.items() if each[0] not in drop]
    assert (head.body, shared_origin.heads(kept)) == (b"", [])


def test_head_that_the_origin_refuses(shared: Mirror, shared_origin: Origin) -> None:
    """An origin that refuses HEAD is asked by GET, and the fill that this starts answers."""
    shared_origin.add("/sets/no-head.bin", DATA, refuse_head=405)
    answer = shared.head("/sets/no-head.bin")
    assert (answer.status, answer.body, answer.fields["content-length"]) == (200, b"", str(len(DATA)))
    assert shared.archive("/sets/no-head.bin").body == DATA
    assert len(shared_origin.gets("/sets/no-head.bin")) == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_other_methods(shared: Mirror, kept: str, method: str) -> None:
    """Any method but GET and HEAD gets 405 with those that are right."""
    answer = shared.get(f"/{HOST}{kept}", method)
    assert (answer.status, answer.fields["allow"]) == (405, "GET, HEAD")
    assert answer.problem["type"] == "urn:dataset-mirror:method-not-allowed"


def test_unknown_host(shared: Mirror) -> None:
    """A host that no origin names gets 403 with the command and the lines of configuration that allow it."""
    problem = shared.get("/elsewhere.example.net/files/a.zip").problem
    assert problem["status"] == 403
    assert problem["command"] == "dataset-mirror add 'https://elsewhere.example.net/files/a.zip'"
    assert problem["configuration"] == ["[[origins]]", 'url = "https://elsewhere.example.net"', 'paths = ["/files/"]']


def test_unlisted_path(shared: Mirror, shared_origin: Origin) -> None:
    """A path that its origin does not list gets 403, and the origin is not asked."""
    assert shared.archive("/private/a.zip").problem["command"] == f"dataset-mirror add '{URL}/private/a.zip'"
    assert shared_origin.gets("/private/a.zip") == []


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not installed")
def test_sha256sum_accepts_the_digest(shared: Mirror, kept: str, tmp_path: Path) -> None:
    """`/sha256/HOST/PATH` is a file that `sha256sum -c` reads."""
    (tmp_path / "kept.bin").write_bytes(DATA)
    line = shared.get(f"/sha256/{HOST}{kept}").body
    run = subprocess.run(["sha256sum", "-c"], input=line, cwd=tmp_path, capture_output=True, check=False)
    assert (run.returncode, run.stdout) == (0, b"kept.bin: OK\n")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_resumes(shared: Mirror, kept: str, tmp_path: Path) -> None:
    """`curl -C -` completes a half file."""
    (tmp_path / "kept.bin").write_bytes(DATA[:123_456])
    subprocess.run(["curl", "-qsSfO", "-C", "-", "--noproxy", "*", shared.at(kept)], cwd=tmp_path, check=True)
    assert (tmp_path / "kept.bin").read_bytes() == DATA
