"""What all mirrors know, asked for directly."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dataset_mirror.store.record import Record
from dataset_mirror.store.shared import catalogue
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
