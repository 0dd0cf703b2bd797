"""The index, rebuilt from the journal and the blobs."""

import os
import sqlite3
from contextlib import closing
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataset_mirror.errors import DataFolderError
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.settings import Settings
from dataset_mirror.store import changes, history
from dataset_mirror.store.history import Counts
from dataset_mirror.store.index import Index
from dataset_mirror.store.listing import Query
from dataset_mirror.store.rebuild import rebuild
from dataset_mirror.store.record import Record
from dataset_mirror.store.store import Store
from dataset_mirror.store.writing import MARKS
from tests.store import archive, record

ARCHIVES = [archive(f"/sets/{name}") for name in "abc"]


def put(store: Store, data: bytes, **facts: Any) -> None:
    """Publishes `data`; the facts are a record's."""
    partial = store.new_partial()
    partial.write(0, data)
    partial.sync()
    store.publish(partial.path, record(data, **facts))
    partial.close()


def knowledge(index: Index) -> tuple[object, ...]:
    """All that the index knows, but for hits and last uses."""
    listed = [(line.record, line.state) for line in index.every(Query())]
    versions = [index.versions(record.archive) for record, _ in listed]
    totals = {name: value for name, value in index.counters().items() if value}
    return listed, versions, totals, index.old_versions()


def lose(root: Path) -> None:
    """The index is gone."""
    for path in root.glob("index.db*"):
        path.unlink()


FACTS = st.fixed_dictionaries(
    {
        "fetched": st.integers(1, 3).map(float),
        "checked": st.integers(0, 3).map(float),
        "private": st.booleans(),
        "source": st.sampled_from(["catalog", "computed", "adopted"]),
        "fields": st.sampled_from([(), (("x-a", "1"),), (("x-a", "2"),)]),
    }
)
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "import", "remove", "remove version"]),
        st.sampled_from(ARCHIVES),
        st.sampled_from([b"", b"a", b"b"]),
        FACTS,
    ),
    max_size=12,
)


def happen(store: Store, what: str, of: ArchiveId, data: bytes, facts: dict[str, Any]) -> None:
    if what == "put":
        put(store, data, of=of, **facts)
    elif what == "import":
        store.also(record(data, of, **facts))
    else:
        store.remove(of, record(data).sha256 if "version" in what else None)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=EVENTS, batch=st.integers(1, 9))
def test_it_is_as_before(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[str, ArchiveId, bytes, dict[str, Any]]], batch: int
) -> None:
    """After any publications, imports and removals in any order, the index that is rebuilt knows what the one before knew."""
    root = tmp_path_factory.mktemp("data")
    store = Store(root)
    for event in events:
        happen(store, *event)
    before = knowledge(store.index)
    empty = store.journal.size == 0
    store.close()
    lose(root)
    if empty:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dataset_mirror.store.replay.SIZE", batch)
        found = rebuild(Settings(data=root))
    again = Store(root)
    assert knowledge(again.index) == before
    assert (found.torn, found.lost, found.aside) == (0, [], None)
    again.close()


def test_private_bytes_stay_private(tmp_path: Path) -> None:
    """What was fetched with credentials is private after a rebuild, though the same bytes came again without, at the same time."""
    store = Store(tmp_path)
    put(store, b"gated", fetched=1000.0, checked=1000.0, private=True)
    store.also(record(b"gated", fetched=1000.0, checked=2000.0))
    before = store.find(archive())
    store.close()
    lose(tmp_path)
    rebuild(Settings(data=tmp_path))
    again = Store(tmp_path)
    assert again.find(archive()) == before
    assert before is not None
    assert before.private
    again.close()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(FACTS, min_size=1, max_size=5), batch=st.integers(1, 3))
def test_lines_of_an_earlier_version(tmp_path_factory: pytest.TempPathFactory, lines: list[dict[str, Any]], batch: int) -> None:
    """Lines that were written one by one, as earlier versions did, are united as the index unites them, however they are read."""
    root = tmp_path_factory.mktemp("data")
    store = Store(root)
    put(store, b"same", **lines[0])
    store.close()
    known = [record(b"same", **facts) for facts in lines]
    (root / "archives.ndjson").write_text("".join(f"{one.to_line()}\n" for one in known))
    lose(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dataset_mirror.store.replay.SIZE", batch)
        rebuild(Settings(data=root))
    again = Store(root)
    assert again.find(archive()) == reduce(Record.united, known)
    again.close()


def test_a_damaged_index(tmp_path: Path) -> None:
    """The start says in a sentence what to do; the damaged database is set aside, and nothing of it is lost."""
    store = Store(tmp_path)
    put(store, b"some bytes")
    store.close()
    (tmp_path / "index.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(DataFolderError, match=r"cannot be opened: .*dataset-mirror doctor --rebuild") as caught:
        Store(tmp_path)
    assert "\n" not in str(caught.value)
    (tmp_path / "index.db-wal").write_bytes(b"its log")
    found = rebuild(Settings(data=tmp_path))
    assert found.aside is not None
    assert found.aside.read_bytes().startswith(b"this is no database")
    assert found.aside.with_name(found.aside.name + "-wal").exists()
    assert sorted(path.name for path in tmp_path.glob("index.db*") if "aside" not in path.name) == ["index.db"]
    again = Store(tmp_path)
    assert again.find(archive()) == record(b"some bytes")
    again.close()
    second = rebuild(Settings(data=tmp_path)).aside
    assert second is not None
    assert second != found.aside
    assert found.aside.exists()


@pytest.mark.parametrize("elsewhere", [False, True], ids=["in the folder", "elsewhere"])
@pytest.mark.parametrize("emptied", [False, True], ids=["gone", "emptied"])
def test_a_lost_index(tmp_path: Path, elsewhere: bool, emptied: bool) -> None:
    """Where archives were kept, a missing or empty database is not taken for a new one; it can be made again where it was."""
    database = f"sqlite:///{tmp_path}/local/index.db" if elsewhere else None
    (tmp_path / "local").mkdir()
    store = Store(tmp_path / "data", database=database)
    put(store, b"some bytes")
    store.close()
    folder = tmp_path / ("local" if elsewhere else "data")
    lose(folder)
    if emptied:
        (folder / "index.db").touch()
    for _ in range(2):  # a refused start does not make the next one go
        with pytest.raises(DataFolderError, match=r"is lost.*dataset-mirror doctor --rebuild"):
            Store(tmp_path / "data", database=database)
    assert rebuild(Settings(data=tmp_path / "data", database=database)).archives == 1
    again = Store(tmp_path / "data", database=database)
    assert again.find(archive()) == record(b"some bytes")
    again.close()


def test_what_is_not_there(tmp_path: Path) -> None:
    """A blob that is missing or short is no archive; torn lines are passed over; both are told."""
    store = Store(tmp_path)
    for number, of in enumerate(ARCHIVES):
        put(store, b"bytes" * (number + 1), of=of)
    blobs = [store.blobs.path(record(b"bytes" * (number + 1)).sha256) for number in range(3)]
    store.close()
    blobs[0].unlink()
    os.truncate(blobs[1], 3)
    journal = tmp_path / "archives.ndjson"
    journal.write_bytes(b'{"url": "https://torn\n\xff\xfe\n' + journal.read_bytes() + b'{"url": "https://da')
    lose(tmp_path)
    found = rebuild(Settings(data=tmp_path))
    assert (found.archives, found.lines, found.torn) == (1, 6, 3)
    assert sorted(one.split()[0] for one in found.lost) == [f"https://{of}" for of in ARCHIVES[:2]]
    again = Store(tmp_path)
    assert [again.find(of) is not None for of in ARCHIVES] == [False, False, True]
    again.lock()
    again.close()


def test_beside_a_mirror(tmp_path: Path) -> None:
    """While another process fills the folder nothing is done; the error names it."""
    store = Store(tmp_path)
    store.lock()
    put(store, b"some bytes")
    with pytest.raises(DataFolderError, match=f"in use by process {os.getpid()}"):
        rebuild(Settings(data=tmp_path))
    store.close()
    assert not list(tmp_path.glob("*aside*"))


def test_nothing_to_make_it_from(tmp_path: Path) -> None:
    """A folder without a journal is said to be none, and stays as it is."""
    with pytest.raises(DataFolderError, match=r"There is no .*archives\.ndjson"):
        rebuild(Settings(data=tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_blank_lines_in_the_journal(tmp_path: Path) -> None:
    """They count as read: the next publication begins where the rebuild ended."""
    store = Store(tmp_path)
    put(store, b"a", of=ARCHIVES[0])
    store.close()
    journal = tmp_path / "archives.ndjson"
    journal.write_bytes(b"\n\n" + journal.read_bytes())
    lose(tmp_path)
    rebuild(Settings(data=tmp_path))
    store = Store(tmp_path)
    with store.transaction("a look") as writing:
        assert writing.marked(MARKS[0]) == store.journal.size
    store.close()


def test_rows_of_the_old_index_that_cannot_be(tmp_path: Path) -> None:
    """They are left out, and the others come along."""
    store = Store(tmp_path)
    put(store, b"a", of=ARCHIVES[0])
    for name in ("one", "two"):
        store.changes.note("added", name)
    store.close()
    with closing(sqlite3.connect(tmp_path / "index.db")) as old:
        old.executescript(
            "CREATE TABLE other AS SELECT * FROM changes; DROP TABLE changes; ALTER TABLE other RENAME TO changes;"
            "UPDATE changes SET by = NULL WHERE what = 'one';"
        )
    rebuild(Settings(data=tmp_path))
    store = Store(tmp_path)
    assert [one.what for one in store.index.look(lambda connection: changes.since(connection, 0))] == ["two"]
    store.close()


@pytest.mark.parametrize("is_lost", [False, True], ids=["damaged", "lost"])
def test_history_and_changes(tmp_path: Path, *, is_lost: bool) -> None:
    """They come from the old index, as far as that can be read, and go on; without one they begin afresh."""
    store, day = Store(tmp_path), 86_400.0
    put(store, b"a", of=ARCHIVES[0])
    store.changes.note("added", "https://data.example.org/sets/a", 1)
    with store.transaction("history") as writing:
        history.add(writing.connection, {("all", ""): Counts(served=5, hits=1), ("client", "192.0.2.0/24"): Counts(hits=1)}, day)
    store.close()
    if is_lost:
        lose(tmp_path)
    rebuild(Settings(data=tmp_path))
    store = Store(tmp_path)
    with store.transaction("history") as writing:
        history.add(writing.connection, {("all", ""): Counts(served=2)}, day)
    look = store.index.look
    assert look(lambda connection: history.by_name(connection, "all", 0.0, 2 * day))[""].served == (2 if is_lost else 7)
    assert list(look(lambda connection: history.by_name(connection, "client", 0.0, 2 * day))) == ([] if is_lost else ["192.0.2.0/24"])
    assert [one.what for one in look(lambda connection: changes.since(connection, 0))] == (
        [] if is_lost else ["https://data.example.org/sets/a"]
    )
    store.close()
