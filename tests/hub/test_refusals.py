"""Refusals are knowledge: kept, and answered when nobody can be asked."""

from __future__ import annotations

import json
from pathlib import Path

from tests.clients.hubs import HOST, filled, mirror_of
from tests.imitations.huggingface import Hub
from tests.serving import Mirror

ABSENT = f"/{HOST}/org/model/resolve/main/none.json"


def test_why_is_told(mirror: Mirror) -> None:
    """A refusal has the fields by which clients tell its kind, by GET and by HEAD."""
    for method in ("GET", "HEAD"):
        refused = mirror.get(ABSENT, method)
        assert (refused.status, refused.fields["x-error-code"]) == (404, "EntryNotFound")
        assert refused.fields["x-repo-commit"]
    gone = mirror.get(f"/{HOST}/org/model/resolve/v9/config.json")
    assert (gone.status, gone.fields["x-error-code"]) == (404, "RevisionNotFound")


def test_what_never_changes_is_asked_for_once(mirror: Mirror, hub: Hub) -> None:
    """That a commit does not have a file is known for good: by HEAD, by GET and by the branch's name."""
    mirror.get(ABSENT, "HEAD")  # from here on it is known to which commit the branch points
    commit = hub.repositories["model", "org/model"].refs["main"]
    path = f"/{HOST}/org/model/resolve/{commit}/absent.json"
    assert mirror.get(path, "HEAD").status == 404
    hub.forget()
    assert [mirror.get(path).status, mirror.get(path, "HEAD").status] == [404, 404]
    assert mirror.get(f"/{HOST}/org/model/resolve/main/absent.json", "HEAD").status == 404
    assert not any("absent" in asked.path for asked in hub.asked)


def test_it_is_answered_when_nobody_can_be_asked(tmp_path: Path) -> None:
    """With the hub gone, offline and in a bundle's mirror a known refusal is a 404 with its code, and is not wanted."""
    with Hub() as hub, mirror_of(filled(hub), tmp_path / "data") as mirror:
        assert mirror.get(ABSENT, "HEAD").status == 404
        hub.play_dead()
        assert mirror.get(ABSENT).fields["x-error-code"] == "EntryNotFound"
        mirror.restart("--offline")
        for method in ("GET", "HEAD"):
            refused = mirror.get(ABSENT, method)
            assert (refused.status, refused.fields["x-error-code"]) == (404, "EntryNotFound")
        assert json.loads(mirror.get("/status/wanted").body)["wanted"] == []


def test_what_is_not_known_offline(tmp_path: Path) -> None:
    """What an offline mirror does not have is a 404 without a code, so that clients look into their own caches; it is wanted."""
    with Hub() as hub, mirror_of(filled(hub), tmp_path / "data", offline=True) as mirror:
        refused = mirror.get(f"/{HOST}/org/model/resolve/main/config.json", "HEAD")
        assert (refused.status, refused.fields["x-error-code"]) == (404, None)


def test_a_later_publication_ends_it(own_mirror: Mirror, own_hub: Hub) -> None:
    """A branch that had no such file has it after it moved, as soon as its time is over."""
    commit = own_hub.repositories["model", "org/model"].commit({"x.txt": b"x"}, "next")
    assert own_mirror.get(f"/{HOST}/org/model/resolve/next/y.txt").status == 404
    assert own_mirror.get(f"/{HOST}/org/model/resolve/{commit}/x.txt").body == b"x"
