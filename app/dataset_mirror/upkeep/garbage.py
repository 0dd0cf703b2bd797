"""What may be deleted: older versions, blobs without an archive, leftovers, and what is beyond `max_size` and `min_free`."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from stat import S_ISDIR
from typing import Literal

from dataset_mirror.fetch.eviction import Leaving
from dataset_mirror.mirror import Mirror
from dataset_mirror.store.partial import journal_of, remove_unheld
from dataset_mirror.store.resumable import is_old
from dataset_mirror.store.store import Store

Kind = Literal["old version", "orphan", "leftover", "quarantined", "over the limit"]
_SETTLED_SECONDS = 60.0
"""A file this old is not just being written by another process."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """Something that may go, its bytes, and how it goes."""

    kind: Kind
    what: str
    """URL or file name."""
    size: int
    remove: Callable[[], int]
    """Removes it and returns the bytes that were freed; blocks."""


async def find_garbage(mirror: Mirror, *, last_copies: bool = False) -> list[Garbage]:
    """All that may go. `last_copies`: for the limits, too, even if no origin confirms that it has the same bytes."""
    files = [fill.file for fill in mirror.flights if fill.file] + [left.path for left in mirror.store.leftovers]
    in_use = {path for file in files for path in (file, journal_of(file))}
    found = await mirror.store.in_worker(lambda: list(_unneeded(mirror.store, in_use)))
    over = mirror.store.space.missing(0) - sum(each.size for each in found)
    if over > 0:
        found += [_leaving(mirror, each) async for each in mirror.eviction.leaving(over, last_copies=last_copies)]
    return found


async def collect(mirror: Mirror, garbage: list[Garbage]) -> int:
    """Removes it; returns the bytes that were freed."""
    freed = 0
    for each in garbage:
        size = await mirror.store.in_worker(each.remove)
        mirror.store.changes.note("gc", each.what, size, each.kind)
        freed += size
    await mirror.store.write_changes()
    return freed


def _unneeded(store: Store, in_use: set[Path]) -> Iterator[Garbage]:
    for version in store.index.old_versions():
        yield Garbage(
            "old version", f"{version.url} ({version.sha256[:8]})", version.size, partial(store.remove, version.archive, version.sha256)
        )
    orphans = dict(store.blobs)
    for sha256 in chain(store.ledger.spared(), store.index.digests()):
        orphans.pop(sha256, None)
    for sha256, size in orphans.items():
        yield Garbage("orphan", sha256, size, partial(store.drop_orphan, sha256))
    yield from _files("leftover", store.folder.partial, in_use, _SETTLED_SECONDS)
    for left in store.leftovers:
        if is_old(left):
            yield Garbage("leftover", left.path.name, left.size, partial(store.leftovers.drop, left))
    yield from _files("quarantined", store.folder.quarantine, set())


def _files(kind: Kind, folder: Path, in_use: set[Path], settled: float = 0.0) -> Iterator[Garbage]:
    """Files and links of a folder that were not written for so many seconds. Folders in it are people's, or unexplained blobs."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        with suppress(FileNotFoundError):  # it went while we look
            status = path.lstat()
            if path not in in_use and not S_ISDIR(status.st_mode) and time.time() - status.st_mtime >= settled:
                yield Garbage(kind, path.name, status.st_size, partial(remove_unheld, path))


def _leaving(mirror: Mirror, leaving: Leaving) -> Garbage:
    def remove() -> int:
        return sum(mirror.store.remove(record.archive) for record in leaving.records)

    return Garbage("over the limit", ", ".join(record.url for record in leaving.records), leaving.freed, remove)
