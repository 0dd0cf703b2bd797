"""Sums of what is kept: as if all rows were added up, whatever came and went, and in whichever order."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.store import sums
from dataset_mirror.store.index import Index
from dataset_mirror.store.listing import Query
from dataset_mirror.store.sums import Held
from tests.store import record

DAY = 86_400


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    index = Index(f"sqlite:///{tmp_path / 'index.db'}")
    yield index
    index.close()


def by_origin(index: Index) -> dict[str, Held]:
    return index.look(sums.by_origin)


def added_up(index: Index) -> dict[str, Held]:
    """From all rows: equal bytes belong to the first by name of all that have, or had, them."""
    found: dict[str, Held] = {}
    owners: dict[str, tuple[str, int]] = {}
    for line in index.every(Query()):
        found.setdefault(line.record.archive.authority, Held()).archives += 1
        for version in index.versions(line.record.archive):
            mine = (str(version.archive), version.size)
            owners[version.sha256] = min(owners.get(version.sha256, mine), mine)
    for key, size in owners.values():
        found.setdefault(key.partition("/")[0], Held()).size += size
    return found


def test_they_follow_whatever_happens(index: Index) -> None:
    """After each of many publications and removals, of equal bytes too, they are those of all rows, and of all blobs."""
    chance = random.Random(3)
    archives = [ArchiveId(f"{host}.example.org", f"/{number}", "") for host in "abc" for number in range(4)]
    contents = [bytes(size) for size in range(1, 6)]
    for moment in range(150):
        archive, content = chance.choice(archives), chance.choice(contents)
        with index.transaction() as writing:
            if chance.random() < 0.6:
                writing.publish(record(content, archive, float(moment)), float(moment))
            else:
                known = index.versions(archive)
                writing.forget(archive, chance.choice(known).sha256 if known and chance.random() < 0.5 else None)
        assert by_origin(index) == added_up(index)
        assert sum(held.size for held in by_origin(index).values()) == index.total("blob_bytes")
    assert index.total("archives") > 3
    with index.transaction() as writing:
        sums.recount(writing.connection)
    assert by_origin(index) == added_up(index)


def test_by_age(index: Index) -> None:
    """By the time of the last use, without empty ages."""
    now = 1_800_000_000.0
    with index.transaction() as writing:
        for number, days in enumerate((0.5, 3, 3, 100, 1000)):
            writing.publish(record(bytes(number + 1), ArchiveId("a.example.org", f"/{number}", "")), now - days * DAY)
    found = index.look(lambda connection: sums.by_age(connection, now))
    assert found == {"today": Held(1, 1), "this week": Held(2, 5), "this year": Held(1, 4), "earlier": Held(1, 5)}


def test_by_key(index: Index) -> None:
    """What belongs to some archives; bytes that belong to another one do not count, and what is not there is left out."""
    first, second, gone = (ArchiveId("a.example.org", f"/{name}", "") for name in ("1", "2", "3"))
    with index.transaction() as writing:
        writing.publish(record(b"same", first), 1.0)
        writing.publish(record(b"same", second), 1.0)
        writing.publish(record(b"older", second, 0.5), 1.0)
    found = index.look(lambda connection: sums.by_key(connection, [str(first), str(second), str(gone)]))
    assert found == {str(first): Held(1, 4), str(second): Held(1, 5)}
