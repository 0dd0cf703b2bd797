"""Which of the stored archives somebody means, and removing them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING

from dataset_mirror.errors import UsageError
from dataset_mirror.origins.identity import parse_url
from dataset_mirror.origins.table import Origins
from dataset_mirror.store.index import Index
from dataset_mirror.store.listing import Listed, Query

if TYPE_CHECKING:
    from dataset_mirror.mirror import Mirror

_WILDCARDS = "*?["


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
    named = [entry.archive for entry in origins.matching(wanted)]
    yield from (line for archive in named if (line := index.listed(archive)))
    pattern = wanted.partition("://")[2] or wanted
    exact = index.listed(parse_url(wanted)) if "." in pattern.partition("/")[0] and "/" in pattern else None
    plain = next((at for at, character in enumerate(pattern) if character in _WILDCARDS), 0)
    if exact:
        yield exact
    elif plain > 0:
        lines = index.every(Query(prefix=pattern[:plain], limit=1000))
        yield from (line for line in lines if fnmatchcase(str(line.record.archive), pattern))


async def remove(mirror: "Mirror", wanted: Iterable[str]) -> list[Removed]:
    """Removes stored archives, all versions of them; what is being read is read to its end."""
    store = mirror.store
    lines = await store.in_worker(lambda: select_stored(store.index, mirror.origins, list(wanted)))
    removed = []
    for line in lines:
        freed = await store.in_worker(partial(store.remove, line.record.archive))
        removed.append(Removed(line.record.url, freed))
    return removed
