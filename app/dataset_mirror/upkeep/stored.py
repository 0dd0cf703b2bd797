"""Which of the stored archives somebody means, and removing them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from dataset_mirror.errors import UsageError
from dataset_mirror.origins.meaning import Meaning
from dataset_mirror.origins.table import Origins
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
            raise UsageError(f"Nothing is stored that {one!r} means.", "See what is there: dataset-mirror ls")
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


async def remove(mirror: "Mirror", wanted: Iterable[str]) -> list[Removed]:
    """Removes stored archives, all versions of them; what is being read is read to its end."""
    store = mirror.store
    lines = await store.in_worker(lambda: select_stored(store.index, mirror.origins, list(wanted)))
    removed = []
    for line in lines:
        freed = await store.in_worker(partial(store.remove, line.record.archive))
        removed.append(Removed(line.record.url, freed))
    return removed
