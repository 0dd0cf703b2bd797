"""What is known by name, and what of it is there."""

import asyncio
from collections.abc import Container, Sequence

from dataset_mirror.mirror import Mirror
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.status.contents import (
    Catalog,
    DatasetArchive,
    DatasetStatus,
)
from dataset_mirror.store.index import Index
from dataset_mirror.store.listing import Listed, Query


async def catalog_of(mirror: Mirror, names: Sequence[str] | None = None) -> Catalog:
    """Per named dataset what of it is there; of all by name, or of these. The store's worker does not wait for it."""
    named = sorted(mirror.origins.names) if names is None else names

    def look() -> Catalog:
        damaged = {one.archive for one in mirror.store.index.damaged()}
        stored = _Stored(mirror.store.index)
        return Catalog(datasets=[_dataset(mirror, name, stored, damaged) for name in named])

    return await asyncio.to_thread(look)


class _Stored:
    """What is stored of archives, asked one after the other: an origin of which little is stored is read once."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._whole: dict[str, dict[ArchiveId, Listed] | None] = {}

    def listed(self, archive: ArchiveId) -> Listed | None:
        if archive.authority not in self._whole:
            page = self._index.page(Query(origin=archive.authority, limit=1000))
            self._whole[archive.authority] = None if page.next else {line.record.archive: line for line in page.archives}
        known = self._whole[archive.authority]
        return self._index.listed(archive) if known is None else known.get(archive)


def _dataset(mirror: Mirror, name: str, stored: _Stored, damaged: Container[ArchiveId]) -> DatasetStatus:
    archives, used = [], []
    for entry in mirror.origins.named(name):
        line = stored.listed(entry.archive)
        used += [line.used] if line else []
        absent = "fetching" if mirror.flights.get(entry.archive) else "damaged" if entry.archive in damaged else "missing"
        size = line.record.size if line else entry.size
        archives.append(DatasetArchive(url=entry.shown, state=line.state if line else absent, size=size))
    states = {archive.state for archive in archives}
    return DatasetStatus(
        name=name,
        complete=not states & {"missing", "fetching", "damaged"},
        verified=states == {"verified"},
        size=sum(archive.size or 0 for archive in archives),
        used=max(used, default=None),
        archives=archives,
    )
