"""Stored archives in a list, as people and programs see them."""

from collections.abc import Iterable, Sequence
from typing import Any

from dataset_mirror.origins.table import Origins
from dataset_mirror.status.models import ArchiveSummary
from dataset_mirror.store.index import Index
from dataset_mirror.store.listing import Listed, Query
from dataset_mirror.upkeep.stored import select_stored


def listed(index: Index, origins: Origins, names: Sequence[str], query: Query) -> Iterable[Listed]:
    """What is stored of these names (all, if there are none), filtered and in the order of the query. Blocks.

    UsageError for a name that means nothing stored.
    """
    if not names:
        return index.every(query)
    found = select_stored(index, origins, names)
    fitting = [line for line in found if query.origin in (None, line.record.archive.authority) and query.state in (None, line.state)]
    return sorted(fitting, key=lambda line: summary_of(origins, line).place(query.order), reverse=query.descending)


def summary_of(origins: Origins, line: Listed) -> ArchiveSummary:
    """One line of a list."""
    return ArchiveSummary(**facts_of(origins, line))


def facts_of(origins: Origins, line: Listed) -> dict[str, Any]:
    """The fields of a summary."""
    record, entry = line.record, origins.expected(line.record.archive)
    return {
        "url": record.url,
        "name": entry.name if entry else "",
        "origin": record.archive.authority,
        "size": record.size,
        "sha256": record.sha256,
        "state": line.state,
        "source": record.source,
        "fetched": record.fetched,
        "used": line.used,
        "hits": line.hits,
    }
