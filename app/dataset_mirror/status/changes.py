"""The log of changes, as it is told."""

from contextlib import suppress
from dataclasses import asdict, replace

from dataset_mirror.errors import StoreFull
from dataset_mirror.mirror import Mirror
from dataset_mirror.serve.client import parsed
from dataset_mirror.status.figures import ChangePage, ChangeStatus
from dataset_mirror.status.live import told
from dataset_mirror.store import changes
from dataset_mirror.store.changes import Change, Kind


def change_of(mirror: Mirror, change: Change, *, whole: bool = False) -> ChangeStatus:
    """One line; `whole`: with the address of who did it, else their network."""
    by = told(mirror, change.by, whole=whole) if parsed(change.by) else change.by
    return ChangeStatus(**asdict(replace(change, by=by)))


async def changes_of(mirror: Mirror, limit: int, after: str | None = None, kind: Kind | None = None, *, whole: bool = False) -> ChangePage:
    """One page of the log of changes, the latest first, addresses in it if `whole`; BadRequest if `after` is not a cursor of it."""
    with suppress(StoreFull):  # what the disk has no room for waits; what is written can be read
        await mirror.store.write_changes()
    index = mirror.store.index
    found = await mirror.store.in_worker(lambda: index.look(lambda connection: changes.page(connection, limit, after, kind)))
    return ChangePage(changes=[change_of(mirror, one, whole=whole) for one in found.changes], next=found.next)
