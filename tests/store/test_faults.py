"""Whatever fails in the store, what is there stays, nothing half is taken for whole, and the next archive is published."""

import errno
import logging
import os
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest

from dataset_mirror.errors import DataFolderError, IndexDamaged, StoreFull
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.settings import Settings
from dataset_mirror.store import knowledge, locks
from dataset_mirror.store.blobs import Blobs
from dataset_mirror.store.filling import FillLock, server_of
from dataset_mirror.store.folder import DataFolder
from dataset_mirror.store.index import Index
from dataset_mirror.store.knowledge import Fact
from dataset_mirror.store.partial import remove_unheld
from dataset_mirror.store.rebuild import rebuild
from dataset_mirror.store.record import Record
from dataset_mirror.store.store import Store
from dataset_mirror.store.tree import Tree
from dataset_mirror.store.writing import Writing
from dataset_mirror.upkeep import agreement
from dataset_mirror.upkeep.agreement import disagreements
from tests.disks import Disk, small_disk
from tests.store import archive, record

A, B, C = (archive(f"/sets/{name}") for name in "abc")


def put(store: Store, data: bytes, of: ArchiveId, **facts: Any) -> None:
    partial = store.new_partial()
    with closing(partial):
        partial.write(0, data)
        partial.sync()
        store.publish(partial.path, record(data, of, **facts))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "data")
    store.lock()
    put(store, b"before", A)
    yield store
    store.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk") as disk:
        yield disk


def test_half_a_line_is_none(disk: Disk) -> None:
    """A line that the disk has no room for is taken back as a whole, and its publication is refused with 507."""
    store = Store(disk.root / "data")
    put(store, b"a", A)
    partial = store.new_partial()
    partial.write(0, b"b")
    before = store.journal.path.read_bytes()
    disk.fill(leave=4096)
    long = record(b"b", B, fields=(("x-long", "y" * 20_000),))
    with pytest.raises(StoreFull) as caught:
        store.publish(partial.path, long)
    assert caught.value.status == 507
    assert store.journal.path.read_bytes() == before
    disk.empty()
    store.publish(partial.path, long)
    assert store.find(B) == long
    store.close()
    found = rebuild(Settings(data=disk.root / "data"))
    assert (found.archives, found.torn, found.lost) == (2, 0, [])


def test_bytes_that_were_never_published(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a rename that failed no rebuild misses anything."""

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(Blobs, "put", fail)
        with pytest.raises(OSError, match="Input/output"):
            put(store, b"new", B)
    store.close()
    found = rebuild(Settings(data=store.folder.root))
    assert (found.archives, found.lost, found.torn) == (1, [], 0)


@pytest.mark.parametrize("kind", [RecursionError, MemoryError, ValueError, KeyError, OSError])
@pytest.mark.parametrize("step", [(Blobs, "put"), (Writing, "publish"), (Tree, "_place")], ids=["blob", "row", "tree"])
def test_no_error_behind_the_line_is_fatal(store: Store, step: tuple[type, str], kind: type[Exception], monkeypatch: Any) -> None:
    """Whatever is raised after the journal's line, the next archive is published, and the next start goes well."""
    owner, name = step
    real = getattr(owner, name)

    def fail(self: object, *arguments: Any, **named: Any) -> Any:
        if any(getattr(one, "archive", one) == B or "sets/b" in str(one) or Path(str(one)).parent.name == "partial" for one in arguments):
            raise kind("injected")
        return real(self, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fail)
        try:
            put(store, b"new", B)
        except kind:
            assert owner is not Tree
        if owner is not Blobs:
            put(store, b"next", C)
    put(store, b"next", C)
    assert store.find(A)
    assert store.find(C)
    store.close()
    again = Store(store.folder.root)
    again.lock()
    put(again, b"new", B)
    assert again.find(B)
    again.close()


def test_a_line_that_cannot_be_completed_is_set_aside(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in a file of its own, `gc` leaves its blob, doctor tells of it, and a rebuild reads it again."""
    real = Writing.publish

    def fail(self: Writing, known: Any, used: float) -> Any:
        if known.archive == B:
            raise RecursionError
        return real(self, known, used)

    with monkeypatch.context() as patch:
        patch.setattr(Writing, "publish", fail)
        with pytest.raises(RecursionError):
            put(store, b"new", B)
    digest = record(b"new").sha256
    assert [entry.to_line() for entry in store.ledger.set_aside()] == [record(b"new", B).to_line()]
    assert store.drop_orphan(digest) == 0
    assert "set aside" in [one.where for one in disagreements(store)]
    assert any("set aside" in trouble for trouble in store.troubles)
    store.close()
    rebuild(Settings(data=store.folder.root))
    again = Store(store.folder.root)
    assert again.find(B) == record(b"new", B)
    assert (again.ledger.set_aside(), again.troubles) == ([], [])
    again.close()


def test_a_quarantine_after_a_kill(store: Store) -> None:
    """Of a blob that is found damaged no archive keeps a row, not even one whose publication a kill cut off."""
    store.journal.append(record(b"before", B))
    digest = record(b"before").sha256
    had = store.quarantine(digest, store.blobs.inode(digest))
    assert sorted(str(one.archive) for one in had) == [str(A), str(B)]
    assert (store.find(A), store.find(B)) == (None, None)
    assert [one.archive for one in store.index.damaged()] == [A, B]


def test_blobs_whose_disk_is_away(store: Store) -> None:
    """While the folder of all blobs is missing none of them is lost: every archive is known when it is back."""
    digest = record(b"before").sha256
    store.folder.blobs.rename(store.folder.root / "unmounted")
    store.folder.blobs.mkdir()
    with pytest.raises(DataFolderError, match="Mount its disk"):
        store.quarantine(digest, store.blobs.inode(digest))
    store.folder.blobs.rmdir()
    (store.folder.root / "unmounted").rename(store.folder.blobs)
    assert store.find(A) == record(b"before", A)


def test_a_very_deep_url(store: Store) -> None:
    """A URL of 990 segments is published like any other; tree/ leaves it out."""
    deep = archive("/sets/" + "d/" * 990 + "x")
    put(store, b"deep", deep)
    put(store, b"next", B)
    assert store.find(deep)
    assert not store.tree.shows(deep, store.blobs.path(record(b"deep").sha256))
    store.remove(deep)
    assert store.find(deep) is None


def test_a_garbled_index(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What was read before is still known, all else is an error that names the way out, and the log says it once."""
    store = Store(tmp_path)
    for number in range(300):
        put(store, b"same", archive(f"/sets/{number:03}"))
    first = store.find(archive("/sets/000"))
    store.close()
    store = Store(tmp_path)
    assert store.find(archive("/sets/000")) == first
    with (tmp_path / "index.db").open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom((tmp_path / "index.db").stat().st_size - 4096))
    store.index._reader.connection.cursor().execute("PRAGMA shrink_memory")
    caplog.set_level(logging.ERROR)
    for number in range(1, 20):
        with pytest.raises(IndexDamaged, match=r"doctor --rebuild") as caught:
            store.find(archive(f"/sets/{number:03}"))
        assert caught.value.status == 503
    assert store.find(archive("/sets/000")) == first
    assert len(caplog.records) == 1
    assert any("damaged" in trouble for trouble in store.troubles)
    store.close()


def test_refusals_that_clients_can_cause(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for ever new names fills neither index nor journal: the latest refusals are known, and other facts stay."""
    monkeypatch.setattr(knowledge, "MOST_REFUSALS", 3)
    store.know(Fact("ref", "h.example.org/o/r@main", "h.example.org/o/r", 1.0, "abc"))
    for number in range(10):
        store.know(Fact("refusal", f"h.example.org/{number}", "h.example.org", 1000.0 + number, status=404))
    assert [fact.about[-4:] for fact in store.index.facts()] == ["main", "rg/7", "rg/8", "rg/9"]
    assert store.journal.path.read_text().count('"refusal"') == 3
    store.know(Fact("refusal", "h.example.org/9", "h.example.org", 2000.0, status=410))
    assert store.journal.path.read_text().count('"refusal"') == 4, "what is known already is corrected there"


# What a rebuild makes of lost lines


def lose_line(store: Store, of: ArchiveId, instead: bytes = b"") -> None:
    """The journal has the line of an archive no more, and the index is gone."""
    store.close()
    kept = [line if str(of) not in line else instead.decode() for line in store.journal.path.read_text().splitlines(keepends=True)]
    store.journal.path.write_text("".join(kept))
    for path in store.folder.root.glob("index.db*"):
        path.unlink()


def test_the_tree_names_what_the_journal_lost(store: Store) -> None:
    """An archive whose line is lost comes back by its name in tree/, and the journal has it again."""
    put(store, b"new", B)
    lose_line(store, B, b'{"url": "htt\n')
    found = rebuild(Settings(data=store.folder.root))
    assert [one.url for one in found.recovered] == [f"https://{B}"]
    assert (found.torn, found.unexplained, found.archives) == (1, [], 2)
    again = Store(store.folder.root)
    kept = again.find(B)
    assert kept is not None
    assert (kept.sha256, kept.source) == (record(b"new").sha256, "adopted")
    put(again, b"more", C)
    again.close()
    assert rebuild(Settings(data=store.folder.root)).recovered == []


def test_what_nothing_names_is_kept_from_gc(store: Store) -> None:
    """A blob that neither a line nor tree/ explains goes into a quarantine that nobody empties; doctor tells of it before."""
    put(store, b"secret", B, private=True)
    digest = record(b"secret").sha256
    lose_line(store, B)
    found = rebuild(Settings(data=store.folder.root))
    assert found.unexplained == [digest]
    assert (store.folder.unexplained / digest).read_bytes() == b"secret"


def test_disagreements_are_found(store: Store) -> None:
    """Lost lines, unreadable ones, rows and blobs that are not there are each said, with what to do; none if all is well."""
    assert list(disagreements(store)) == []
    put(store, b"new", B)
    put(store, b"third", C)
    kept = [line for line in store.journal.path.read_text().splitlines(keepends=True) if str(B) not in line]
    store.journal.path.write_text("".join(kept) + "{unreadable\n" + record(b"before", archive("/sets/unknown")).to_line() + "\n")
    store.blobs.remove(record(b"third").sha256)
    store.blobs.path("ab" * 32).parent.mkdir()
    store.blobs.path("ab" * 32).write_bytes(b"strange")
    said = {(one.where, one.what.split()[0]) for one in disagreements(store)}
    assert said == {("journal", "1"), ("journal", "It"), ("index", "It"), ("blobs", "The"), ("blobs", "Nothing")}
    assert all(one.hint for one in disagreements(store))


def test_no_disagreement_beside_a_busy_mirror(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is published or removed while journal and index are read one after the other is no disagreement."""
    real = agreement._versions

    def busy(store: Store) -> Iterator[Record]:
        put(store, b"new", B)
        store.remove(A)
        yield from real(store)

    monkeypatch.setattr(agreement, "_versions", busy)
    assert list(disagreements(store)) == []


# Disks


@pytest.mark.parametrize("elsewhere", [False, True], ids=["in the folder", "elsewhere"])
def test_a_read_only_disk(disk: Disk, tmp_path: Path, elsewhere: bool) -> None:
    """What is there can be read, what is new is refused with 507, and once the disk can be written it goes on."""
    database = f"sqlite:///{tmp_path}/index.db" if elsewhere else None
    store = Store(disk.root / "data", database=database)
    put(store, b"a", A)
    store.close()
    disk.read_only()
    store = Store(disk.root / "data", database=database)
    store.lock()
    assert store.find(A) == record(b"a", A)
    with pytest.raises(StoreFull):
        store.also(record(b"a", B))
    assert "Read-only" in store.troubles[0]
    disk.read_only(False)
    assert store.also(record(b"a", B))
    assert store.find(B)
    store.close()


def test_a_disk_that_can_be_written_again(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several threads open the index once, and what another process wrote before that counts as a change."""
    Store(disk.root / "data").close()
    disk.read_only()
    store, opened = Store(disk.root / "data"), []
    seen, both, real = store.index.data_version(), Barrier(2), Index._open

    def slowly(index: Index) -> None:
        opened.append(index)
        with suppress(BrokenBarrierError):
            both.wait(0.2)
        real(index)

    disk.read_only(False)
    other = Store(disk.root / "data")
    put(other, b"a", A)
    other.close()
    monkeypatch.setattr(Index, "_open", slowly)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(store.unwant, [[A], [B]]))
    assert opened == [store.index]
    assert store.index.data_version() != seen
    store.close()


def test_a_read_only_backup_without_empty_folders(disk: Disk) -> None:
    """What is there can be read, though the copy that is mounted has no folder for partial files."""
    store = Store(disk.root / "data")
    put(store, b"a", A)
    store.close()
    store.folder.partial.rmdir()
    disk.read_only()
    store = Store(disk.root / "data")
    store.lock()
    assert store.find(A) == record(b"a", A)
    assert (store.clear_incoming(), list(store.leftovers)) == (0, [])
    store.close()


@pytest.mark.parametrize("killed", [False, True], ids=["closed", "killed"])
def test_a_start_on_a_full_disk(disk: Disk, killed: bool) -> None:
    """What is there can be read, even what a killed process left in the index' log; there is room again, and it goes on."""
    store = Store(disk.root / "data")
    store.lock()
    put(store, b"a", A)
    left = {path.name: path.read_bytes() for path in store.folder.root.glob("index.db*")}
    store.close()
    if killed:
        for name, content in left.items():
            if not name.endswith("-shm"):
                (store.folder.root / name).write_bytes(content)
    disk.fill()
    store = Store(disk.root / "data")
    store.lock().announce("http://127.0.0.1:1")
    assert server_of(store.folder) == "http://127.0.0.1:1", "other commands find it"
    assert store.find(A) == record(b"a", A)
    assert "No space" in store.troubles[0]
    with pytest.raises(StoreFull):
        store.remove(A)
    disk.empty()
    put(store, b"b", B)
    assert [store.find(A), store.find(B)] == [record(b"a", A), record(b"b", B)]
    assert store.troubles == []
    store.close()


def test_a_first_start_on_a_full_disk(disk: Disk) -> None:
    """A lock that could not be named is named once there is room."""
    Store(disk.root / "data").close()
    disk.fill()
    store = Store(disk.root / "data")
    store.lock().announce("http://127.0.0.1:1")
    disk.empty()
    store.renew_lock()
    assert server_of(store.folder) == "http://127.0.0.1:1"
    store.close()
    assert server_of(store.folder) is None


# File systems without locks


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr("fcntl.flock", flock)
    locks._told.clear()
    yield
    locks._told.clear()


@pytest.mark.usefixtures("no_locks")
def test_a_folder_without_locks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One process fills it all the same, which is known by its number; the log says so once."""
    store = Store(tmp_path)
    held = store.lock()
    held.announce("http://127.0.0.1:1")
    put(store, b"a", A)
    assert server_of(DataFolder(tmp_path)) == "http://127.0.0.1:1"
    os.utime(tmp_path / "serve.lock.held", (0, 0))  # the clock was set since
    with pytest.raises(Exception, match=f"in use by process {os.getpid()} at"):
        FillLock(tmp_path / "serve.lock")
    assert sum("has no locks" in line.message for line in caplog.records) == 1
    store.close()
    assert server_of(DataFolder(tmp_path)) is None
    FillLock(tmp_path / "serve.lock").release()


@pytest.mark.usefixtures("no_locks")
def test_what_a_killed_process_left_where_there_are_no_locks(tmp_path: Path) -> None:
    """Its lock is taken over and its partial files are removed; those of a process that runs stay."""
    (tmp_path / "serve.lock.held").touch()
    (tmp_path / "serve.lock").write_text('{"pid": 4194304, "url": null}')
    FillLock(tmp_path / "serve.lock").release()
    dead, alive = tmp_path / "4194304-ab", tmp_path / f"{os.getpid()}-ab"
    for path in (dead, alive):
        path.write_bytes(b"four")
    assert (remove_unheld(dead), remove_unheld(alive)) == (4, 0)
    assert alive.exists()


# Who may read


@pytest.mark.parametrize("umask", [0o077, 0o000])
def test_permissions(tmp_path: Path, umask: int) -> None:
    """Whatever the umask, folders are 0750 and files 0640; a folder that was open to others is so no more."""
    before = os.umask(umask)
    try:
        store = Store(tmp_path / "data")
        store.lock()
        put(store, b"a", A)
        modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in (tmp_path / "data").rglob("*") if not path.is_symlink()}
        store.close()
    finally:
        os.umask(before)
    modes[tmp_path / "data"] = stat.S_IMODE((tmp_path / "data").stat().st_mode)
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o750}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o640}
    (tmp_path / "data").chmod(0o777)
    Store(tmp_path / "data").close()
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o750


def test_a_clock_that_went_back(store: Store) -> None:
    """Bytes that come now are current, though the clock said a later time when the former ones came."""
    put(store, b"later", B, fetched=5000.0)
    put(store, b"now", B, fetched=store.moment_after(B, 4000.0))
    found = store.find(B)
    assert found is not None
    assert found.sha256 == record(b"now").sha256


def test_what_was_said_while_a_clock_was_ahead(store: Store) -> None:
    """It gives way to what an origin says now, also in a rebuild; what a bundle says from before does not."""

    def said(commit: str, checked: float) -> Fact:
        return Fact("ref", "h.example.org/o/r@main", "h.example.org/o/r", checked, commit)

    now = time.time()
    store.know(said("a", now + 1e6))
    store.know(said("b", now))
    store.know(said("c", now - 1e6))
    known = store.index.known("ref", "h.example.org/o/r@main")
    assert known is not None
    assert known.commit == "b"
    assert (known.age(now), said("a", now + 1e6).age(now)) == (0, float("inf"))
    store.close()
    store.folder.index.unlink()
    rebuild(Settings(data=store.folder.root))
    again = Store(store.folder.root)
    assert again.index.known("ref", "h.example.org/o/r@main") == known
    again.close()
