"""The log of changes, as it is told."""

from contextlib import suppress
from dataclasses import asdict

from dataset_mirror.errors import StoreFull
from dataset_mirror.mirror import Mirror
from dataset_mirror.status.figures import ChangePage, ChangeStatus
from dataset_mirror.store import changes
from dataset_mirror.store.changes import Change, Kind


def change_of(change: Change) -> ChangeStatus:
    return ChangeStatus(**asdict(change))


async def changes_of(mirror: Mirror, limit: int, after: str | None = None, kind: Kind | None = None) -> ChangePage:
    """One page of the log of changes, the latest first; BadRequest if `after` is not a cursor of it."""
    with suppress(StoreFull):  # what the disk has no room for waits; what is written can be read
        await mirror.store.write_changes()
    index = mirror.store.index
    found = await mirror.store.in_worker(lambda: index.look(lambda connection: changes.page(connection, limit, after, kind)))
    return ChangePage(changes=[change_of(one) for one in found.changes], next=found.next)
