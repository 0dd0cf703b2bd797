"""The store as a whole: what is published is there everywhere or nowhere, whatever kills it in between.

A fork publishes an archive, and kills itself with SIGKILL at one step of it.
"""

import asyncio
import contextlib
import hashlib
import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from dataset_mirror.errors import DataFolderError
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.store import blobs
from dataset_mirror.store.blobs import Blobs
from dataset_mirror.store.journal import Journal
from dataset_mirror.store.record import Record
from dataset_mirror.store.store import Store
from dataset_mirror.store.tree import Tree
from dataset_mirror.store.writing import Writing
from tests.forked import status_of
from tests.store import archive, record

OLD, OTHER = archive("/sets/old.zip"), archive("/sets/other.zip")
OLD_DATA, DATA = b"what was there before", b"what is being published" * 1000


def publish(store: Store, data: bytes, known: Record) -> Record:
    """As a fill does it: written, synced, published."""
    partial = store.new_partial()
    partial.write(0, data)
    partial.sync()
    current = store.publish(partial.path, known)
    partial.close()
    return current


# Killing a publication at one of its steps


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def install(owner: Any, name: str, step: Callable[..., Any]) -> None:
    setattr(owner, name, step)


def before(owner: Any, name: str) -> Callable[[], None]:
    """Arms a step: the process dies when it is reached."""
    return lambda: install(owner, name, die)


def after(owner: Any, name: str) -> Callable[[], None]:
    """Arms a step: the process dies when it has been made."""

    def arm() -> None:
        real = getattr(owner, name)

        def step(*arguments: Any, **named: Any) -> None:
            real(*arguments, **named)
            die()

        install(owner, name, step)

    return arm


def in_the_journals_line() -> None:
    def tear(journal: Journal, known: Record) -> None:
        with journal.path.open("ab", buffering=0) as file:
            file.write(known.to_line().encode()[:60])
        die()

    install(Journal, "append", tear)


def at_the_commit(when: str) -> Callable[[], None]:
    def arm() -> None:
        real = Connection.exec_driver_sql

        def step(connection: Connection, statement: str, *arguments: Any) -> Any:
            if statement == "COMMIT" and when == "before":
                die()
            result = real(connection, statement, *arguments)
            if statement == "COMMIT":
                die()
            return result

        install(Connection, "exec_driver_sql", step)

    return arm


STEPS: dict[str, tuple[Callable[[], None], bool]] = {
    "before the journal": (before(Journal, "append"), False),
    "in the journal's line": (in_the_journals_line, False),
    "after the journal": (after(Journal, "append"), False),
    "after the rename": (before(blobs, "sync_folder"), True),
    "after the blob": (after(Blobs, "put"), True),
    "after the row": (after(Writing, "publish"), True),
    "before the commit": (at_the_commit("before"), True),
    "after the commit": (at_the_commit("after"), True),
    "before the tree": (before(Tree, "link"), True),
    "after the tree": (after(Tree, "link"), True),
}
"""How each step is armed, and whether the archive is there after the next start."""

CASES: dict[str, tuple[bytes, Record]] = {
    "a new archive": (DATA, record(DATA, archive("/sets/new.zip"), 2000.0)),
    "new bytes of a known archive": (DATA, record(DATA, OLD, 2000.0)),
    "bytes that another archive has": (OLD_DATA, record(OLD_DATA, archive("/sets/new.zip"), 2000.0)),
    "bytes that are there already": (OLD_DATA, record(OLD_DATA, OLD, 2000.0)),
}


def killed(folder: Path, case: str, step: str) -> None:
    """Publishes in a process of its own, which dies at that step."""
    assert status_of(lambda: publish_and_die(folder, case, step)) == -signal.SIGKILL


def publish_and_die(folder: Path, case: str, step: str) -> None:
    data, known = CASES[case]
    store = Store(folder)
    if step.startswith("mending "):
        STEPS[step.removeprefix("mending ")][0]()
        store.lock()
        return
    store.lock()
    publish(store, OLD_DATA, record(OLD_DATA, OLD))
    publish(store, b"other", record(b"other", OTHER))
    store.new_partial().write(0, b"another fill, under way")
    STEPS[step][0]()
    publish(store, data, known)


def die_one_after_the_other(folder: Path, first: str, second: str) -> None:
    """Two processes without the fill lock publish, and each dies at its step, the second after the first."""
    store = Store(folder)
    publish(store, OLD_DATA, record(OLD_DATA, OLD))
    publish(store, b"other", record(b"other", OTHER))
    store.close()
    killed_as_well(folder, 0, first)
    killed_as_well(folder, 1, second)


def killed_as_well(folder: Path, number: int, step: str) -> None:
    """Publishes an archive of that number without the fill lock, and dies at that step."""
    assert status_of(lambda: publish_number(folder, number, step)) == -signal.SIGKILL


def publish_number(folder: Path, number: int, step: str) -> None:
    store = Store(folder)
    STEPS[step][0]()
    data = f"the bytes of {number}".encode()
    publish(store, data, record(data, archive(f"/sets/{number}.zip")))


def check_agreement(store: Store, names: set[ArchiveId]) -> None:
    """Index, blobs, journal, tree and counters say the same of these archives, and there is nothing else."""
    versions = [known for name in names for known in store.index.versions(name)]
    assert {(known.sha256, known.size) for known in versions} == set(store.blobs)
    for known in versions:
        assert hashlib.sha256(store.blobs.path(known.sha256).read_bytes()).hexdigest() == known.sha256
    lines = [Record.from_line(line) for line in store.folder.journal.read_text().splitlines() if line.endswith("}")]
    assert {(known.archive, known.sha256) for known in versions} <= {(line.archive, line.sha256) for line in lines}
    current = [known for known in map(store.find, names) if known]
    for known in current:
        link = store.folder.tree / known.archive.authority / known.archive.path[1:]
        assert link.resolve() == store.blobs.path(known.sha256).resolve()
    linked = [path for path in store.folder.tree.rglob("*") if path.is_symlink()]
    assert len(linked) == len(current)
    totals = store.index.counters()
    assert (totals["archives"], totals["archive_bytes"]) == (len(current), sum(known.size for known in current))
    assert list(store.folder.partial.iterdir()) == []


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "data")
    store.lock()
    yield store
    store.close()


@pytest.mark.parametrize(
    ("case", "step"),
    [
        *(pytest.param("a new archive", step, id=f"a new archive, {step}") for step in STEPS),
        *(
            pytest.param(case, step, id=f"{case}, {step}")
            for case in ("new bytes of a known archive", "bytes that another archive has", "bytes that are there already")
            for step in ("after the journal", "after the blob", "before the commit", "before the tree")
        ),
    ],
)
def test_a_publication_that_is_killed_is_whole_or_nothing(tmp_path: Path, case: str, step: str) -> None:
    """After SIGKILL at any step the next start has the archive everywhere or nowhere, no blob too many, and no leftovers."""
    killed(tmp_path, case, step)
    data, target = CASES[case]
    names = {OLD, OTHER, target.archive}
    # Equal bytes are a whole blob as soon as the journal has the line; so the next start completes them even then.
    there = STEPS[step][1] or (data == OLD_DATA and step == "after the journal")

    store = Store(tmp_path)
    assert store.find(OTHER) == record(b"other", OTHER)  # what was there can be read even before anything is mended
    assert store.find(OLD) is not None
    store.lock()
    check_agreement(store, names)
    found = [known.fetched for known in store.index.versions(target.archive) if known.sha256 == target.sha256]
    if case == "bytes that are there already":
        assert found == [2000.0]
    else:
        assert found == ([2000.0] if there else [])

    assert publish(store, data, target) == target
    check_agreement(store, names)
    store.close()


@pytest.mark.parametrize(
    ("first", "second", "next_one"),
    [
        *((step, "before the commit", "a publication") for step in STEPS),
        *(
            ("after the rename", step, "a start")
            for step in ("in the journal's line", "after the journal", "after the blob", "after the commit")
        ),
    ],
)
def test_two_processes_that_are_killed_leave_nothing_behind(tmp_path: Path, first: str, second: str, next_one: str) -> None:
    """Whatever two publishing processes left undone, the next start or the next publication completes it all."""
    die_one_after_the_other(tmp_path, first, second)
    names = {OLD, OTHER, *(archive(f"/sets/{number}.zip") for number in range(2))}
    store = Store(tmp_path)
    if next_one == "a publication":
        publish(store, b"third", record(b"third", archive("/sets/third.zip")))
        names.add(archive("/sets/third.zip"))
    there = [store.find(archive(f"/sets/{number}.zip")) is not None for number in range(2)]
    store.lock()
    if next_one == "a start":
        there = [store.find(archive(f"/sets/{number}.zip")) is not None for number in range(2)]
    assert there == [STEPS[first][1], STEPS[second][1]]
    check_agreement(store, names)
    store.close()


def test_an_index_of_an_earlier_version_is_mended(tmp_path: Path) -> None:
    """An index that does not know how far the journal was done has its last line completed, and knows from then on."""
    killed(tmp_path, "a new archive", "after the blob")
    with contextlib.closing(sqlite3.connect(tmp_path / "index.db", isolation_level=None)) as database:
        database.execute("DELETE FROM counters WHERE name = 'journal_bytes'")
    store = Store(tmp_path)
    store.lock()
    _, target = CASES["a new archive"]
    assert store.find(target.archive) == target
    check_agreement(store, {OLD, OTHER, target.archive})
    store.close()


@pytest.mark.parametrize("step", ["after the row", "before the commit", "after the commit", "before the tree"])
def test_mending_that_is_killed_is_mended(tmp_path: Path, step: str) -> None:
    """A kill while the last kill is being mended does no harm either."""
    killed(tmp_path, "a new archive", "after the blob")
    killed(tmp_path, "a new archive", f"mending {step}")
    store = Store(tmp_path)
    store.lock()
    _, target = CASES["a new archive"]
    assert store.find(target.archive) == target
    check_agreement(store, {OLD, OTHER, target.archive})
    store.close()


def test_a_clean_restart_changes_nothing(tmp_path: Path) -> None:
    """Where nothing was cut off nothing is mended."""
    store = Store(tmp_path)
    store.lock()
    publish(store, DATA, record(DATA))
    before, totals = store.folder.journal.read_bytes(), store.index.counters()
    store.close()
    again = Store(tmp_path)
    again.lock()
    assert (again.folder.journal.read_bytes(), again.index.counters()) == (before, totals)
    check_agreement(again, {archive()})
    again.close()


# Publishing


def test_what_is_published_is_everywhere(store: Store) -> None:
    """A publication is in the index, the blobs, the journal and the tree; its partial file is gone."""
    known = record(DATA)
    assert publish(store, DATA, known) == known
    assert store.find(archive()) == known
    assert store.journal.last() == known
    with store.blobs.open(known.sha256) as file:
        assert file.read() == DATA
    check_agreement(store, {archive()})


def test_an_older_version_that_arrives_late_is_kept_but_not_current(store: Store) -> None:
    """Publishing returns what is current: bytes that were fetched earlier do not replace later ones, in the tree neither."""
    new = record(b"new", fetched=20.0)
    publish(store, b"new", new)
    assert publish(store, b"old", record(b"old", fetched=10.0)) == new
    assert len(store.index.versions(archive())) == 2
    check_agreement(store, {archive()})


def test_equal_bytes_of_two_archives_are_one_blob(store: Store) -> None:
    """Two archives with the same bytes share them, and each has its own name."""
    publish(store, DATA, record(DATA, OLD))
    publish(store, DATA, record(DATA, OTHER))
    assert len(list(store.blobs)) == 1
    check_agreement(store, {OLD, OTHER})


def test_a_publication_that_fails_leaves_the_index_as_it_was(store: Store, tmp_path: Path) -> None:
    """If the bytes cannot become a blob the archive is not there, and the next publication works."""
    with pytest.raises(FileNotFoundError):
        store.publish(tmp_path / "never-written", record(DATA))
    assert store.find(archive()) is None
    publish(store, DATA, record(DATA))
    check_agreement(store, {archive()})


def test_a_name_that_the_tree_cannot_hold_is_published_all_the_same(store: Store) -> None:
    """The tree is for people: what it leaves out can still be served."""
    publish(store, b"file", record(b"file", archive("/a")))
    below = record(b"below", archive("/a/b"))
    assert publish(store, b"below", below) == below


def test_processes_that_publish_at_once_agree(tmp_path: Path) -> None:
    """Several stores on one folder, as `import` beside a server, publish one after the other and lose nothing."""
    stores = [Store(tmp_path) for _ in range(3)]
    names = [archive(f"/sets/{number}.zip") for number in range(8)]

    def write(store: Store, number: int, name: ArchiveId) -> None:
        path = store.folder.partial / f"{number}{name.name}"
        path.write_bytes(name.name.encode())
        store.publish(path, record(name.name.encode(), name))

    with ThreadPoolExecutor(len(stores)) as pool:
        done = [pool.submit(write, store, number, name) for name in names for number, store in enumerate(stores)]
        for each in done:
            each.result()
    check_agreement(stores[0], set(names))
    assert len(stores[0].folder.journal.read_text().splitlines()) == len(done)
    for store in stores:
        store.close()


# The folder and the worker


def test_a_second_store_is_refused_and_the_fills_of_the_first_go_on(store: Store) -> None:
    """Who does not get the lock mends nothing: the partial files of the live process stay."""
    partial = store.new_partial()
    partial.write(0, b"under way")
    second = Store(store.folder.root)
    with pytest.raises(DataFolderError, match=f"in use by process {os.getpid()}"):
        second.lock()
    second.close()
    assert partial.path.read_bytes() == b"under way"
    partial.close()


def test_what_another_process_writes_is_not_cleared(tmp_path: Path) -> None:
    """A server that starts leaves the files of a running import alone, and clears them once nobody writes them."""
    importer = Store(tmp_path)
    with importer.incoming() as partial:
        partial.write(0, b"half of it")
        server = Store(tmp_path)
        server.lock()
        assert partial.path.read_bytes() == b"half of it"
        server.close()
        killed_one = tmp_path / "partial" / "killed"
        killed_one.write_bytes(partial.read(0, 4))
        again = Store(tmp_path)
        again.lock()
        assert list(again.folder.partial.iterdir()) == [partial.path]
        again.close()
    assert list(importer.folder.partial.iterdir()) == []
    importer.close()


def test_what_comes_in_is_published_without_the_lock(store: Store) -> None:
    """Another process publishes beside the one that fills; nothing of it is left in partial/."""
    importer = Store(store.folder.root)
    with importer.incoming() as partial:
        partial.write(0, DATA)
        partial.sync()
        importer.publish(partial.path, record(DATA))
    importer.close()
    assert store.find(archive()) == record(DATA)
    check_agreement(store, {archive()})


def test_bytes_that_are_kept_become_another_archive_too(store: Store) -> None:
    """Without a copy, and in the journal like any publication; bytes that are not kept cannot."""
    publish(store, DATA, record(DATA, OLD))
    inode = store.blobs.inode(record(DATA).sha256)
    assert store.also(record(DATA, OTHER)) == record(DATA, OTHER)
    assert store.also(record(b"not there", OTHER)) is None
    assert store.blobs.inode(record(DATA).sha256) == inode
    check_agreement(store, {OLD, OTHER})


def test_what_killed_imports_left_can_be_cleared(store: Store) -> None:
    """Beside a server, files of imports that nobody writes any more go, and nothing else of partial/ does."""
    (store.folder.partial / "in-1-killed").write_bytes(b"half")
    fill = store.new_partial()
    fill.write(0, b"under way")
    with store.incoming() as partial:
        assert Store(store.folder.root).clear_incoming() == 4
        assert sorted(store.folder.partial.iterdir()) == sorted([partial.path, fill.path])
    fill.discard()


def test_partial_files_have_names_of_their_own(store: Store) -> None:
    """Each fill gets an empty file in partial/."""
    partials = [store.new_partial() for _ in range(3)]
    assert sorted(store.folder.partial.iterdir()) == sorted(partial.path for partial in partials)
    assert [partial.prefix for partial in partials] == [0, 0, 0]
    for partial in partials:
        partial.discard()


def test_the_index_can_be_elsewhere(tmp_path: Path) -> None:
    """With `database` set the data folder has no index, and a restart finds everything again."""
    elsewhere = tmp_path / "elsewhere.db"
    for _ in range(2):
        store = Store(tmp_path / "data", database=f"sqlite:///{elsewhere}")
        store.lock()
        publish(store, DATA, record(DATA))
        assert store.find(archive()) == record(DATA)
        check_agreement(store, {archive()})
        store.close()
    assert elsewhere.exists()
    assert not (tmp_path / "data" / "index.db").exists()


async def test_work_is_done_in_one_other_thread_in_order(store: Store) -> None:
    """Blocking work never runs in the event loop's thread, and never two pieces of it at once."""
    seen: list[int] = []

    def work(number: int) -> int:
        seen.append(number)
        return threading.get_ident()

    threads = await asyncio.gather(*(store.in_worker(lambda number=number: work(number)) for number in range(10)))  # type: ignore[misc]
    assert seen == list(range(10))
    assert len(set(threads)) == 1
    assert threading.get_ident() not in threads


async def test_errors_of_the_worker_come_out(store: Store) -> None:
    """What goes wrong in the worker is raised where it was asked for."""
    with pytest.raises(ZeroDivisionError):
        await store.in_worker(lambda: 1 // 0)
