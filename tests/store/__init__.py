"""The store, part by part and then as a whole. Here: the records that its tests are about."""

import hashlib
from typing import Any

from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.store.record import Record


def archive(path: str = "/sets/a.zip", query: str = "") -> ArchiveId:
    """An archive of the one origin of these tests."""
    return ArchiveId("data.example.org", path, query)


def record(data: bytes = b"some bytes", of: ArchiveId | None = None, fetched: float = 1000.0, **facts: Any) -> Record:
    """What is known when `data` was fetched for the archive `of`."""
    return Record(of or archive(), hashlib.sha256(data).hexdigest(), len(data), fetched, **facts)
