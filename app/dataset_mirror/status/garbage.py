"""What nobody needs, and what became of it."""

from dataset_mirror.mirror import Mirror
from dataset_mirror.status.orders import Collection, GarbageItem
from dataset_mirror.status.wording import count, plain, size
from dataset_mirror.upkeep.garbage import collect, find_garbage


async def collected(mirror: Mirror, *, dry_run: bool, last_copies: bool) -> Collection:
    """What nobody needs, removed unless it is a dry run."""
    garbage = await find_garbage(mirror, last_copies=last_copies)
    freed = 0 if dry_run else await collect(mirror, garbage)
    items = [GarbageItem(kind=one.kind, what=one.what, size=one.size) for one in garbage]
    said = f"{count(len(items), 'thing')} could go." if dry_run else f"Removed {count(len(items), 'thing')}, {size(freed)} are free now."
    return Collection(garbage=items, freed=freed, missing=mirror.store.space.missing(0), said=plain(said))
