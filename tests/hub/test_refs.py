"""Names that move: one commit for the whole repository, at any moment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.clients.hub import MODEL
from tests.clients.hubs import HOST, filled, mirror_of
from tests.imitations.huggingface import Hub
from tests.serving import Mirror

RULE = {"match": "/{repo}/resolve/{ref}/**", "scope": "{repo}", "freshness": 0, "when_stale": "ask", "ref": "X-Repo-Commit"}


def test_one_archive_for_name_and_commit(own_mirror: Mirror, own_hub: Hub) -> None:
    """What a branch has is answered from what its commit has: the second way to ask for it costs nothing."""
    commit = own_hub.repositories["model", "org/model"].refs["main"]
    by_name = own_mirror.get(f"/{HOST}/org/model/resolve/main/model.safetensors")
    own_hub.forget()
    by_commit = own_mirror.get(f"/{HOST}/org/model/resolve/{commit}/model.safetensors")
    assert by_name.body == by_commit.body == MODEL["model.safetensors"]
    assert by_commit.fields["cache-status"] == "dataset-mirror; hit"
    assert own_hub.asked == []
    assert len(own_mirror.blobs) == 1


def test_many_at_once_ask_once(own_mirror: Mirror, own_hub: Hub) -> None:
    """However many clients ask for however many files of a branch, the hub is asked for its commit once."""
    paths = [f"/{HOST}/org/model/resolve/main/{file}" for file in MODEL] * 3
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(own_mirror.get, paths))
    assert [answer.body for answer in answers] == list(MODEL.values()) * 3
    assert sum("/main/" in asked.path for asked in own_hub.asked) == 1


def test_within_its_clock_it_stays(own_mirror: Mirror, own_hub: Hub) -> None:
    """A branch that moves in the middle of a run means the old commit until its time is over, for files and for the API alike."""
    before = own_hub.repositories["model", "org/model"].refs["main"]
    assert own_mirror.get(f"/{HOST}/org/model/resolve/main/config.json").body == MODEL["config.json"]
    own_hub.repositories["model", "org/model"].commit({**MODEL, "config.json": b"{}", "deep/b.txt": b"new"})
    assert own_mirror.get(f"/{HOST}/org/model/resolve/main/deep/b.txt").body == b"b"
    assert before.encode() in own_mirror.get(f"/{HOST}/api/models/org/model").body


def test_a_stale_name_is_asked_for_first(own_hub: Hub, tmp_path: Path) -> None:
    """Once its time is over a branch is asked for before the answer, and what lies at its commits is not asked for again."""
    with mirror_of(own_hub, tmp_path / "data", origins=[{"url": f"https://{HOST}", "rules": [RULE]}]) as mirror:
        path = f"/{HOST}/org/model/resolve/main/deep/b.txt"
        assert mirror.get(path).body == b"b"
        own_hub.repositories["model", "org/model"].commit({**MODEL, "deep/b.txt": b"new"})
        assert mirror.get(path).body == b"new"
        own_hub.play_dead()
        assert mirror.get(path).body == b"new"


def test_it_outlives_restarts_and_origins(tmp_path: Path) -> None:
    """What a branch meant is known after a restart, offline, and after a rebuild of the index."""
    path = f"/{HOST}/org/model/resolve/main/deep/b.txt"
    with Hub() as hub, mirror_of(filled(hub), tmp_path / "data") as mirror:
        assert mirror.get(path).body == b"b"
        hub.play_dead()
        mirror.restart("--offline")
        assert mirror.get(path).body == b"b"
