"""The parts of a shared store in this process: what they do while the disk, or another part, is in their way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import obstore
import pytest

from dataset_mirror.errors import StoreFull
from dataset_mirror.origins import sharing
from dataset_mirror.store.record import Record
from dataset_mirror.store.shared import replicator, store, sweeper
from dataset_mirror.store.shared.bucket import Bucket
from dataset_mirror.store.shared.catalogue import Catalogue
from dataset_mirror.store.shared.database import Database, Session
from dataset_mirror.store.shared.feed import Feed
from dataset_mirror.store.shared.life import Life
from dataset_mirror.store.shared.replicator import Replicator
from dataset_mirror.store.shared.store import SharedStore
from dataset_mirror.store.shared.sweeper import Sweeper
from dataset_mirror.store.store import Store
from tests.shared.cluster import fresh_bucket, fresh_database
from tests.store import archive, record
from tests.waiting import until

A, B = archive("/sets/a.zip"), archive("/sets/b.zip")


@dataclass
class Parts:
    """Those of one mirror, and another's catalogue."""

    store: Store
    places: tuple[str, sharing.Bucket]
    database: Database
    bucket: Bucket
    life: Life
    catalogue: Catalogue
    other: Catalogue

    def put(self, data: bytes, known: Record) -> None:
        partial = self.store.new_partial()
        partial.write(0, data)
        partial.sync()
        self.store.publish(partial.path, known)
        partial.close()

    def replicator(self) -> Replicator:
        return Replicator(self.store, self.database, self.bucket, self.catalogue, self.life, {})

    async def published(self, known: Record) -> None:
        """By the other mirror."""
        async with self.database.session() as session:
            await self.catalogue.uploading(session, known.sha256, known)  # the other has no life of its own
            await self.other.publish(session, known, known.sha256, None)


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    places = fresh_database(), sharing.Bucket(**fresh_bucket())
    database = Database(places[0], "tests")
    life = Life(database, "tests", lambda _: "", dict)
    local = Store(tmp_path)
    local.telling.is_on = True
    await life.join()
    living = asyncio.create_task(life.live())
    yield Parts(local, places, database, Bucket(places[1]), life, Catalogue(life.id), Catalogue("other"))
    living.cancel()
    await asyncio.wait([living])
    await database.forget()
    local.close()


def failing(what: Callable[..., Any]) -> Callable[..., Any]:
    """The same, once the disk has room: the first call fails."""
    calls = iter([True])

    def call(*arguments: Any) -> Any:
        if next(calls, False):
            raise StoreFull("The disk is full.", "Make room.")
        return what(*arguments)

    return call


async def test_telling_goes_on_after_a_full_disk(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was told and could not be noted is told again, and so is all that follows."""
    monkeypatch.setattr(replicator, "_LATER", 0.01)
    monkeypatch.setattr(parts.store.telling, "told", failing(parts.store.telling.told))
    parts.put(b"a", record(b"a", A))
    running = asyncio.create_task(parts.replicator().run())
    await asyncio.to_thread(until, lambda: running.done() or parts.store.index.number_in_outbox() == 0)
    parts.put(b"b", record(b"b", B))
    await asyncio.to_thread(until, lambda: running.done() or parts.store.index.number_in_outbox() == 0)
    assert not running.done()
    running.cancel()
    await asyncio.wait([running])


async def test_learning_goes_on_after_a_full_disk(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """What others publish is learnt, though for a moment nobody could write down how far."""
    monkeypatch.setattr(store, "_AGAIN_SECONDS", 0.01, raising=False)
    monkeypatch.setattr(parts.store.telling, "see", failing(parts.store.telling.see))
    told: list[str] = []
    shared = SharedStore(parts.store, parts.places, required=True, url=lambda _: "", state=dict, told=told.append)
    await shared.start()
    try:
        for known in (record(b"a", A), record(b"b", B)):
            await parts.published(known)
            await asyncio.to_thread(until, lambda known=known: str(known.archive) in told)
    finally:
        await shared.stop()


async def test_what_is_told_while_the_feed_reads(parts: Parts) -> None:
    """A version that all know since a moment ago is not taken for one that another mirror removed."""
    older, newer = record(b"older", A), replace(record(b"newer", A), fetched=2000.0)
    parts.put(b"newer", newer)
    await parts.published(older)

    class Asked(Catalogue):
        """Just behind the answer this mirror tells of its own version."""

        async def versions(self, session: Session, keys: Iterable[str]) -> dict[str, list[tuple[Record, bool]]]:
            found = await super().versions(session, keys)
            assert await parts.replicator().round() == 1
            return found

    feed = Feed(parts.store, parts.database, Asked(parts.life.id), parts.life, lambda _: None)
    async with parts.database.session() as session:
        await feed._read(session)
    assert parts.store.find(A) == newer


async def test_only_objects_of_mirrors_are_swept(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody else keeps in the bucket stays, however old it is; an object of ours that nobody knows goes."""
    monkeypatch.setattr(sweeper, "_DAY", -60.0)
    orphan = parts.bucket.name_for("ab" * 32)
    for name in (orphan, "thesis.pdf", "ab/thesis.pdf"):
        obstore.put(parts.bucket._store, name, b"bytes")
    assert await Sweeper(parts.database, parts.bucket, parts.life).round() == 1
    assert sorted(one["path"] for some in obstore.list(parts.bucket._store) for one in some) == ["ab/thesis.pdf", "thesis.pdf"]


async def test_an_upload_that_nobody_goes_on_with(parts: Parts) -> None:
    """An object that its mirror could not tell of, though it lives, is swept a day later; one that is being uploaded is not."""
    async with parts.database.session() as session:
        for name in ("old", "new"):
            await parts.catalogue.uploading(session, name, record(name.encode()))
        await session.run("UPDATE objects SET since = since - interval '25 hours' WHERE object = 'old'")
        await Sweeper(parts.database, parts.bucket, parts.life).round()
        rows = await session.run("SELECT object, state FROM objects ORDER BY object")
    assert [(row["object"], row["state"]) for row in rows] == [("new", "uploading"), ("old", "gone")]
