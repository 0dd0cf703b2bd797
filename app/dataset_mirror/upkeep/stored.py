"""Which of the stored archives somebody means, and removing them."""

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from dataset_mirror.errors import UsageError
from dataset_mirror.origins.meaning import Meaning
from dataset_mirror.origins.names import prefix_of, without_revision
from dataset_mirror.origins.table import Origins
from dataset_mirror.rules.sentences import quoted
from dataset_mirror.store.damaged import Damaged
from dataset_mirror.store.listing import Listed, Lister, Query
from dataset_mirror.store.record import Record
from dataset_mirror.store.repositories import at_known_commit, is_pinned, stored_of
from dataset_mirror.store.store import Store

if TYPE_CHECKING:
    from dataset_mirror.mirror import Mirror

_AT_ONCE = 1000
"""Archives that the others are asked about at once."""


@dataclass(frozen=True, slots=True)
class Removed:
    """An archive that is gone, and the bytes that this freed: 0 if others share them."""

    url: str
    freed: int


def select_stored(index: Lister, origins: Origins, wanted: Iterable[str]) -> list[Listed]:
    """The stored archives meant by catalog names, URLs, or globs of either; each once. UsageError for one that means none. Blocks."""
    found: dict[str, Listed] = {}
    for one in wanted:
        lines = list(_select(index, origins, one))
        if not lines:
            raise UsageError(f"No stored archive matches {one!r}.", _instead(index, origins, one))
        found |= {str(line.record.archive): line for line in lines}
    return list(found.values())


def _instead(index: Lister, origins: Origins, word: str) -> str:
    """What to do about a word that means nothing stored."""
    meaning = Meaning(word)
    below = meaning.target.rstrip("/") + "/"
    if not meaning.is_glob and next(iter(index.every(Query(prefix=below, limit=1))), None):
        return f"What is stored below it: dataset-mirror ls {quoted(f'{below}*')}"
    instead = ""
    if word and not meaning.is_glob:
        is_known = prefix_of(word) or origins.meant(word) or meaning.as_url()
        explained = f"What the mirror would do about it: dataset-mirror explain {shlex.quote(word)}"
        instead = explained if is_known else origins.unknown(word).hint
    return f"{instead} See what is stored: dataset-mirror ls".strip()


def _select(index: Lister, origins: Origins, wanted: str) -> Iterator[Listed]:
    meaning = Meaning(wanted)
    if (prefix := prefix_of(wanted)) is not None:
        yield from _repositories(index, origins, meaning, prefix)
        return
    yield from (line for archive in origins.meant(wanted) if (line := index.listed(archive)))
    archive = meaning.as_url()
    if archive and (exact := index.listed(archive) or index.listed(at_known_commit(index, origins, archive))):
        yield exact
    elif meaning.is_glob and meaning.beginning:
        lines = index.every(Query(prefix=meaning.beginning, limit=1000))
        yield from (line for line in lines if meaning.fits(line.record.archive))
    if meaning.is_file:
        yield from (line for line in index.every(Query(limit=1000)) if meaning.fits_file(str(line.record.archive)))


def _repositories(index: Lister, origins: Origins, meaning: Meaning, prefix: str) -> Iterator[Listed]:
    """What is stored of a repository, or of all whose names fit a glob."""
    if not meaning.is_glob and (repository := origins.repository(meaning.word)):
        yield from stored_of(index, origins, repository)
        return
    for host in origins.hosts_of(prefix):
        lines = index.every(Query(prefix=f"{host}/", limit=1000))
        yield from (line for line in lines if meaning.names(origins.name_of(line.record.archive)))


def select_known(index: Lister, origins: Origins, wanted: Iterable[str]) -> tuple[list[Listed], list[Damaged]]:
    """As `select_stored`, and archives that are damaged, too. UsageError for a name that means neither. Blocks."""
    lines: dict[str, Listed] = {}
    lost: dict[str, Damaged] = {}
    damaged = index.damaged()
    for name in wanted:
        meant = {str(one.archive): one for one in damaged if _means(name, one, origins)}
        stored = list(_select(index, origins, name)) if meant else select_stored(index, origins, [name])
        lines |= {str(line.record.archive): line for line in stored}
        lost |= meant
    return list(lines.values()), list(lost.values())


def _means(name: str, one: Damaged, origins: Origins) -> bool:
    return Meaning(name).fits(one.archive) or Meaning(without_revision(name)).names(origins.name_of(one.archive))


def refuse_pinned(store: Store, origins: Origins, lines: Iterable[Listed]) -> None:
    """UsageError if one of them is pinned: it would only be fetched again. Blocks."""
    if len(store.pins) or store.pins.is_damaged:
        for line in lines:
            if is_pinned(store, origins, line.record.archive):
                raise UsageError(
                    f"{line.record.url} is pinned.", "Unpin it first: dataset-mirror unpin NAME (dataset-mirror pin lists them)."
                )


async def remove(mirror: "Mirror", wanted: Iterable[str]) -> list[Removed]:
    """Removes stored archives, all versions of them; what is being read is read to its end.

    Of several mirrors that share a store it removes them from all, and what only the bucket has, too.
    """
    store, wanted = mirror.store, list(wanted)
    lines, damaged = await mirror.looked(lambda listing: select_known(listing, mirror.origins, wanted))
    await store.in_worker(lambda: refuse_pinned(store, mirror.origins, lines))
    await _remove_elsewhere(mirror, [line.record for line in lines])
    await store.in_worker(lambda: store.give_up(one.archive for one in damaged))
    removed = [Removed(one.url, 0) for one in damaged]
    removed += [Removed(line.record.url, 0) for line in lines if line.elsewhere]
    for line in (line for line in lines if not line.elsewhere):
        freed = await store.in_worker(partial(store.remove, line.record.archive, everywhere=True))
        removed.append(Removed(line.record.url, freed))
    for one in removed:
        store.changes.note("removed", one.url, one.freed)
    await store.write_changes()
    return removed


async def _remove_elsewhere(mirror: "Mirror", records: Iterable[Record]) -> None:
    """All are to be told that these archives are removed, and what others know of their versions."""
    if mirror.shared is None:
        return
    known = {(record.archive, record.sha256): record for record in records}
    archives = list(dict.fromkeys(archive for archive, _ in known))
    for start in range(0, len(archives), _AT_ONCE):
        versions = await mirror.shared.versions(archives[start : start + _AT_ONCE])
        known |= {(record.archive, record.sha256): record for record in versions or ()}
    await mirror.store.in_worker(lambda: mirror.store.telling.remove(known.values()))
