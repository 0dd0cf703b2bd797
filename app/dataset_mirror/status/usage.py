"""What takes the room: by origin, dataset and age, and what each client was sent."""

import asyncio
import stat
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from dataset_mirror.mirror import Mirror
from dataset_mirror.origins.table import dataset_name
from dataset_mirror.status.figures import By, Held, UsageRow, UsageStatus
from dataset_mirror.status.traffic import counts_of
from dataset_mirror.store import history, sums
from dataset_mirror.store.history import DAY, Counts
from dataset_mirror.store.store import Store

MOST_ROWS, MOST = 1000, 100_000
"""How many rows there are, and how many there can be."""
_COUNTED = 30 * DAY


async def usage_of(mirror: Mirror, by: By, most: int = MOST_ROWS) -> UsageStatus:
    """What takes the room, and what of it was asked for in the last 30 days."""
    return await asyncio.to_thread(usage, mirror, by, most)


def usage(mirror: Mirror, by: By, most: int = MOST_ROWS) -> UsageStatus:
    """As `usage_of`. Blocks."""
    store = mirror.store
    totals = store.index.counters()
    return UsageStatus(
        by=by,
        rows=_rows(mirror, by)[:most],
        archives=totals.get("archives", 0),
        size=totals.get("blob_bytes", 0),
        old_versions=_old_versions(store),
        partial=held_in(store.folder.partial),
        quarantine=held_in(store.folder.quarantine),
    )


def _rows(mirror: Mirror, by: By) -> list[UsageRow]:
    counted = {} if by == "age" else _counted(mirror.store, by)
    if by == "client":
        rows = [
            UsageRow(name=name, archives=one.hits + one.misses, size=one.served, counts=counts_of(one)) for name, one in counted.items()
        ]
    else:
        rows = [
            UsageRow(name=name, archives=held.archives, size=held.size, counts=counts_of(counted.get(name, Counts())))
            for name, held in _held(mirror, by).items()
        ]
    return rows if by == "age" else sorted(rows, key=lambda row: (-row.size, row.name))


def _held(mirror: Mirror, by: By) -> Mapping[str, sums.Held]:
    look = mirror.store.index.look
    if by == "age":
        return look(lambda connection: sums.by_age(connection, time.time()))
    origins = look(sums.by_origin)
    return origins if by == "origin" else _datasets(mirror, origins)


def _datasets(mirror: Mirror, origins: Mapping[str, sums.Held]) -> Mapping[str, sums.Held]:
    """What has a name in the catalog, and of each origin the rest."""
    names = {key: name for key, name in mirror.origins.catalog_names.items() if key.partition("/")[0] in origins}
    held = mirror.store.index.look(lambda connection: sums.by_key(connection, names))
    found: dict[str, sums.Held] = {}
    rest = {origin: sums.Held(one.archives, one.size) for origin, one in origins.items()}
    for key, one in held.items():
        found.setdefault(names[key], sums.Held()).add(one)
        rest[key.partition("/")[0]].take(one)
    return found | {dataset_name("", origin): one for origin, one in rest.items() if one.archives > 0 or one.size > 0}


def _counted(store: Store, by: By) -> Mapping[str, Counts]:
    assert by != "age"
    now = time.time()
    return store.index.look(lambda connection: history.by_name(connection, by, now - _COUNTED, now))


def _old_versions(store: Store) -> Held:
    known = store.index.old_versions()
    return Held(number=len(known), size=sum(record.size for record in known))


def held_in(folder: Path) -> Held:
    """The files in a folder; none if there is no such folder. Those that go meanwhile do not count."""
    sizes = []
    with suppress(FileNotFoundError):
        for path in folder.iterdir():
            with suppress(FileNotFoundError):
                found = path.stat()
                sizes += [found.st_size] if stat.S_ISREG(found.st_mode) else []
    return Held(number=len(sizes), size=sum(sizes))
