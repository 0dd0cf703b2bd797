"""Stored archives in a list, as people and programs see them."""

from collections.abc import Iterator, Sequence
from typing import Any

from dataset_mirror.origins.table import Origins
from dataset_mirror.status.contents import ArchivePage, ArchiveSummary
from dataset_mirror.store.damaged import Damaged
from dataset_mirror.store.listing import Listed, Lister, Query, cursor_of, place_of
from dataset_mirror.upkeep.stored import select_known

DAMAGED = "damaged"
"""The cursor of the first page of damaged archives; in those of the others a place follows."""


def summaries(index: Lister, origins: Origins, names: Sequence[str], query: Query) -> Iterator[ArchiveSummary]:
    """What is stored of these names (all, if there are none), filtered and in the order of the query; what is damaged comes last.

    Blocks. UsageError for a name that means nothing.
    """
    if not names:
        yield from (summary_of(origins, line) for line in index.every(query))
        yield from damaged_of(index, origins, query)
        return
    lines, damaged = select_known(index, origins, names)
    found = [summary_of(origins, line) for line in lines] + [_damaged(origins, one) for one in damaged]
    fitting = [one for one in found if query.origin in (None, one.origin) and query.state in (None, one.state)]
    yield from sorted(fitting, key=lambda one: one.place(query.order), reverse=query.descending)


def damaged_of(index: Lister, origins: Origins, query: Query) -> list[ArchiveSummary]:
    """The damaged archives that a query means, by name."""
    if query.state not in (None, "damaged"):
        return []
    return [_damaged(origins, one) for one in index.damaged() if _is_meant(query, one)]


def is_of_damaged(query: Query) -> bool:
    """Whether a page is one of damaged archives: these come after all that are stored."""
    return query.state == "damaged" or (query.after or "").partition(".")[0] == DAMAGED


def damaged_page(index: Lister, origins: Origins, query: Query) -> ArchivePage:
    """One page of the damaged archives that a query means, by name. BadRequest if its cursor is not one."""
    _, _, place = (query.after or "").partition(".")
    (last,) = place_of(place, 1) if place else ("",)
    left = [one for one in index.damaged() if _is_meant(query, one) and str(one.archive) > last]
    shown = left[: query.limit]
    following = f"{DAMAGED}.{cursor_of([str(shown[-1].archive)])}" if len(left) > len(shown) else None
    return ArchivePage(archives=[_damaged(origins, one) for one in shown], next=following)


def _is_meant(query: Query, one: Damaged) -> bool:
    key, since = str(one.archive), query.used_before
    return (
        key.startswith(query.prefix)
        and query.origin in (None, one.archive.authority)
        and (query.search.casefold() in key.casefold() or key in query.named)
        and (since is None or one.found < since)
    )


def summary_of(origins: Origins, line: Listed) -> ArchiveSummary:
    """One line of a list."""
    return ArchiveSummary(**facts_of(origins, line))


def facts_of(origins: Origins, line: Listed) -> dict[str, Any]:
    """The fields of a summary."""
    record = line.record
    return {
        "url": record.url,
        "name": origins.name_of(record.archive),
        "origin": record.archive.authority,
        "size": record.size,
        "sha256": record.sha256,
        "state": line.state,
        "source": record.source,
        "fetched": record.fetched,
        "used": line.used,
        "hits": line.hits,
        "where": "bucket" if line.elsewhere else "here",
    }


def _damaged(origins: Origins, one: Damaged) -> ArchiveSummary:
    return ArchiveSummary(
        url=one.url,
        name=origins.name_of(one.archive),
        origin=one.archive.authority,
        size=one.size,
        sha256=one.sha256,
        state="damaged",
        source="computed",
        fetched=one.fetched,
        used=one.found,
        hits=0,
    )
