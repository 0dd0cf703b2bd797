"""The wanted list, as the index keeps it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dataset_mirror.errors import BadRequest
from dataset_mirror.store.index import Index
from dataset_mirror.store.wanted import MOST, Wanted
from tests.store import archive, record

A, B, C = archive("/sets/a.zip"), archive("/sets/b.zip", "v=1&w=?/x"), archive("/sets/c.zip")


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    index = Index(f"sqlite:///{tmp_path / 'index.db'}")
    yield index
    index.close()


def want(index: Index, *misses: Wanted) -> None:
    with index.transaction() as writing:
        writing.want(misses)


def test_what_it_says(index: Index) -> None:
    """Each archive is on it once: how often in all, first and last when, and who asked the last time."""
    want(index, Wanted(B, 2, 10.0, 20.0, "10.0.0.1"), Wanted(A, 1, 5.0, 5.0))
    want(index, Wanted(B, 3, 30.0, 40.0, "10.0.0.2"))
    assert index.all_wanted() == [Wanted(A, 1, 5.0, 5.0), Wanted(B, 5, 10.0, 40.0, "10.0.0.2")]
    assert index.number_wanted() == 2


def test_what_arrives_leaves_it(index: Index) -> None:
    """Publishing an archive takes it off the list, and a miss that is written only then does not put it back."""
    want(index, Wanted(A, 1, 1.0, 1.0), Wanted(B, 1, 1.0, 1.0))
    with index.transaction() as writing:
        writing.publish(record(of=A), 1.0)
    assert [one.archive for one in index.all_wanted()] == [B]
    want(index, Wanted(A, 1, 2.0, 2.0), Wanted(C, 1, 2.0, 2.0))
    assert [one.archive for one in index.all_wanted()] == [B, C]


def test_a_failed_publication_leaves_it_as_it_was(index: Index) -> None:
    """Arriving and leaving are one transaction."""
    want(index, Wanted(A, 1, 1.0, 1.0))
    with pytest.raises(OSError, match="power"):
        _interrupted(index)
    assert index.number_wanted() == 1


def _interrupted(index: Index) -> None:
    with index.transaction() as writing:
        writing.publish(record(of=A), 1.0)
        raise OSError("power")


def test_it_is_bounded(index: Index) -> None:
    """Of more than it holds, those go that were asked for longest ago, also if they were asked for first of all."""
    want(index, *(Wanted(archive(f"/sets/{number}"), 1, float(number), float(number)) for number in range(MOST)))
    want(index, Wanted(archive("/sets/0"), 1, 1e6, 1e6), Wanted(A, 1, 1e6, 1e6), Wanted(B, 1, 1e6, 1e6))
    assert index.number_wanted() == MOST
    left = {one.archive for one in index.all_wanted()}
    assert {A, B, archive("/sets/0"), archive("/sets/3")} <= left
    assert not {archive("/sets/1"), archive("/sets/2")} & left


def test_pages(index: Index) -> None:
    """Pages follow one another without a gap, what was asked for last first; equal times do not matter."""
    want(index, *(Wanted(archive(f"/sets/{number}"), 1, 1.0, float(number // 3)) for number in range(10)))
    seen, after = [], None
    while True:
        page = index.wanted(4, after)
        seen += [one.last for one in page.wanted]
        if (after := page.next) is None:
            break
    assert seen == sorted((number // 3 for number in range(10)), reverse=True)
    with pytest.raises(BadRequest):
        index.wanted(4, "nonsense")


def test_taking_away(index: Index) -> None:
    """Entries can be taken off; those that are not on the list do not matter."""
    want(index, Wanted(A, 1, 1.0, 1.0), Wanted(B, 1, 1.0, 1.0))
    with index.transaction() as writing:
        assert writing.unwant([A, C]) == 1
    assert [one.archive for one in index.all_wanted()] == [B]
