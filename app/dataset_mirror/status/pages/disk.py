"""The disk as a bar: which datasets take it, what is kept beside them, what is free, and what has to stay so."""

from collections.abc import Iterator
from dataclasses import dataclass

from dataset_mirror.status.figures import UsageStatus
from dataset_mirror.status.models import StoreStatus

WIDTH = 1000
"""Units of the whole bar."""
_LARGEST = 7
"""Datasets that have a colour of their own; the others share one."""
_UNNAMED = "(no name) "
"""Before the host of archives that are in no dataset."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the bar: `kind` is its colour, `start` and `width` are units, `size` is in bytes."""

    kind: str
    name: str
    size: int
    start: float
    width: float
    dataset: str = ""
    """The dataset's name in the catalog, if it is one."""


@dataclass(frozen=True, slots=True)
class Disk:
    """The bar: of the limit `max_size` if there is one, else of what the archives have and the disk has left."""

    whole: int
    is_limit: bool
    parts: list[Part]


def disk_of(store: StoreStatus, usage: UsageStatus | None) -> Disk:
    """The bar of the data folder; without `usage`, if the index cannot be read, of its bytes alone."""
    whole = store.max_size if store.max_size is not None else store.blob_bytes + store.free
    whole = max(whole, store.blob_bytes + store.promised, 1)
    parts, start = [], 0.0
    for kind, name, size, dataset in _pieces(store, usage, whole):
        width = min(WIDTH * size / whole, WIDTH - start)
        if size > 0:
            parts.append(Part(kind, name, size, start, width, dataset))
            start += width
    return Disk(whole, store.max_size is not None, parts)


def _pieces(store: StoreStatus, usage: UsageStatus | None, whole: int) -> Iterator[tuple[str, str, int, str]]:
    rows = [row for row in usage.rows if row.size] if usage else []
    named = sum(row.size for row in rows[:_LARGEST])
    for number, row in enumerate(rows[:_LARGEST], 1):
        unnamed = row.name.startswith(_UNNAMED)
        yield f"set{number}", row.name.removeprefix(_UNNAMED) if unnamed else row.name, row.size, "" if unnamed else row.name
    aside = usage.old_versions.size if usage else 0
    yield "rest", "Other archives", max(0, store.blob_bytes - named - aside), ""
    yield "old", "Older versions", min(aside, store.blob_bytes), ""
    yield "promised", "Downloads under way", store.promised, ""
    left = whole - store.blob_bytes - store.promised
    reserve = max(0, min(left, left - (store.free - store.min_free - store.promised)))
    yield "free", "Room left", left - reserve, ""
    yield "reserve", "Stays free (min_free)" if store.max_size is None else "Not on this disk, or has to stay free", reserve, ""
