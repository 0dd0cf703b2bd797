"""Files of a package index, imitated after PyPI: held against the digest in the index, and led to by its links."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dataset_mirror.mirror import running
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.settings import load
from dataset_mirror.store.store import Store
from tests.imitations.pypi import FILES, INDEX, JSON, Index
from tests.imitations.server import Said
from tests.imitations.web import Web
from tests.origin import Origin
from tests.serving import HOST, PATIENCE, URL, Mirror

HTML = "text/html"


@pytest.fixture(scope="module")
def index() -> Index:
    known = Index()
    for name in ("tiny", "two_words", "bad", "worse", "alone"):
        known.add(name, "1.0")
    known.damaged |= {file for name in ("bad", "worse") for file in known.projects[name]}
    known.damaged.add("two_words-1.0-py3-none-any.whl.metadata")
    return known


@pytest.fixture(scope="module")
def web(index: Index) -> Iterator[Web]:
    with Web(index.sites) as running:
        yield running


@pytest.fixture(scope="module")
def mirror(web: Web, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    with Mirror(tmp_path_factory.mktemp("pypi") / "data", presets=["pypi"], upstreams=web.upstreams, grace=1) as running:
        yield running


def path_of(index: Index, name: str, ending: str = "") -> str:
    return "/" + index.url(f"{name}-1.0-py3-none-any.whl").removeprefix("https://") + ending


@pytest.mark.parametrize("accept", [HTML, JSON])
def test_links_of_the_index(accept: str, mirror: Mirror, index: Index) -> None:
    """In a page that was asked for by the mirror's address links to files lead to the mirror; tag, length and digest are its own."""
    for _ in range(2):
        answer = mirror.get(f"/{INDEX}/simple/tiny/", fields={"Accept": accept})
        assert answer.status == 200
        assert f"{mirror.url}{path_of(index, 'tiny')}".encode() in answer.body
        assert f"https://{FILES}".encode() not in answer.body
        assert answer.fields["repr-digest"].startswith("sha-256=:")
        assert int(answer.fields["content-length"]) == len(answer.body)
    again = mirror.get(f"/{INDEX}/simple/tiny/", fields={"Accept": accept, "If-None-Match": answer.fields["etag"]})
    assert again.status == 304
    head = mirror.get(f"/{INDEX}/simple/tiny/", "HEAD", {"Accept": accept})
    assert (head.fields["etag"], head.fields["content-length"]) == (answer.fields["etag"], answer.fields["content-length"])


def test_the_index_as_it_is(mirror: Mirror, index: Index, web: Web) -> None:
    """A client that names the index's own host gets its very bytes."""
    plain = mirror.get("/simple/tiny/", fields={"Host": INDEX, "Accept": JSON})
    assert plain.body == index._json("tiny", index.projects["tiny"])


@pytest.mark.parametrize("accept", [HTML, JSON])
def test_a_wheel_by_its_digest(accept: str, mirror: Mirror, index: Index, web: Web) -> None:
    """A file that the stored index lists is verified by it, and so is its metadata; nobody is asked for the index again."""
    name = "tiny" if accept == HTML else "two_words"
    mirror.get(f"/{INDEX}/simple/{name.replace('_', '-')}/", fields={"Accept": accept})
    web.forget()
    answer = mirror.get(path_of(index, name))
    assert answer.status == 200
    assert [asked.target.split("/")[1] for asked in web.asked] == [FILES]
    listed = json.loads(mirror.get(f"/status/archives?prefix={path_of(index, name)[1:]}").body)["archives"]
    assert [archive["state"] for archive in listed] == ["verified"]


def test_a_wheel_that_nobody_looked_up(mirror: Mirror, index: Index, web: Web) -> None:
    """A file of a project whose index is not stored is looked up there first."""
    web.forget()
    assert mirror.get(path_of(index, "alone")).status == 200
    assert [asked.target for asked in web.asked_of(INDEX)] == ["/simple/alone/"]


@pytest.mark.parametrize(("name", "ending"), [("bad", ""), ("two_words", ".metadata")])
def test_other_bytes(name: str, ending: str, mirror: Mirror, index: Index) -> None:
    """Bytes that differ from the index's digest are refused, whether the index is stored or not, and are not kept."""
    for _ in range(2):
        answer = mirror.get(path_of(index, name, ending))
        assert answer.status == 502
        assert "its index has" in answer.problem["detail"]
        mirror.get(f"/{INDEX}/simple/{name.replace('_', '-')}/", fields={"Accept": JSON})
    assert not any(hashlib.sha256(blob.read_bytes()).hexdigest() != blob.name for blob in mirror.blobs)


def test_an_index_that_fails(mirror: Mirror, index: Index, web: Web) -> None:
    """Without an index there is nothing to compare with: the file comes, for its client to check."""
    there = web.sites[INDEX]
    web.sites[INDEX] = lambda _: Said(503)
    try:
        answer = mirror.get(path_of(index, "worse"))
    finally:
        web.sites[INDEX] = there
    assert answer.status == 200


async def test_an_index_that_drips_holds_nobody_up(origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index that sends a byte now and then is left alone after a while: the file comes, and its client looks for itself."""
    monkeypatch.setattr("dataset_mirror.fetch.promises.SECONDS", 0.3)
    origin.add("/simple/a/", b"<a href='x'>x</a>" * 1000, rate=100, content_type=HTML)
    origin.add("/sets/a-1.0.zip", b"PK\x03\x04" + bytes(1000))
    rule = {"match": "/sets/*", "index": "https://index.example.org/simple/{project}/"}
    origins = [{"url": URL, "paths": ["/sets/"], "rules": [rule]}, {"url": "https://index.example.org", "paths": ["/simple/"]}]
    flags = {"data": tmp_path, "presets": [], "origins": origins, "upstreams": {HOST: [origin.url], "index.example.org": [origin.url]}}
    with closing(Store(tmp_path)) as store:
        async with running(load(flags=flags), store) as heart, asyncio.timeout(PATIENCE):
            fill = heart.fill(heart.asked(ArchiveId(HOST, "/sets/a-1.0.zip")))
            await fill.ended()
    assert fill.record is not None
    assert len(origin.gets("/simple/a/")) == 1
