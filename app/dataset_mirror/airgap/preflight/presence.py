"""What of some archives a mirror has."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from dataset_mirror.errors import BadRequest
from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.origins.table import Origins
from dataset_mirror.store.record import VOUCHED, Record
from dataset_mirror.store.repositories import at_known_commit, snapshot_of
from dataset_mirror.store.store import Store
from dataset_mirror.store.wanted import Wanted


@dataclass(frozen=True, slots=True)
class Presence:
    """What is known of one URL; `size` in bytes, of what is stored, else as the catalog knows it."""

    url: str
    listed: bool = False
    """Whether an origin lists it."""
    leads: bool = False
    """Whether it is the beginning of what an origin lists."""
    present: bool = False
    verified: bool = False
    """Whether its bytes have the catalog's digest."""
    fetching: bool = False
    """Whether it is on its way; only a live server can tell."""
    size: int | None = None


class Known(Protocol):
    """A mirror to ask: the one of this data folder, or one somewhere else."""

    @property
    def offline(self) -> bool:
        """Whether it could not fetch what is missing. Known after the first look."""

    @property
    def names(self) -> Mapping[str, list[str]]:
        """The URLs of each name of its catalog."""

    def look(self, urls: Iterable[str]) -> Mapping[str, Presence]:
        """What it has of them; of the name of a repository, what it has of everything in it."""

    def want(self, urls: Iterable[str]) -> list[str]:
        """Puts what is missing of them on its wanted list, and returns that."""


def presence(store: Store, origins: Origins, url: str) -> Presence:
    """What this store has of a URL, which may be the beginning of one. Reads the index once and the disk once."""
    try:
        archive = parse_url(url)
    except BadRequest:
        return Presence(url)
    origin = origins.get(archive.authority)
    if origin is None or not origin.lists(archive.path):
        return Presence(url, leads=origin is not None and any(path.startswith(archive.path) for path in origin.paths))
    record = store.find(archive) or store.find(at_known_commit(store.index, origins, archive))
    entry = origins.expected(archive)
    if record is None or not store.blobs.has(record.sha256):
        return Presence(url, listed=True, size=entry.size if entry else None)
    return Presence(url, listed=True, present=True, verified=record.source in VOUCHED, size=record.size)


def presences(store: Store, origins: Origins, wanted: str) -> list[Presence]:
    """What this store has of a URL, or of everything in a repository; of one whose list of files is not stored nothing but that.

    UsageError for a name that means no repository.
    """
    repository = origins.repository(wanted)
    if repository is None:
        return [presence(store, origins, wanted)]
    snapshot = snapshot_of(store, repository)
    if snapshot is None:
        return [Presence(wanted, listed=True)]
    found = (
        (presence(store, origins, f"{repository.names.origin.partition(':')[0]}://{archive}"), size) for archive, size in snapshot.archives
    )
    return [one if one.size is not None else replace(one, size=size) for one, size in found]


def with_bucket(found: Iterable[Presence], known: Callable[[Sequence[ArchiveId]], Mapping[ArchiveId, Record]]) -> list[Presence]:
    """The same; what only the bucket has that several mirrors share is there, too, since no origin need be asked for it. Blocks.

    `known`: what it has of some archives.
    """
    found = list(found)
    missing = {one.url: parse_url(one.url) for one in found if one.listed and not one.present and "://" in one.url}
    there = known(list(missing.values())) if missing else {}
    held = {url: record for url, archive in missing.items() if (record := there.get(archive))}
    return [
        replace(one, present=True, verified=held[one.url].source in VOUCHED, size=held[one.url].size) if one.url in held else one
        for one in found
    ]


def names_of(origins: Origins) -> dict[str, list[str]]:
    """The URLs of each name of the catalog."""
    found: dict[str, list[str]] = {}
    for entry in origins.catalog:
        if entry.name:
            found.setdefault(entry.name, []).append(entry.shown)
    return found


def put_on_list(store: Store, origins: Origins, urls: Iterable[str], asked_by: str | None = None) -> list[str]:
    """Puts what is missing of these URLs on the wanted list, and returns it; what is no URL is left out. Blocks.

    What no origin lists is wanted, too: where the list is carried to somebody may allow it. Of a repository of which nothing is
    known it is the question for its revision.
    """
    missing = [one.url for url in urls for one in presences(store, origins, url) if not one.present and (one.listed or _is_url(one.url))]
    now = time.time()
    store.want(Wanted(_archive(origins, one), 1, now, now, asked_by) for one in missing)
    return missing


def _archive(origins: Origins, wanted: str) -> ArchiveId:
    repository = origins.repository(wanted)
    return repository.question if repository else parse_url(wanted)


def _is_url(text: str) -> bool:
    try:
        parse_url(text)
    except BadRequest:
        return False
    return True
