"""Which of the stored archives somebody means, and removing them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING

from dataset_mirror.errors import UsageError
from dataset_mirror.origins.identity import parse_url
from dataset_mirror.origins.table import Origins
from dataset_mirror.store.damaged import Damaged
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
            raise UsageError(f"No stored archive matches {one!r}.", "See what is stored: dataset-mirror ls")
        found |= {str(line.record.archive): line for line in lines}
    return list(found.values())


def _select(index: Index, origins: Origins, wanted: str) -> Iterator[Listed]:
    named = [entry.archive for entry in origins.catalog if entry.name and fnmatchcase(entry.name, wanted)]
    yield from (line for archive in named if (line := index.listed(archive)))
    pattern = wanted.partition("://")[2] or wanted
    exact = index.listed(parse_url(wanted)) if "." in pattern.partition("/")[0] and "/" in pattern else None
    plain = next((at for at, character in enumerate(pattern) if character in _WILDCARDS), 0)
    if exact:
        yield exact
    elif plain > 0:
        lines = index.every(Query(prefix=pattern[:plain], limit=1000))
        yield from (line for line in lines if fnmatchcase(str(line.record.archive), pattern))


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
    pattern = name.partition("://")[2] or name
    return fnmatchcase(str(one.archive), pattern) or bool(entry and entry.name and fnmatchcase(entry.name, name))


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
