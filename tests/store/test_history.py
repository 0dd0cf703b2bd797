"""History: small, bounded, and never asked of any request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.store import history
from dataset_mirror.store.history import DAY, HOUR, KEPT, MINUTE, MOST_NAMES, NAMES, OTHERS, Counts, Of
from dataset_mirror.store.index import Index
from dataset_mirror.store.schema import history as table
from dataset_mirror.store.store import Store
from dataset_mirror.store.usage import Usage
from tests.store import archive

NOW = 1_800_000_000.0 // DAY * DAY + 12 * HOUR
A, B = archive("/a"), archive("/b")


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    index = Index(f"sqlite:///{tmp_path / 'index.db'}")
    yield index
    index.close()


def add(index: Index, at: float, batch: dict[tuple[Of, str], Counts]) -> None:
    with index.transaction() as writing:
        history.add(writing.connection, batch, at)


def tidied(index: Index, now: float) -> None:
    with index.transaction() as writing:
        history.tidy(writing.connection, now)


def over(index: Index, of: Of, name: str, step: int, since: float = 0) -> dict[int, Counts]:
    return index.look(lambda connection: history.over_time(connection, of, name, since, step))


def number(index: Index) -> int:
    return int(index.look(lambda connection: connection.execute(select(func.count()).select_from(table)).scalar_one()))


def test_each_batch_is_in_its_minute_hour_and_day(index: Index) -> None:
    """What comes in the same step is added to it."""
    add(index, NOW, {("all", ""): Counts(served=5, hits=1)})
    add(index, NOW + 59, {("all", ""): Counts(served=5, hits=1)})
    add(index, NOW + 60, {("all", ""): Counts(fetched=7, misses=1, seconds=0.5)})
    first, second = int(NOW), int(NOW) + 60
    assert over(index, "all", "", MINUTE) == {first: Counts(served=10, hits=2), second: Counts(fetched=7, misses=1, seconds=0.5)}
    whole = Counts(served=10, fetched=7, hits=2, misses=1, seconds=0.5)
    assert over(index, "all", "", HOUR) == {first: whole}
    assert over(index, "all", "", DAY) == {int(NOW // DAY * DAY): whole}
    assert whole.saved == 3


def test_what_is_old_goes(index: Index) -> None:
    """Minutes are kept for a day, hours for 90 days, days for five years."""
    add(index, NOW, {("all", ""): Counts(hits=1)})
    for later, left in ((23 * HOUR, 3), (2 * DAY, 2), (91 * DAY, 1), (1825 * DAY, 1), (1832 * DAY, 0)):
        tidied(index, NOW + later)
        assert number(index) == left


def test_names_are_bounded(index: Index) -> None:
    """A step that is over keeps the names of which most was served; the others are one, and nothing of them is lost."""
    most = NAMES[MINUTE]
    add(index, NOW, {("client", f"10.0.{number}.0/24"): Counts(served=number) for number in range(3 * most)})
    tidied(index, NOW + MINUTE)
    found = index.look(lambda connection: history.by_name(connection, "client", NOW, NOW))
    assert len(found) == 3 * most
    minute = {name: over(index, "client", name, MINUTE) for name in [*found, OTHERS]}
    left = {name: counts[int(NOW)].served for name, counts in minute.items() if counts}
    assert len(left) == most
    assert f"10.0.{3 * most - 1}.0/24" in left
    assert sum(left.values()) == sum(range(3 * most))


def test_a_step_under_way_is_bounded_too(index: Index) -> None:
    """However many names come, only so many have a line of their own."""
    for part in range(3):
        add(index, NOW, {("dataset", f"{part}-{number}"): Counts(hits=1) for number in range(MOST_NAMES // 2)})
    assert number(index) == len(KEPT) * (MOST_NAMES + 1)
    assert over(index, "dataset", OTHERS, MINUTE) == {int(NOW): Counts(hits=MOST_NAMES // 2)}


def test_sums_since(index: Index) -> None:
    """Sums by name are to the hour for 90 days, and to the day further back."""
    for days in (0, 10, 100, 400):
        add(index, NOW - days * DAY, {("dataset", "keras/mnist"): Counts(hits=1)})
    tidied(index, NOW)
    for ago, hits in ((0.01, 1), (11.0, 2), (101.0, 3), (1000.0, 4)):
        found = index.look(lambda connection, ago=ago: history.by_name(connection, "dataset", NOW - ago * DAY, NOW))  # type: ignore[misc]
        assert found["keras/mnist"].hits == hits


async def test_a_flush_counts_by_origin_dataset_and_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each archive counts for all, its origin and its dataset; clients count by network."""
    monkeypatch.setattr("dataset_mirror.store.usage.time.time", lambda: NOW)
    store = Store(tmp_path)
    names: Callable[[ArchiveId], str] = lambda archive: f"set{archive.path}"  # noqa: E731
    usage = Usage(store, names, lambda: {"192.0.2.0/24": Counts(served=9)})
    usage.of(A).served += 5
    usage.of(B).served += 4
    usage.of(B).failures += 1
    await usage.flush()
    assert over(store.index, "all", "", HOUR) == {int(NOW): Counts(served=9, failures=1)}
    assert over(store.index, "origin", A.authority, HOUR) == {int(NOW): Counts(served=9, failures=1)}
    assert over(store.index, "dataset", "set/b", HOUR) == {int(NOW): Counts(served=4, failures=1)}
    assert over(store.index, "client", "192.0.2.0/24", HOUR) == {int(NOW): Counts(served=9)}
    assert usage.unwritten("all", "") == Counts()
    usage.of(A).hits += 1
    assert usage.unwritten("dataset", "set/a") == Counts(hits=1)
    store.close()
