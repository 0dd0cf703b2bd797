"""What takes the room: by origin, dataset and age, and what each client was sent."""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from dataset_mirror.mirror import Mirror
from dataset_mirror.status.figures import By, Held, UsageRow, UsageStatus
from dataset_mirror.status.traffic import counts_of
from dataset_mirror.store import history
from dataset_mirror.store.history import DAY, Counts
from dataset_mirror.store.store import Store

MOST_ROWS = 1000
_COUNTED = 30 * DAY


async def usage_of(mirror: Mirror, by: By) -> UsageStatus:
    """What takes the room, and what of it was asked for in the last 30 days."""
    return await mirror.store.in_worker(lambda: usage(mirror, by))


def usage(mirror: Mirror, by: By) -> UsageStatus:
    """As `usage_of`. Blocks."""
    store = mirror.store
    totals = store.index.counters()
    return UsageStatus(
        by=by,
        rows=_rows(mirror, by)[:MOST_ROWS],
        archives=totals.get("archives", 0),
        size=totals.get("blob_bytes", 0),
        old_versions=_old_versions(store),
        partial=_files(store.folder.partial.iterdir()),
        quarantine=_files(store.folder.quarantine.iterdir() if store.folder.quarantine.is_dir() else ()),
    )


def _rows(mirror: Mirror, by: By) -> list[UsageRow]:
    counted = {} if by == "age" else _counted(mirror.store, by)
    if by == "client":
        rows = [
            UsageRow(name=name, archives=one.hits + one.misses, size=one.served, counts=counts_of(one)) for name, one in counted.items()
        ]
    else:
        sums = mirror.store.index.sums(by, mirror.dataset_of)
        rows = [
            UsageRow(name=name, archives=held.archives, size=held.size, counts=counts_of(counted.get(name, Counts())))
            for name, held in sums.items()
        ]
    return rows if by == "age" else sorted(rows, key=lambda row: (-row.size, row.name))


def _counted(store: Store, by: By) -> Mapping[str, Counts]:
    assert by != "age"
    now = time.time()
    return store.index.look(lambda connection: history.by_name(connection, by, now - _COUNTED, now))


def _old_versions(store: Store) -> Held:
    known = store.index.old_versions()
    return Held(number=len(known), size=sum(record.size for record in known))


def _files(paths: Iterable[Path]) -> Held:
    sizes = [path.stat().st_size for path in paths if path.is_file()]
    return Held(number=len(sizes), size=sum(sizes))
