"""Hits and totals: gathered in memory, written in batches, never twice and never lost."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.store.store import Store
from dataset_mirror.store.usage import Usage
from tests.store import archive, record

A, B = archive("/a"), archive("/b")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    for known in (A, B):
        partial = store.new_partial()
        store.publish(partial.path, record(b"", of=known))
        partial.close()
    yield store
    store.close()


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the time."""
    return lambda seconds: monkeypatch.setattr("dataset_mirror.store.usage.time.time", lambda: seconds)


def written(store: Store) -> dict[ArchiveId, tuple[int, float]]:
    with closing(sqlite3.connect(store.folder.index)) as database:
        rows = {key: (hits, used) for key, hits, used in database.execute("SELECT key, hits, used FROM archives WHERE hits")}
    return {known: rows[str(known)] for known in (A, B) if str(known) in rows}


def totals(store: Store) -> dict[str, int]:
    return {name: value for name, value in store.index.counters().items() if not name.startswith("archive")}


def usage_of(store: Store, **counted: int) -> Usage:
    """What a process counts, of one archive for a start."""
    usage = Usage(store, lambda archive: archive.name)
    for name, value in counted.items():
        setattr(usage.of(A), name, value)
    return usage


async def test_hits_are_written_in_one_batch(store: Store, now: Callable[[float], None]) -> None:
    """Nothing is written per request; a flush writes how often each archive was asked for, and when last."""
    usage = usage_of(store)
    for at, known in ((10.0, A), (20.0, B), (30.0, A)):
        now(at)
        usage.note(known)
    assert written(store) == {}
    await usage.flush()
    assert written(store) == {A: (2, 30.0), B: (1, 20.0)}


async def test_a_flush_writes_nothing_twice(store: Store) -> None:
    """What was written is forgotten, and what comes afterwards is added to it."""
    usage = usage_of(store, hits=2, misses=1, served=500)
    usage.note(A)
    await usage.flush()
    await usage.flush()
    assert (written(store)[A][0], totals(store)) == (1, {"hits": 2, "misses": 1, "served": 500})
    assert usage.pending == {"hits": 0, "misses": 0, "served": 0, "fetched": 0}
    usage.of(A).served += 50
    usage.of(B).fetched += 7
    usage.note(A)
    assert usage.pending == {"hits": 0, "misses": 0, "served": 50, "fetched": 7}
    await usage.flush()
    assert (written(store)[A][0], totals(store)) == (2, {"hits": 2, "misses": 1, "served": 550, "fetched": 7})


async def test_totals_go_on_over_restarts(store: Store) -> None:
    """A new process adds to what earlier ones counted."""
    for _ in range(2):
        await usage_of(store, hits=3).flush()
    assert totals(store) == {"hits": 6}


async def test_what_could_not_be_written_is_kept(store: Store, now: Callable[[float], None]) -> None:
    """If a flush fails the next one writes all of it, with what came in between."""
    usage = usage_of(store, hits=2)
    now(10.0)
    usage.note(A)
    usage.note(B)
    with closing(sqlite3.connect(store.folder.index)) as database:
        database.execute("ALTER TABLE archives RENAME TO hidden")
        with pytest.raises(OperationalError, match="no such table"):
            await usage.flush()
        now(20.0)
        usage.note(A)
        database.execute("ALTER TABLE hidden RENAME TO archives")
    await usage.flush()
    assert written(store) == {A: (2, 20.0), B: (1, 10.0)}
    assert totals(store) == {"hits": 2}


async def test_a_flush_that_is_cancelled_counts_once(store: Store) -> None:
    """A server that is stopped during a flush writes the same hits neither twice nor not at all."""
    usage = usage_of(store, hits=5)
    usage.note(A)
    started, go_on = threading.Event(), threading.Event()

    def busy() -> None:
        started.set()
        assert go_on.wait(30)

    occupied = asyncio.create_task(store.in_worker(busy))
    await asyncio.to_thread(started.wait, 30)
    with store.index.transaction():  # the flush is in the worker, and waits there for the write lock
        flushing = asyncio.create_task(usage.flush())
        await asyncio.sleep(0)
        go_on.set()
        await occupied
        await asyncio.sleep(0)
        flushing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await flushing
        usage.note(A)
    await usage.flush()
    assert written(store)[A][0] == 2
    assert totals(store) == {"hits": 5}


async def test_nothing_is_missing_while_it_is_written(store: Store) -> None:
    """Totals never go back: what is on its way into the index is told until it is there."""
    usage = usage_of(store, hits=5)
    go_on = threading.Event()
    occupied = asyncio.create_task(store.in_worker(lambda: go_on.wait(30)))
    flushing = asyncio.create_task(usage.flush())
    for _ in range(5):
        await asyncio.sleep(0)
    assert (totals(store), usage.pending["hits"]) == ({}, 5)
    go_on.set()
    await asyncio.gather(occupied, flushing)
    assert (totals(store), usage.pending["hits"]) == ({"hits": 5}, 0)


async def test_two_flushes_at_once_count_once(store: Store) -> None:
    """Flushes wait for each other."""
    usage = usage_of(store, hits=5)
    usage.note(A)
    await asyncio.gather(usage.flush(), usage.flush(), usage.flush())
    assert written(store)[A][0] == 1
    assert totals(store) == {"hits": 5}


async def test_hits_of_an_archive_that_has_gone_are_passed_over(store: Store) -> None:
    """An archive that is not in the index any more does not stop the others from being counted."""
    usage = usage_of(store)
    usage.note(archive("/gone"))
    usage.note(A)
    await usage.flush()
    assert list(written(store)) == [A]
