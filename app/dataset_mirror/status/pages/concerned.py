"""What an action would concern: names and bytes, for people to look at before they confirm."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dataset_mirror.mirror import Mirror
from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.origins.unknown import path_to_list
from dataset_mirror.status.wording import count
from dataset_mirror.store.listing import Lister
from dataset_mirror.upkeep.pinned import meant
from dataset_mirror.upkeep.stored import select_known

SHOWN = 50


@dataclass(frozen=True, slots=True)
class Item:
    """One thing; `size` in bytes, None if nobody knows."""

    name: str
    size: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Concerned:
    """All of it."""

    items: Sequence[Item] = ()

    @property
    def size(self) -> int:
        """Bytes, as far as they are known."""
        return sum(item.size or 0 for item in self.items)

    @property
    def shown(self) -> Sequence[Item]:
        return self.items[:SHOWN]


def concerned(mirror: Mirror, listing: Lister, what: str, name: str) -> Concerned:
    """What it concerns, stored archives of `listing`. Blocks. MirrorError if the name means nothing."""
    if what == "rm":
        return Concerned(_stored(mirror, listing, name))
    if what == "verify":
        return Concerned(_stored(mirror, mirror.store.index, name))
    return Concerned(_OF.get(what, _itself)(mirror, name))


def _stored(mirror: Mirror, listing: Lister, name: str) -> list[Item]:
    lines, damaged = select_known(listing, mirror.origins, [name])
    there = [Item(line.record.url, line.record.size, "only in the bucket" if line.elsewhere else "") for line in lines]
    return there + [Item(one.url, one.size, "damaged") for one in damaged]


def _fetched(mirror: Mirror, name: str) -> list[Item]:
    return [_missing(mirror, archive) for archive in mirror.origins.select(name)]


def _missing(mirror: Mirror, archive: ArchiveId) -> Item:
    url, record = mirror.origins.of(archive).url_of(archive), mirror.store.find(archive)
    if record:
        return Item(url, record.size, "already here")
    entry = mirror.origins.expected(archive)
    return Item(url, entry.size if entry else None)


def _meant(mirror: Mirror, name: str) -> list[Item]:
    found = meant(mirror.store, mirror.origins, name)
    there = [Item(record.url, record.size) for record in found.there]
    return there + [Item(f"https://{archive}", None, "not here yet") for archive in found.missing]


def _under_way(mirror: Mirror, name: str) -> list[Item]:
    if (fill := mirror.flights.get(parse_url(name))) is None:
        return [Item(name, None, "not under way any more")]
    return [Item(name, fill.received, f"received, {count(fill.readers, 'client')} following")]


def _allowed(mirror: Mirror, name: str) -> list[Item]:
    archive = parse_url(name)
    return [Item(f"https://{archive.authority}{path_to_list(archive)}", None, "everything below it")]


def _itself(mirror: Mirror, name: str) -> list[Item]:
    return [Item(name)]


_OF: Mapping[str, Callable[[Mirror, str], list[Item]]] = {
    "fetch": _fetched,
    "pin": _meant,
    "unpin": _meant,
    "cancel": _under_way,
    "add": _allowed,
}
