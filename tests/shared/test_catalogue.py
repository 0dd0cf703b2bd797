"""What all mirrors know, asked for directly."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dataset_mirror.store.record import Record
from dataset_mirror.store.shared import catalogue
from dataset_mirror.store.shared.answers import Known
from dataset_mirror.store.shared.catalogue import Catalogue
from dataset_mirror.store.shared.database import Session
from dataset_mirror.store.shared.schema import migrate
from tests.shared.cluster import fresh_database
from tests.store import archive, record

NAMES = [f"/sets/{number}.zip" for number in range(7)]


async def published(session: Session, known: Catalogue) -> list[Record]:
    """Some archives, each with an older version."""
    records = []
    for name in NAMES:
        records.append(replace(record(name.encode(), archive(name)), fetched=2000.0))
        for one in (record(f"old {name}".encode(), archive(name)), records[-1]):
            await known.uploading(session, one.sha256, one)
            await known.publish(session, one, one.sha256, None)
    return records


async def test_pages_look_at_so_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page may be short of what is asked for, and says how far it looked; all pages together have each archive's latest version once."""
    monkeypatch.setattr(catalogue, "_LOOKED_THROUGH", 4)
    session, known = await Session.connected(fresh_database(), "tests"), Catalogue("me")
    try:
        await migrate(session)
        records = await published(session, known)
        for part, right in (("", records), ("/5.", records[5:6]), ("nothing", [])):
            found, after, pages = list[Record](), "", 0
            while True:
                some, reached = await known.page(session, "data.example.org/", after, part, 3)
                found, pages = [*found, *some], pages + 1
                if reached is None:
                    break
                assert reached > after
                after = reached
            assert found == right
            assert pages > 2
    finally:
        await session.close()


async def test_the_same_bytes_are_kept_once() -> None:
    """Of two mirrors that uploaded the same bytes the first one's object stays, and what the other one tells is known, too."""
    session, known = await Session.connected(fresh_database(), "tests"), Catalogue("me")
    try:
        await migrate(session)
        one, other = (record(b"same", archive(name)) for name in NAMES[:2])
        for name, told in (("first", one), ("second", other)):
            await known.uploading(session, name, told)
        for name, told in (("first", one), ("second", other)):
            await known.publish(session, told, name, None)
        states = await session.run("SELECT object, state FROM objects ORDER BY object")
        assert [(row["object"], row["state"]) for row in states] == [("first", "kept"), ("second", "gone")]
        assert await known.find(session, str(other.archive)) == Known(other, "first")
    finally:
        await session.close()
