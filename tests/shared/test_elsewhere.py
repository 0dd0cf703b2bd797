"""What only other mirrors have: people find it, take it along, and remove it, at a mirror that never had it."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from dataset_mirror.store.listing import Query
from dataset_mirror.store.store import Store
from tests.airgap.bundles import exported, stored
from tests.clients.hubs import HOST as HUB
from tests.clients.hubs import filled, mirror_of
from tests.imitations.huggingface import Hub
from tests.origin import Origin, body
from tests.serving import HOST, URL, Mirror
from tests.shared.cluster import Cluster, fresh_bucket, fresh_database, kept
from tests.shared.test_verbs import command
from tests.store import archive, record
from tests.waiting import until

SIZE = 300_000
THERE = f"{URL}/sets/there.bin"


@pytest.fixture(scope="module")
def cluster(shared_origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Mirrors for all tests here."""
    with Cluster(shared_origin, tmp_path_factory.mktemp("mirrors"), fresh_database(), fresh_bucket()) as made:
        yield made


@pytest.fixture(scope="module")
def first(cluster: Cluster) -> Mirror:
    """One that has an archive, which the bucket has, too; its origin does not have it any more."""
    cluster.origin.add("/sets/there.bin", body(SIZE))
    mirror = cluster.start()
    mirror.archive("/sets/there.bin")
    until(kept(cluster), "the bucket has it")
    cluster.origin.add("/sets/there.bin", b"", status=500)
    return mirror


@pytest.fixture(scope="module")
def second(cluster: Cluster, first: Mirror) -> Mirror:
    """One that never had anything."""
    return cluster.start()


@pytest.fixture(scope="module")
def folder(cluster: Cluster, first: Mirror) -> Path:
    """The data folder of a mirror that does not run, and never had anything."""
    Store(cluster.folder / "folder").close()
    return cluster.folder / "folder"


@pytest.fixture(scope="module")
def changing(shared_origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Others, for tests that bring something or remove it."""
    with Cluster(shared_origin, tmp_path_factory.mktemp("changing"), fresh_database(), fresh_bucket()) as made:
        yield made


@pytest.fixture(scope="module")
def giver(changing: Cluster) -> Mirror:
    """One of them that is asked for archives."""
    return changing.start()


@pytest.fixture(scope="module")
def other(changing: Cluster) -> Mirror:
    """One of them that nobody asked for anything."""
    return changing.start()


def test_listed(cluster: Cluster, folder: Path) -> None:
    """`ls` has it last, and says where it is."""
    done = command(cluster, folder, "ls")
    (line,) = done.stdout.splitlines()
    assert line.split() == ["300", "kB", "computed", "in", "the", "bucket", THERE]
    assert "1 archive, 300 kB; 1 of them only in the bucket" in done.stderr


@pytest.mark.parametrize("beside", ["folder", "second"])
def test_found_by_name(request: pytest.FixtureRequest, cluster: Cluster, beside: str) -> None:
    """It is found by what people name, without a server and by one, and nothing of it is fetched."""
    known = request.getfixturevalue(beside)
    data = known.data if isinstance(known, Mirror) else known
    words = [THERE] if isinstance(known, Mirror) else [THERE, f"{URL}/sets/th*", "there.bin"]
    (one,) = map(json.loads, command(cluster, data, "ls", "--json", *words).stdout.splitlines())
    assert (one["url"], one["where"], one["sha256"]) == (THERE, "bucket", sha256(body(SIZE)).hexdigest())
    assert not list((data / "blobs").glob("sha256/*/*"))


def test_page_by_page(first: Mirror, second: Mirror) -> None:
    """A list of what is only in the bucket has pages and filters; where it is here it is not in it; a lone list is as it was."""
    there = "/status/archives?where=bucket"
    assert [one["url"] for one in json.loads(second.get(f"{there}&limit=1&prefix={HOST}/sets/").body)["archives"]] == [THERE]
    assert json.loads(second.get(f"{there}&origin=elsewhere.example.org").body)["archives"] == []
    assert json.loads(second.get(f"{there}&q=nothing").body)["archives"] == []
    assert json.loads(first.get(there).body)["archives"] == []
    assert json.loads(second.get("/status/archives").body) == {"archives": [], "next": None}
    assert [one["where"] for one in json.loads(first.get("/status/archives").body)["archives"]] == ["here"]


def test_explained(cluster: Cluster, folder: Path, second: Mirror) -> None:
    """`explain` says that it comes from the bucket, and that its origin is not asked; so does the page of the archive."""
    assert b"It is not stored here; the bucket" in second.get(f"/archives/{HOST}/sets/there.bin").body
    done = command(cluster, folder, "explain", THERE)
    assert done.returncode == 0
    assert f"MISS (200)  {THERE}\n  It is not stored here; the bucket {cluster.bucket['url']} has it: 300,000 bytes" in done.stdout
    assert f"Fetched from:   {cluster.bucket['url']}" in done.stdout


def test_checked(cluster: Cluster, folder: Path, second: Mirror) -> None:
    """`check` counts it as there: no origin need be asked for it."""
    (there,) = json.loads(second.get(f"/status/check?url={THERE}").body)["archives"]
    assert (there["present"], there["verified"], there["size"]) == (True, False, SIZE)
    (folder.parent / "needs.txt").write_text(f"{THERE}\n")
    done = command(cluster, folder, "check", str(folder.parent / "needs.txt"))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("which", [THERE, "--all"])
def test_exported(cluster: Cluster, folder: Path, tmp_path: Path, which: str) -> None:
    """A bundle has it, by name or with everything, from the bucket and without a copy in the folder."""
    done = command(cluster, folder, "export", str(tmp_path / "bundle.tar"), which)
    assert done.returncode == 0, done.stderr
    with tarfile.open(tmp_path / "bundle.tar") as opened:
        assert body(SIZE) in [opened.extractfile(one).read() for one in opened if one.size == SIZE]  # type: ignore[union-attr]
    assert not list((folder / "blobs").glob("sha256/*/*"))


def test_pinned(cluster: Cluster, first: Mirror) -> None:
    """A glob that is pinned brings what only the bucket has."""
    with cluster.mirror() as mirror:
        assert command(cluster, mirror.data, "pin", f"{URL}/sets/*").returncode == 0
        until(lambda: len(mirror.blobs) == 1, "it comes from the bucket")


def test_offline(cluster: Cluster, first: Mirror) -> None:
    """A mirror that is offline has from the bucket what is pinned and what is asked for, and says so; no origin is asked."""
    asked, lost = len(cluster.origin.requests), f"{URL}/sets/lost.bin"
    with cluster.mirror(offline=True) as mirror:
        why = json.loads(mirror.get(f"/status/explain?url={THERE}").body)
        assert (why["outcome"], why["asked"]) == ("miss", [cluster.bucket["url"]])
        assert command(cluster, mirror.data, "pin", f"{URL}/sets/*", lost).returncode == 0
        until(lambda: len(mirror.blobs) == 1, "what is pinned comes from the bucket")
        assert mirror.archive("/sets/there.bin").body == body(SIZE)
        assert [(pin["archives"], pin["present"]) for pin in mirror.status["pins"]] == [(1, 1), (1, 0)]
        assert mirror.archive("/sets/lost.bin").status == 504
    assert len(cluster.origin.requests) == asked


def test_removed(changing: Cluster, giver: Mirror, other: Mirror) -> None:
    """`rm` at a mirror that never had it removes it from all, and from what all know; a second time there is nothing."""
    changing.origin.add("/sets/gone.bin", body(SIZE, 2))
    before = giver.blobs
    giver.archive("/sets/gone.bin")
    digest = sha256(body(SIZE, 2)).hexdigest()
    until(lambda: changing.rows(f"SELECT state FROM objects WHERE sha256 = '{digest}'") == [("kept",)], "the bucket has it")
    done = command(changing, other.data, "rm", "--yes", "gone.bin")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0].split() == ["300", "kB", f"{URL}/sets/gone.bin", "(only", "in", "the", "bucket)"]
    until(lambda: giver.blobs == before, "the other one has removed it")
    assert changing.rows("SELECT count(*) FROM versions WHERE key LIKE '%gone.bin'") == [(0,)]
    assert command(changing, other.data, "rm", "--yes", "gone.bin").returncode == 2


def test_the_database_is_away(cluster: Cluster, tmp_path: Path) -> None:
    """What is here is listed, and that more may be elsewhere is said; nothing is exported that only looks like everything."""
    away = Cluster(cluster.origin, tmp_path, "postgresql://mirror@127.0.0.1:9/mirrors", cluster.bucket)
    Store(tmp_path / "data").close()
    for words in (("ls",), ("rm", "--yes", THERE), ("export", str(tmp_path / "all.tar"), "--all")):
        done = command(away, tmp_path / "data", *words)
        assert done.returncode != 0
        assert "What only the bucket has is not known: the shared database is away" in done.stderr
    assert not (tmp_path / "all.tar").exists()


@pytest.mark.parametrize("verb", ["import", "adopt"])
def test_brought_by_hand(changing: Cluster, giver: Mirror, other: Mirror, tmp_path: Path, verb: str) -> None:
    """What is imported or adopted beside one mirror is there for all, and no origin is asked."""
    path, content = f"/sets/by-{verb}.bin", body(SIZE, len(verb))
    if verb == "adopt":
        source = tmp_path / HOST / path[1:]
        source.parent.mkdir(parents=True)
        source.write_bytes(content)
        source = tmp_path
    else:
        outside = Store(tmp_path / "outside")
        stored(outside, content, record(content, archive(path)))
        source = tmp_path / "bundle.tar"
        source.write_bytes(exported(outside, [line.record for line in outside.index.every(Query())]))
        outside.close()
    done = command(changing, other.data, verb, str(source))
    assert done.returncode == 0, done.stdout + done.stderr
    until(lambda: changing.rows(f"SELECT count(*) FROM versions WHERE key LIKE '%{path}'") == [(1,)], "all know it")
    assert giver.archive(path).body == content
    assert not changing.origin.gets(path)


def test_readers_are_those_of_the_mirror_that_is_asked(changing: Cluster, other: Mirror) -> None:
    """Bytes that one mirror fetched with credentials go to the readers of the one that is asked, and to nobody else."""
    changing.origin.add("/sets/private.bin", body(SIZE, 9))
    origin = {"url": URL, "paths": ["/sets/"], "headers": {"Authorization": "Bearer hush-4711"}}
    inside, outside = {"X-Forwarded-For": "10.1.2.3"}, {"X-Forwarded-For": "10.9.9.9"}
    one, another = (
        changing.start(origins=[{**origin, "readers": [readers]}], forwarded_allow_ips=["127.0.0.1"])
        for readers in ("10.1.0.0/16", "10.9.0.0/16")
    )
    path = f"/{HOST}/sets/private.bin"
    assert one.get(path, fields=inside).body == body(SIZE, 9)
    until(lambda: changing.rows("SELECT count(*) FROM versions WHERE key LIKE '%private.bin'") == [(1,)], "all know it")
    changing.origin.add("/sets/private.bin", b"no", status=403)
    assert one.get(path, fields=outside).status == 403
    assert another.get(path, fields=inside).status == 403
    assert another.get(path, fields=outside).body == body(SIZE, 9)
    assert other.get(path).status == 403


def test_what_an_origin_gives_to_some_only(changing: Cluster, tmp_path: Path) -> None:
    """It comes from the bucket to whom its origin lets in at the mirror that is asked, and to nobody else."""
    path = f"/{HUB}/org/gated/resolve/main/x.bin"
    good, other = {"Authorization": "Bearer good"}, {"Authorization": "Bearer other"}
    places = {"shared": changing.database, "bucket": changing.bucket}
    with Hub() as hub, mirror_of(filled(hub), tmp_path / "one", **places) as one, mirror_of(hub, tmp_path / "two", **places) as two:
        assert one.get(path, fields=good).body == b"gated" * 1000
        until(lambda: changing.rows("SELECT count(*) FROM versions WHERE key LIKE '%x.bin'") == [(1,)], "all know it")
        hub.forget()
        assert two.get(path, fields=good).body == b"gated" * 1000
        assert hub.store.sent == 0
        assert two.get(path).status == 401
        assert two.get(path, fields=other).status == 403


def test_pinned_as_others_publish_it(changing: Cluster, giver: Mirror) -> None:
    """What fits a pin comes as soon as another mirror has it; until it is here it is counted as missing."""
    away = {**changing.bucket, "endpoint": "http://127.0.0.1:9"}
    with changing.mirror(offline=True) as mirror, changing.mirror(offline=True, bucket=away) as unable:
        assert command(changing, mirror.data, "pin", f"{URL}/sets/later-*").returncode == 0
        changing.origin.add("/sets/later-1.bin", body(SIZE, 7))
        giver.archive("/sets/later-1.bin")
        until(lambda: len(mirror.blobs) == 1, "it comes")
        assert command(changing, unable.data, "pin", f"{URL}/sets/later-*").returncode == 0
        until(lambda: [(pin["archives"], pin["present"]) for pin in unable.status["pins"]] == [(1, 0)], "it is missing")
