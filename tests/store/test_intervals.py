"""Intervals against the plainest model: a set of numbers."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_mirror.store.intervals import Intervals

numbers = st.integers(0, 30)
additions = st.lists(st.tuples(numbers, numbers), max_size=15)


def built(added: list[tuple[int, int]]) -> tuple[Intervals, set[int]]:
    intervals, model = Intervals(), set[int]()
    for start, end in added:
        intervals.add(start, end)
        model.update(range(start, end))
    return intervals, model


@settings(deadline=None)
@given(additions)
def test_intervals_are_a_set_of_numbers(added: list[tuple[int, int]]) -> None:
    """Whatever is added in whatever order, the intervals hold the same numbers as a set."""
    intervals, model = built(added)
    assert {number for start, end in intervals for number in range(start, end)} == model
    assert intervals.total == len(model)


@settings(deadline=None)
@given(additions)
def test_intervals_are_sorted_apart_and_not_empty(added: list[tuple[int, int]]) -> None:
    """There is one way to write a set: sorted, with a gap between any two intervals, none of them empty."""
    intervals, _ = built(added)
    assert all(start < end for start, end in intervals)
    assert all(end < start for (_, end), (start, _) in pairwise(intervals))


@settings(deadline=None)
@given(additions, numbers)
def test_end_of_is_the_next_missing_number(added: list[tuple[int, int]], offset: int) -> None:
    """The run that holds an offset ends at the first number from there on that is missing."""
    intervals, model = built(added)
    assert intervals.end_of(offset) == next(number for number in range(offset, 100) if number not in model)


@settings(deadline=None)
@given(additions, numbers)
def test_next_start_is_where_a_run_begins(added: list[tuple[int, int]], offset: int) -> None:
    """The next interval begins at the first number from there on that is there while the one before it is not."""
    intervals, model = built(added)
    starts = (number for number in range(offset, 100) if number in model and number - 1 not in model)
    assert intervals.next_start(offset) == next(starts, None)


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([(0, 5), (5, 9)], [(0, 9)], id="touching ones are merged"),
        pytest.param([(5, 9), (0, 5)], [(0, 9)], id="touching from below"),
        pytest.param([(0, 3), (6, 9)], [(0, 3), (6, 9)], id="a gap stays"),
        pytest.param([(0, 3), (6, 9), (3, 6)], [(0, 9)], id="a gap is filled"),
        pytest.param([(0, 3), (6, 9), (2, 20)], [(0, 20)], id="one swallows all"),
        pytest.param([(4, 4), (5, 3)], [], id="empty ones are nothing"),
    ],
)
def test_merging(added: list[tuple[int, int]], expected: list[tuple[int, int]]) -> None:
    """Intervals that overlap or touch become one."""
    assert list(built(added)[0]) == expected
