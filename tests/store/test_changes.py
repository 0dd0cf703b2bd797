"""The log of changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataset_mirror.errors import BadRequest, StoreFull
from dataset_mirror.store import changes
from dataset_mirror.store.changes import Change, Page
from dataset_mirror.store.store import Store


def page(store: Store, limit: int = 100, after: str | None = None, kind: changes.Kind | None = None) -> Page:
    return store.index.look(lambda connection: changes.page(connection, limit, after, kind))


def whats(found: Page) -> list[str]:
    return [change.what for change in found.changes]


async def test_more_than_can_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing can be written the latest wait, and older ones go."""
    store = Store(tmp_path)
    for number in range(changes._WAITING):
        store.changes.note("added", str(number))

    def fail(*_: object) -> None:
        store.changes.note("added", "the latest")
        raise StoreFull("The disk is full.", "Make room.")

    with monkeypatch.context() as patch:
        patch.setattr(changes, "put", fail)
        with pytest.raises(StoreFull):
            await store.write_changes()
    assert [store.changes.waiting[0].what, store.changes.waiting[-1].what] == ["1", "the latest"]
    store.close()


async def test_it_survives(tmp_path: Path) -> None:
    """What was noted is written in one batch, and is there after a restart, the latest first, page by page."""
    store = Store(tmp_path)
    for number in range(5):
        store.changes.note("added" if number % 2 else "removed", f"https://a/{number}", number)
    assert page(store).changes == ()
    await store.write_changes()
    store.changes.note("pinned", "keras/*", by="alice")
    store.close()
    store = Store(tmp_path)
    first = page(store, 4)
    assert whats(first) == ["keras/*", "https://a/4", "https://a/3", "https://a/2"]
    assert (first.changes[0].by, first.changes[1].by) == ("alice", "mirror")
    rest = page(store, 4, first.next)
    assert (whats(rest), rest.next) == (["https://a/1", "https://a/0"], None)
    assert whats(page(store, kind="added")) == ["https://a/3", "https://a/1"]
    with pytest.raises(BadRequest):
        page(store, after="nonsense")
    store.close()


def test_it_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the latest stay; their numbers go on."""
    monkeypatch.setattr(changes, "MOST", 10)
    store = Store(tmp_path)
    for part in range(3):
        with store.transaction("changes") as writing:
            changes.put(writing.connection, [Change(0.0, "added", f"{part}-{number}") for number in range(6)])
    found = page(store)
    assert [change.id for change in found.changes] == list(range(18, 8, -1))
    assert [change.id for change in store.index.look(lambda connection: changes.since(connection, 15))] == [16, 17, 18]
    store.close()


def test_who_acts(tmp_path: Path) -> None:
    """Who does something is noted with it, and secrets in URLs are not."""
    store = Store(tmp_path)
    changes.act_as("alice")
    try:
        store.changes.note("removed", "https://a/b?X-Amz-Signature=0123456789abcdef")
    finally:
        changes.act_as(changes.MIRROR)
    (line,) = store.changes.waiting
    assert line.by == "alice"
    assert "0123456789abcdef" not in line.what
    store.close()
