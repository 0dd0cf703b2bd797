"""Removing archives, versions and blobs: gone everywhere or nowhere, and never what others need."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataset_mirror.store.journal import Removal
from dataset_mirror.store.store import Store
from dataset_mirror.store.writing import Writing
from tests.forked import status_of
from tests.store import archive, record

A, B = archive("/sets/a.zip"), archive("/sets/b.zip")


def publish(store: Store, data: bytes, **facts: float) -> None:
    """Publishes `data` as A."""
    put(store, data, A, **facts)


def put(store: Store, data: bytes, of: object, fetched: float = 1000.0) -> None:
    partial = store.new_partial()
    partial.write(0, data)
    partial.sync()
    store.publish(partial.path, record(data, of, fetched))  # type: ignore[arg-type]
    partial.close()


def totals(store: Store) -> tuple[int, int, int]:
    known = store.index.counters()
    return known["archives"], known["archive_bytes"], known["blob_bytes"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "data")
    store.lock()
    yield store
    store.close()


def test_a_removed_archive_is_gone(store: Store) -> None:
    """Index, blob, tree and totals forget it with all its versions; the journal says that it was removed."""
    publish(store, b"old", fetched=1.0)
    publish(store, b"new!", fetched=2.0)
    assert store.remove(A) == 7
    assert store.find(A) is None
    assert list(store.blobs) == []
    assert not list(store.folder.tree.rglob("*.zip"))
    assert totals(store) == (0, 0, 0)
    last = store.journal.last()
    assert isinstance(last, Removal)
    assert last.archive == A


def test_bytes_that_others_have_stay(store: Store) -> None:
    """A blob goes with the last archive that needs it."""
    publish(store, b"same")
    put(store, b"same", B)
    assert (store.remove(A), totals(store)) == (0, (1, 4, 4))
    assert store.find(B) is not None
    assert (store.remove(B), list(store.blobs)) == (4, [])


def test_one_version_goes_alone(store: Store) -> None:
    """An older version can go, and what is current stays, and is no longer said to have changed."""
    publish(store, b"old", fetched=1.0)
    publish(store, b"new!", fetched=2.0)
    (old,) = store.index.old_versions()
    assert store.remove(A, old.sha256) == 3
    line = store.index.listed(A)
    assert line is not None
    assert (line.record.size, line.state) == (4, "computed")
    assert store.index.old_versions() == []
    assert (store.folder.tree / "data.example.org/sets/a.zip").read_bytes() == b"new!"


def test_hits_of_what_stays_are_kept(store: Store) -> None:
    """Taking an older version away does not forget how often the archive was used."""
    publish(store, b"old", fetched=1.0)
    publish(store, b"new!", fetched=2.0)
    with store.index.transaction() as writing:
        writing.use({A: (5, 50.0)})
    store.remove(A, store.index.old_versions()[0].sha256)
    line = store.index.listed(A)
    assert line is not None
    assert (line.hits, line.used) == (5, 50.0)


def test_what_was_removed_can_come_again(tmp_path: Path) -> None:
    """A removal is no ban: the same bytes can be published again, and a restart keeps them."""
    store = Store(tmp_path)
    store.lock()
    publish(store, b"data")
    store.remove(A)
    publish(store, b"data")
    store.close()
    again = Store(tmp_path)
    again.lock()
    assert again.find(A) is not None
    again.close()


@pytest.mark.parametrize("step", ["journal", "index"])
def test_a_removal_that_is_killed_is_completed(tmp_path: Path, step: str) -> None:
    """After SIGKILL the next start has no row without its blob; a blob without a row is found as an orphan."""

    def remove_and_die() -> None:
        store = Store(tmp_path)
        store.lock()
        publish(store, b"data")
        owner, name = {"journal": (Writing, "forget"), "index": (Store, "drop_orphan")}[step]
        setattr(owner, name, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        store.remove(A)

    assert status_of(remove_and_die) == -signal.SIGKILL
    store = Store(tmp_path)
    store.lock()
    assert store.find(A) is None
    assert not list(store.folder.tree.rglob("*.zip"))
    for sha256, size in list(store.blobs):
        assert store.drop_orphan(sha256) == size
    assert list(store.blobs) == []
    store.close()


def test_a_blob_that_is_needed_is_no_orphan(store: Store) -> None:
    """Asked to drop a blob that an archive needs, the store keeps it."""
    publish(store, b"data")
    assert store.drop_orphan(record(b"data").sha256) == 0
    assert len(list(store.blobs)) == 1


def test_a_damaged_blob_is_set_aside(store: Store) -> None:
    """Quarantine forgets every archive that has the blob, and keeps its bytes for people."""
    publish(store, b"data")
    put(store, b"data", B)
    sha256 = record(b"data").sha256
    had = store.quarantine(sha256, store.blobs.inode(sha256))
    assert {known.archive for known in had} == {A, B}
    assert (store.find(A), store.find(B)) == (None, None)
    assert (store.folder.quarantine / sha256).read_bytes() == b"data"
    assert totals(store) == (0, 0, 0)


def test_a_blob_that_was_replaced_is_not_set_aside(store: Store) -> None:
    """If a good file took the damaged one's place meanwhile, it stays."""
    publish(store, b"data")
    sha256 = record(b"data").sha256
    damaged = store.blobs.inode(sha256)
    publish(store, b"data")  # as a fill that ends just now: another file under the same name
    assert store.quarantine(sha256, damaged) == []
    assert store.find(A) is not None


@pytest.mark.parametrize("is_on", [True, False], ids=["cut off", "alone for a while"])
def test_what_all_know_of_what_is_gone(tmp_path: Path, is_on: bool) -> None:
    """Of a version that is removed here, by whoever completes it or while there are no others, nobody believes that the bucket has it."""
    store = Store(tmp_path)
    put(store, b"bytes", A)
    known = record(b"bytes", A)
    store.telling.know_kept(known)
    store.telling.is_on = is_on
    if is_on:
        store.journal.append(Removal(known.archive, 2000.0))
        store.mend()
    else:
        store.remove(known.archive)
    assert store.find(known.archive) is None
    assert not store.index.is_kept(known)
    store.close()
