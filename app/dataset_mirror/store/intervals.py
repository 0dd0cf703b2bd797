"""A set of byte intervals: which parts of a partial file are there."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator


class Intervals:
    """Disjoint half-open intervals [start, end) of bytes, kept sorted; touching ones are merged."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._starts, self._ends, strict=True))

    def add(self, start: int, end: int) -> None:
        """Adds [start, end); nothing happens if it is empty."""
        if start >= end:
            return
        first, last = bisect_left(self._ends, start), bisect_right(self._starts, end)
        if first < last:
            start, end = min(start, self._starts[first]), max(end, self._ends[last - 1])
        self._starts[first:last], self._ends[first:last] = [start], [end]

    def end_of(self, offset: int) -> int:
        """The end of the run that holds `offset`, or `offset` itself if it is missing."""
        at = bisect_right(self._starts, offset) - 1
        return max(offset, self._ends[at]) if at >= 0 else offset

    def next_start(self, offset: int) -> int | None:
        """Where the first interval at or after `offset` begins."""
        at = bisect_left(self._starts, offset)
        return self._starts[at] if at < len(self._starts) else None

    @property
    def total(self) -> int:
        """Bytes that are there."""
        return sum(end - start for start, end in self)
