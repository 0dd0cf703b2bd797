"""Lists and details: what is stored, archive by archive and dataset by dataset."""

import asyncio
import json
import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from dataset_mirror.main import assemble, open_mirror
from dataset_mirror.settings import load
from dataset_mirror.status.catalog import catalog_of
from dataset_mirror.store import damaged
from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, PATIENCE, URL, Mirror
from tests.store import archive, record
from tests.waiting import until

SIZES = {"/sets/a.bin": 3000, "/sets/b.bin": 1000, "/sets/c.bin": 2000}


@pytest.fixture(scope="module")
def mirror(start_shared_mirror: StartMirror, shared_origin: Origin) -> Mirror:
    """A mirror with three archives, of which a and the missing d are the dataset sets/ad."""
    mirror = start_shared_mirror(archives=[{"url": f"{URL}/sets/{name}.bin", "name": "sets/ad"} for name in "ad"])
    for path, size in SIZES.items():
        shared_origin.add(path, body(size, size))
        assert mirror.archive(path).status == 200
    return mirror


def asked(mirror: Mirror, page: str) -> Any:
    answer = mirror.get(page)
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def names(page: dict[str, Any]) -> list[str]:
    return [line["url"].removeprefix(URL) for line in page["archives"]]


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("", "abc"),
        ("?sort=size", "bca"),
        ("?sort=size&descending=true&limit=2", "ac"),
        ("?sort=fetched&descending=true", "cba"),
        ("?sort=used", "abc"),
        (f"?origin={HOST}", "abc"),
        ("?origin=other.example.org", ""),
        ("?state=verified", ""),
        ("?state=computed", "abc"),
        (f"?prefix={URL}/sets/b", "b"),
        (f"?prefix={HOST}/sets/b", "b"),
        ("?q=SETS/B", "b"),
        ("?q=sets/&sort=size", "bca"),
        ("?q=ts/AD", "a"),
        ("?q=ts/AD&sort=size", "a"),
        ("?q=nothing", ""),
        ("?last_used_before=2020-01-01T00:00:00Z&sort=size", ""),
        ("?last_used_before=2999-01-01T00:00:00Z&sort=size", "bca"),
    ],
)
def test_lists(mirror: Mirror, question: str, found: str) -> None:
    """Archives come in the order, and with the filters, that were asked for."""
    assert names(asked(mirror, f"/status/archives{question}")) == [f"/sets/{name}.bin" for name in found]


def test_pages(mirror: Mirror) -> None:
    """`next` leads from page to page to the end."""
    seen, after = [], ""
    while after is not None:
        page = asked(mirror, f"/status/archives?sort=size&limit=1&after={after}" if after else "/status/archives?sort=size&limit=1")
        seen += names(page)
        after = page["next"]
    assert seen == ["/sets/b.bin", "/sets/c.bin", "/sets/a.bin"]


@pytest.mark.parametrize("state", ["", "damaged"])
async def test_pages_of_damaged_archives(tmp_path: Path, state: str) -> None:
    """What is damaged comes at the end, by name, and no page has more than its limit, however much that is."""
    inside = open_mirror(load(None, {"data": tmp_path / "data"}))
    with inside.store.index.transaction() as writing:
        for number in range(3):
            writing.publish(record(b"x", archive(f"/stored-{number}.bin")), used=1.0)
        for number in range(5):
            damaged.add(writing.connection, record(b"x", archive(f"/lost-{number}.bin")), 1.0)
    app = httpx.ASGITransport(assemble(inside, 80).app)
    seen, after = list[str](), ""
    async with httpx.AsyncClient(transport=app, base_url="http://localhost") as client:
        while after is not None:
            asked = {"limit": "2", "after": after, "state": state}
            page = (await client.get("/status/archives", params={name: value for name, value in asked.items() if value})).json()
            assert len(page["archives"]) <= 2
            seen += names(page)
            after = page["next"]
        assert "lost-0" in (await client.get("/archives?after=damaged")).text
    inside.store.close()
    stored = [] if state else [f"/stored-{number}.bin" for number in range(3)]
    assert seen == stored + [f"/lost-{number}.bin" for number in range(5)]


async def test_what_looks_at_many_archives(tmp_path: Path) -> None:
    """The catalog is looked through while the store's worker does something else: no download waits for that."""
    inside, began, over = open_mirror(load(None, {"data": tmp_path / "data"})), threading.Event(), threading.Event()

    def other_work() -> None:
        began.set()
        over.wait()

    at_work = asyncio.ensure_future(inside.store.in_worker(other_work))
    try:
        await asyncio.to_thread(began.wait)
        async with asyncio.timeout(PATIENCE):
            assert (await catalog_of(inside)).datasets
    finally:
        over.set()
        await at_work
        inside.store.close()


@pytest.mark.parametrize(
    "question", ["sort=colour", "limit=0", "limit=1001", "limit=many", "state=bad", "after=nonsense", "sort=size&prefix=a"]
)
def test_a_question_that_is_none(mirror: Mirror, question: str) -> None:
    """A wrong sort, limit, state or cursor is a 400 that names it."""
    problem = mirror.get(f"/status/archives?{question}")
    assert problem.status == 400
    assert question.split("=")[0].split("&")[0] in problem.problem["detail"] or "prefix" in question


def test_one_archive(mirror: Mirror) -> None:
    """Everything about one archive: what lists say, validators, where its digest is known from, age, and its path here."""
    answer = mirror.head("/sets/a.bin")  # a GET would be a use, and tests come in any order
    known = asked(mirror, f"/status/archive?url={quote(URL + '/sets/a.bin')}")
    assert (known["name"], known["size"], known["etag"]) == ("sets/ad", 3000, answer.fields["etag"])
    assert (known["digest_from"], known["state"], known["private"], known["expected"]) == ("computed", "computed", False, [])
    assert 86_000 < known["ttl"] <= 86_400
    assert 0 <= known["age"] < 60
    assert mirror.get(known["at"], "HEAD").fields["etag"] == answer.fields["etag"]
    (version,) = known["versions"]
    assert (version["sha256"], version["current"]) == (known["sha256"], True)


def test_an_archive_that_is_not_stored(mirror: Mirror) -> None:
    """It is a 404 that leads to the page that explains what a request would do."""
    problem = mirror.get(f"/status/archive?url={URL}/sets/none.bin")
    assert problem.status == 404
    assert "/status/explain" in problem.problem["hint"]
    assert mirror.get("/status/archive").status == 400
    assert mirror.get("/status/archive?url=ftp://x/y").status == 400


def test_history(origin: Origin, start_mirror: StartMirror) -> None:
    """An archive that changed at its origin shows both versions, the served one first, and its state tells it."""
    mirror = start_mirror(origins=[{"url": URL, "paths": ["/sets/"], "freshness": "0s"}])
    origin.add("/sets/a.bin", body(1000, 1), etag='"1"')
    mirror.archive("/sets/a.bin")
    origin.change("/sets/a.bin", body=body(2000, 2), etag='"2"')
    mirror.archive("/sets/a.bin")
    until(lambda: mirror.archive("/sets/a.bin").body == body(2000, 2))
    known = asked(mirror, f"/status/archive?url={URL}/sets/a.bin")
    assert known["state"] == "changed"
    assert [(version["size"], version["current"]) for version in known["versions"]] == [(2000, True), (1000, False)]
    assert names(asked(mirror, "/status/archives?state=changed")) == ["/sets/a.bin"]


def test_the_catalog(mirror: Mirror) -> None:
    """A dataset is complete when all of its archives are there, and verified when all have the catalog's digests."""
    datasets = {dataset["name"]: dataset for dataset in asked(mirror, "/status/catalog")["datasets"]}
    ad = datasets["sets/ad"]
    assert (ad["complete"], ad["verified"], ad["size"]) == (False, False, 3000)
    assert [archive["state"] for archive in ad["archives"]] == ["computed", "missing"]
    assert "keras/mnist" in datasets


def test_a_verified_dataset(origin: Origin, start_mirror: StartMirror) -> None:
    """With the right digest it is complete and verified."""
    import hashlib

    data = body(1000)
    origin.add("/sets/a.bin", data)
    mirror = start_mirror(archives=[{"url": f"{URL}/sets/a.bin", "name": "sets/a", "sha256": hashlib.sha256(data).hexdigest()}])
    mirror.archive("/sets/a.bin")
    (dataset,) = (each for each in asked(mirror, "/status/catalog")["datasets"] if each["name"] == "sets/a")
    assert (dataset["complete"], dataset["verified"], dataset["size"]) == (True, True, 1000)


def test_a_fill_has_rate_and_end(origin: Origin, start_mirror: StartMirror) -> None:
    """While an archive is fetched its rate is told, and when it will be there."""
    mirror = start_mirror()
    origin.add("/sets/slow.bin", body(4_000_000), rate=1_000_000)
    import socket

    with socket.create_connection(("127.0.0.1", mirror.port), 10) as client:
        client.sendall(f"GET /{HOST}/sets/slow.bin HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        got = 0
        while got < 500_000:
            got += len(client.recv(65536))
        (fill,) = asked(mirror, "/status/fills")
        store = mirror.status["store"]
    assert 200_000 < fill["rate"] < 4_000_000
    assert 0.5 < fill["eta"] < 20
    assert 0 < store["promised"] <= 4_000_000
    assert (store["path"], store["max_size"], store["min_free"]) == (str(mirror.data), None, 1_000_000_000)


def test_every_answer_has_an_example(mirror: Mirror) -> None:
    """/openapi.json has all routes that change the mirror, and each model's fields have examples or plain kinds."""
    known = asked(mirror, "/openapi.json")
    paths = {path for path in known["paths"] if path.startswith(("/api/", "/status"))}
    assert paths >= {f"/api/{verb}" for verb in ("fetch", "rm", "verify", "gc", "reload")}
    assert paths >= {f"/status{page}" for page in ("", "/archives", "/archive", "/fills", "/catalog", "/explain")}
    summary = known["components"]["schemas"]["ArchiveSummary"]["properties"]
    assert [name for name, field in summary.items() if not {"examples", "$ref", "enum"} & field.keys()] == []
