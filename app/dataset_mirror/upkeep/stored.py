"""Which of the stored archives somebody means, and removing them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from dataset_mirror.errors import UsageError
from dataset_mirror.origins.meaning import Meaning
from dataset_mirror.origins.table import Origins
from dataset_mirror.store.damaged import Damaged
from dataset_mirror.store.index import Index
from dataset_mirror.store.listing import Listed, Query

if TYPE_CHECKING:
    from dataset_mirror.mirror import Mirror


@dataclass(frozen=True, slots=True)
class Removed:
    """An archive that is gone, and the bytes that this freed: 0 if others share them."""

    url: str
    freed: int


def select_stored(index: Index, origins: Origins, wanted: Iterable[str]) -> list[Listed]:
    """The stored archives meant by catalog names, URLs, or globs of either; each once. UsageError for one that means none. Blocks."""
    found: dict[str, Listed] = {}
    for one in wanted:
        lines = list(_select(index, origins, one))
        if not lines:
            raise UsageError(f"No stored archive matches {one!r}.", "See what is stored: dataset-mirror ls")
        found |= {str(line.record.archive): line for line in lines}
    return list(found.values())


def _select(index: Index, origins: Origins, wanted: str) -> Iterator[Listed]:
    meaning = Meaning(wanted)
    yield from (line for archive in origins.meant(wanted) if (line := index.listed(archive)))
    archive = meaning.as_url()
    if archive and (exact := index.listed(archive)):
        yield exact
    elif meaning.is_glob and meaning.beginning:
        lines = index.every(Query(prefix=meaning.beginning, limit=1000))
        yield from (line for line in lines if meaning.fits(line.record.archive))


def select_known(index: Index, origins: Origins, wanted: Iterable[str]) -> tuple[list[Listed], list[Damaged]]:
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
    entry = origins.expected(one.archive)
    meaning = Meaning(name)
    return meaning.fits(one.archive) or bool(entry and meaning.names(entry.name))


async def remove(mirror: "Mirror", wanted: Iterable[str]) -> list[Removed]:
    """Removes stored archives, all versions of them; what is being read is read to its end."""
    store = mirror.store
    lines, damaged = await store.in_worker(lambda: select_known(store.index, mirror.origins, wanted))
    await store.in_worker(lambda: store.give_up(one.archive for one in damaged))
    removed = [Removed(one.url, 0) for one in damaged]
    for line in lines:
        freed = await store.in_worker(partial(store.remove, line.record.archive))
        removed.append(Removed(line.record.url, freed))
    return removed
