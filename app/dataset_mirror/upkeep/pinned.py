"""Pinned archives: which they are, and what of them is there."""

from collections.abc import Iterable
from dataclasses import dataclass

from dataset_mirror.errors import BadRequest, UsageError
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.origins.meaning import Meaning
from dataset_mirror.origins.names import prefix_of, without_revision
from dataset_mirror.origins.table import Origins
from dataset_mirror.store.damaged import Damaged
from dataset_mirror.store.listing import Query
from dataset_mirror.store.pins import Pin
from dataset_mirror.store.record import Record
from dataset_mirror.store.repositories import at_known_commit, snapshot_of
from dataset_mirror.store.store import Store


@dataclass(frozen=True, slots=True)
class Meant:
    """What a name means: archives that are there, and others that the catalog, the name itself or a loss tells of."""

    there: tuple[Record, ...]
    missing: tuple[ArchiveId, ...]
    damaged: int = 0
    """How many of the missing ones were found to be damaged."""


def pin(store: Store, origins: Origins, names: Iterable[str]) -> list[Pin]:
    """Pins names; returns those that are new. UsageError, and nothing is pinned, if one can mean nothing. No secret is kept. Blocks."""
    return store.pin([one for name in names for one in _whole(store, origins, Meaning(name).shown)])


def _whole(store: Store, origins: Origins, name: str) -> list[str]:
    """What is pinned for a word: a URL with its scheme, the URLs of all files that it is the name of; any other name as it is."""
    meaning = Meaning(name)
    if meaning.is_file and not meaning.names_in(origins.names):
        stored = (line.record.archive for line in store.index.every(Query(limit=1000)) if meaning.fits_file(str(line.record.archive)))
        found = dict.fromkeys([*origins.meant(name), *stored])
        if found:
            return [origins.of(archive).url_of(archive) for archive in found]
    check(origins, name)
    if "://" in name or meaning.is_glob or origins.meant(name) or (archive := meaning.as_url()) is None:
        return [name]
    return [origins.of(archive).url_of(archive)]


def unpin(store: Store, names: Iterable[str]) -> list[Pin]:
    """Takes pins away; returns them. UsageError if a name is none. Blocks."""
    known = [one.name for one in store.pins]
    return store.unpin([one for name in names for one in _pins_of(Meaning(name).shown, known)])


def _pins_of(name: str, known: list[str]) -> list[str]:
    """The pins that a word takes away: itself, the same URL with its scheme, or those of files that it is the name of."""
    meaning = Meaning(name)
    if meaning.names_in(known):
        return [name]
    found = [one for one in known if name and (one.partition("://")[2] == name or ("://" in one and meaning.fits_file(one)))]
    if not found:
        raise UsageError(f"{name!r} is not pinned.", closest_pin(name, known))
    return found


def closest_pin(name: str, known: list[str]) -> str:
    covering = [one for one in known if Meaning(one).names(name) or one == without_revision(name)]
    if covering:
        return f"It is pinned by {covering[0]!r}: dataset-mirror unpin '{covering[0]}'"
    return "See what is pinned: dataset-mirror pin"


def check(origins: Origins, name: str) -> None:
    """UsageError, BadRequest or NotAllowed if a name can mean nothing: neither the catalog nor a listed origin has it."""
    meaning = Meaning(name)
    if prefix_of(name):
        _check_repository(origins, meaning)
        return
    if origins.meant(name):
        return
    if meaning.is_glob and "." in meaning.beginning.partition("/")[0] and "/" in meaning.target:
        return
    if (archive := meaning.as_url()) is not None:
        origins.of(archive)
        return
    raise origins.unknown(name)


def _check_repository(origins: Origins, meaning: Meaning) -> None:
    prefix = prefix_of(meaning.word) or ""
    if not meaning.is_glob or not origins.hosts_of(prefix):
        origins.repository(without_revision(meaning.word).replace("*", "x") if meaning.is_glob else meaning.word)


def meant(store: Store, origins: Origins, name: str, lost: Iterable[Damaged] = ()) -> Meant:
    """What a name means now; of a repository, what its stored listing names, or that it has to be asked for. Blocks.

    A name that can mean nothing, such as one of a preset that was taken away, is no error: there is nothing of it.
    """
    try:
        return _of_repositories(store, origins, name, lost) if prefix_of(name) else _of_archives(store, origins, name, lost)
    except (UsageError, BadRequest):
        return Meant((), ())


def _of_archives(store: Store, origins: Origins, name: str, lost: Iterable[Damaged]) -> Meant:
    meaning, pinned = Meaning(name), Pin(name, 0.0)
    archives = dict.fromkeys(origins.meant(name))
    if pinned.url:
        archives[pinned.url] = None
    damaged = [one.archive for one in lost if pinned.means(one.archive, origins.name_of(one.archive))]
    archives |= dict.fromkeys(damaged)
    records = {one: store.find(one) or store.find(at_known_commit(store.index, origins, one)) for one in archives}
    if meaning.is_glob and "/" in meaning.target and "." in meaning.beginning.partition("/")[0]:
        stored = store.index.every(Query(prefix=meaning.beginning, limit=1000))
        records |= {line.record.archive: line.record for line in stored if meaning.fits(line.record.archive)}
    there = tuple(record for record in records.values() if record)
    return Meant(there, tuple(archive for archive, record in records.items() if record is None), len(damaged))


def _of_repositories(store: Store, origins: Origins, name: str, lost: Iterable[Damaged]) -> Meant:
    pinned = Pin(name, 0.0)
    damaged = [one.archive for one in lost if pinned.means(one.archive, origins.name_of(one.archive))]
    repository = None if Meaning(name).is_glob else origins.repository(name)
    if repository is None:
        hosts = origins.hosts_of(prefix_of(name) or "")
        lines = (line for host in hosts for line in store.index.every(Query(prefix=f"{host}/", limit=1000)))
        there = tuple(line.record for line in lines if pinned.means(line.record.archive, origins.name_of(line.record.archive)))
        return Meant(there, tuple(damaged), len(damaged))
    snapshot = snapshot_of(store, repository)
    archives = [archive for archive, _ in snapshot.archives] if snapshot else [repository.question]
    records = {archive: store.find(archive) for archive in (*archives, *damaged)}
    there = tuple(record for record in records.values() if record)
    return Meant(there, tuple(archive for archive, record in records.items() if record is None), len(damaged))
