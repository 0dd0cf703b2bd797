"""Git LFS through a mirror: its batch API, the objects by their digests, and git-lfs itself."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.hub import MODEL
from tests.clients.hubs import HOST, WAYS, filled, mirror_of
from tests.imitations.huggingface import Hub
from tests.serving import Answer, Mirror, environment

WEIGHTS, GATED = MODEL["model.safetensors"], b"gated" * 1000
MEDIA_TYPE = "application/vnd.git-lfs+json"
GOOD = {"Authorization": f"Basic {base64.b64encode(b'anna:good').decode()}"}
needs_git_lfs = pytest.mark.skipif(not shutil.which("git-lfs"), reason="git-lfs is not installed")


def batch(mirror: Mirror, content: bytes, repository: str = "org/model", operation: str = "download", **fields: str) -> Answer:
    """One object, asked for as git-lfs does."""
    wanted = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content)}
    asked = {"operation": operation, "transfers": ["lfs-standalone-file", "basic", "ssh"], "ref": {"name": "refs/heads/main"}}
    body = json.dumps({**asked, "objects": [wanted], "hash_algo": "sha256"}).encode()
    kinds = {"Accept": MEDIA_TYPE, "Content-Type": f"{MEDIA_TYPE}; charset=utf-8"}
    return mirror.get(f"/{HOST}/{repository}.git/info/lfs/objects/batch", "POST", kinds | fields, body)


def told(answer: Answer) -> dict[str, Any]:
    """What is said of the object."""
    assert answer.status == 200
    assert answer.fields["content-type"] == MEDIA_TYPE
    known: dict[str, Any] = json.loads(answer.body)["objects"][0]
    return known


def place(mirror: Mirror, answer: Answer) -> str:
    """Where the object is, at the mirror."""
    href: str = told(answer)["actions"]["download"]["href"]
    assert href.startswith(f"{mirror.url}/{HOST}/")
    return href.removeprefix(mirror.url)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as running:
        yield filled(running)


@pytest.fixture
def mirror(hub: Hub, tmp_path: Path) -> Iterator[Mirror]:
    with mirror_of(hub, tmp_path / "data") as running:
        yield running


def test_objects_come_from_the_mirror(mirror: Mirror, hub: Hub) -> None:
    """The answer leads to the mirror, which gets the object by a signature that nobody else sees, verifies it, and keeps it."""
    first = batch(mirror, WEIGHTS)
    assert b"Amz" not in first.body
    path = place(mirror, first)
    assert mirror.get(path).body == WEIGHTS
    hub.store.forget()
    again = mirror.get(place(mirror, batch(mirror, WEIGHTS)), fields={"Range": "bytes=10-19"})
    assert (again.status, again.body) == (206, WEIGHTS[10:20])
    assert hub.store.sent == 0
    lines = [json.loads(line) for line in mirror.get("/status/archives").body.splitlines()]
    assert [one["state"] for one in lines[0]["archives"]] == ["verified"]


def test_bytes_that_are_here_are_not_fetched(mirror: Mirror, hub: Hub) -> None:
    """An object whose bytes came as a file of the hub is answered by its digest, by HEAD and by GET."""
    commit = hub.repositories["model", "org/model"].refs["main"]
    assert mirror.get(f"/{HOST}/org/model/resolve/{commit}/model.safetensors").body == WEIGHTS
    hub.store.forget()
    path = place(mirror, batch(mirror, WEIGHTS))
    head, answer = mirror.get(path, "HEAD"), mirror.get(path)
    assert (head.status, head.fields["content-length"], answer.body) == (200, str(len(WEIGHTS)), WEIGHTS)
    assert hub.store.sent == 0


@pytest.mark.parametrize("how", ["gone", "offline"])
def test_nobody_can_be_asked(how: str, mirror: Mirror, hub: Hub) -> None:
    """With the hub gone, or offline, what is here is answered by its digest; of what is not here git-lfs hears why, and it is wanted."""
    assert mirror.get(f"/{HOST}/org/model/resolve/main/model.safetensors").body == WEIGHTS
    hub.play_dead()
    if how == "offline":
        mirror.restart("--offline")
    assert mirror.get(place(mirror, batch(mirror, WEIGHTS))).body == WEIGHTS
    missing = told(batch(mirror, b"another"))
    assert missing["error"]["code"] == 404
    wanted = json.loads(mirror.get("/status/wanted").body)["wanted"]
    assert [one["url"].rpartition("/")[2] for one in wanted] == [hashlib.sha256(b"another").hexdigest()]


def test_who_may_have_them(mirror: Mirror, hub: Hub) -> None:
    """Objects of a gated repository are for the password that the hub lets in, by whichever repository they are asked for."""
    assert batch(mirror, GATED, "org/gated").status == 401
    assert batch(mirror, GATED, "org/gated").fields["www-authenticate"].startswith("Bearer")
    answer = batch(mirror, GATED, "org/gated", **GOOD)
    fields = told(answer)["actions"]["download"]["header"]
    assert fields == GOOD
    path = place(mirror, answer)
    assert mirror.get(path).status == 401
    assert mirror.get(path, fields=fields).body == GATED
    assert mirror.get(path).status == 401
    other = path.replace("org/gated", "org/model")
    assert mirror.get(other).status == 404
    assert "error" in told(batch(mirror, GATED))
    hub.play_dead()
    mirror.restart("--offline")
    assert "error" in told(batch(mirror, GATED, "org/gated", **GOOD))
    assert mirror.get(path, fields=fields).status >= 400


def test_damage_and_nonsense(mirror: Mirror, hub: Hub) -> None:
    """Bytes that are not those of the digest are refused; what is no download is passed on to the hub, refusal and all."""
    path = place(mirror, batch(mirror, WEIGHTS))
    hub.damaged = True
    with pytest.raises(ConnectionResetError):
        mirror.get(path)
    assert mirror.blobs == []
    upload = batch(mirror, WEIGHTS, operation="upload")
    assert (upload.status, upload.body) == (422, b"Only downloads are imitated")
    assert mirror.get(path.rpartition("/")[0] + "/batch").status == 405
    assert mirror.get(path.rpartition("/")[0] + "/batch", "POST", content=b"{]").status >= 400


def test_objects_make_room(mirror: Mirror, hub: Hub, tmp_path: Path) -> None:
    """What the batch API still has may go like any archive that its origin confirms; what it has no more stays."""
    assert mirror.get(place(mirror, batch(mirror, WEIGHTS))).body == WEIGHTS
    mirror.stop()
    with mirror_of(hub, tmp_path / "data", max_size=1) as full:
        (found,) = json.loads(full.api("gc", dry_run=True).body)["garbage"]
        assert (found["kind"], found["size"]) == ("over the limit", len(WEIGHTS))
        hub.play_dead()
        assert json.loads(full.api("gc", dry_run=True).body)["garbage"] == []


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a pointer in the place of its one large file."""
    work = tmp_path_factory.mktemp("checkout") / "work"
    work.mkdir()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{hashlib.sha256(WEIGHTS).hexdigest()}\nsize {len(WEIGHTS)}\n"
    (work / "model.safetensors").write_text(pointer)
    (work / ".gitattributes").write_text("*.safetensors filter=lfs diff=lfs merge=lfs -text\n")
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    known = environment(work.parent, {}) | {"GIT_CONFIG_NOSYSTEM": "1"}
    for command in (["init", "-q", "-b", "main"], ["add", "."], [*author, "commit", "-qm", "x"], ["lfs", "install", "--local"]):
        subprocess.run(["git", *command], cwd=work, env=known, check=True, capture_output=True)
    return work


@needs_git_lfs
@pytest.mark.parametrize("way", WAYS)
def test_git_lfs(way: str, mirror: Mirror, hub: Hub, checkout: Path, tmp_path: Path) -> None:
    """`git lfs pull` gets objects through the mirror: cold, again without the store host, and offline."""
    for number in range(3):
        home = tmp_path / f"machine-{number}"
        known = (
            environment(home, {}) | WAYS[way](mirror, home) | {"GIT_TERMINAL_PROMPT": "0", "HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1"}
        )
        url = f"{mirror.url}/{HOST}" if way == "url" else f"https://{HOST}"
        work = home / "work"
        shutil.copytree(checkout, work)
        endpoint = f"lfs.url={url}/org/model.git/info/lfs"
        pulled = subprocess.run(["git", "-c", endpoint, "lfs", "pull"], cwd=work, env=known, check=False, capture_output=True, text=True)
        assert (work / "model.safetensors").read_bytes() == WEIGHTS, pulled.stdout + pulled.stderr
        if number == 0:
            assert hub.store.sent <= 1.02 * len(WEIGHTS)
            hub.play_dead()
        if number == 1:
            mirror.restart("--offline")
