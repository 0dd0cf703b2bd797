"""What the mirror knows, as models."""

import asyncio
import time
from collections.abc import Container, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from importlib.metadata import version
from typing import Any

from dataset_mirror.airgap.preflight.presence import presences, with_bucket
from dataset_mirror.airgap.wanted import Reasons, Wish, wishes
from dataset_mirror.errors import IndexDamaged, NoSuchPage
from dataset_mirror.fetch.fill import Fill
from dataset_mirror.fetch.flights import Failure
from dataset_mirror.mirror import Mirror
from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.rules.secrets import without_secrets
from dataset_mirror.status.contents import (
    ArchiveDetail,
    ArchivePage,
    Catalog,
    Checked,
    CheckedArchive,
    DatasetArchive,
    DatasetStatus,
    VersionStatus,
    WantedArchive,
    WantedArchivePage,
)
from dataset_mirror.status.health import health_of
from dataset_mirror.status.live import told
from dataset_mirror.status.models import DoorsStatus, FailureStatus, FillStatus, Status, StoreStatus, UpstreamStatus
from dataset_mirror.status.orders import Collection, GarbageItem
from dataset_mirror.status.shared import shared_of
from dataset_mirror.status.summary import DAMAGED, damaged_of, damaged_page, facts_of, is_of_damaged, summaries, summary_of
from dataset_mirror.status.upkeep import upkeep_of
from dataset_mirror.status.wording import count, plain, size
from dataset_mirror.store.folder import file_system
from dataset_mirror.store.index import Index
from dataset_mirror.store.listing import Listed, Query
from dataset_mirror.store.record import Record
from dataset_mirror.store.store import Store
from dataset_mirror.upkeep.garbage import collect, find_garbage


async def status_of(mirror: Mirror) -> Status:
    """The mirror in one look. What is pinned may be many archives: who waits for the store's worker does not wait for that."""
    upkeep = await asyncio.to_thread(_upkeep, mirror)
    return (await state_of(mirror)).model_copy(update=upkeep)


async def state_of(mirror: Mirror) -> Status:
    """The same without pins and schedules; it costs the same however many archives there are."""
    health = await health_of(mirror)
    totals, number_wanted, troubles = await mirror.store.in_worker(lambda: _known(mirror.store))
    totals |= {name: totals.get(name, 0) + more for name, more in mirror.usage.pending.items()}
    return Status(
        version=version("dataset-mirror"),
        uptime=max(0.0, time.time() - mirror.began),
        offline=mirror.settings.offline,
        health=health,
        damaged=totals.pop("damaged", 0),
        archives=totals.get("archives", 0),
        archive_bytes=totals.get("archive_bytes", 0),
        wanted=number_wanted,
        store=_store(mirror, troubles),
        fills=fills_of(mirror),
        failures=failures_of(mirror),
        upstreams=_upstreams(mirror),
        doors=DoorsStatus(**asdict(mirror.traffic.passages)),
        shared=await shared_of(mirror),
        hits=totals["hits"],
        misses=totals["misses"],
        bytes_served=totals["served"],
        bytes_fetched=totals["fetched"],
        bytes_saved=max(0, totals["served"] - totals["fetched"]),
    )


def _known(store: Store) -> tuple[dict[str, int], int, list[str]]:
    """Totals, the length of the wanted list, and what is wrong: of a damaged index, as much as can be read."""
    totals, number = {}, 0
    with suppress(IndexDamaged):
        totals = store.index.counters()
        number = store.index.number_wanted()
        totals["damaged"] = store.index.number_damaged()
    return totals, number, store.troubles


def _upkeep(mirror: Mirror) -> dict[str, Any]:
    """Of a damaged index nothing can be told."""
    with suppress(IndexDamaged):
        return upkeep_of(mirror)
    return {}


def _store(mirror: Mirror, troubles: list[str]) -> StoreStatus:
    space, root = mirror.store.space, mirror.store.folder.root
    kept = 0
    with suppress(IndexDamaged):
        kept = space.kept
    return StoreStatus(
        path=str(root),
        file_system=file_system(root),
        blob_bytes=kept,
        promised=space.promised,
        free=space.free,
        min_free=space.min_free,
        max_size=space.max_size,
        troubles=troubles,
    )


def fills_of(mirror: Mirror) -> list[FillStatus]:
    """The downloads under way."""
    return [_fill(fill) for fill in mirror.flights]


def _fill(fill: Fill) -> FillStatus:
    rate = fill.pace.rate()
    left = fill.total - fill.received if fill.total is not None else None
    return FillStatus(
        url=fill.job.url,
        received=fill.received,
        total=fill.total,
        rate=rate,
        eta=left / rate if left is not None and rate > 0 else None,
        readers=fill.readers,
        connections=fill.connections,
        began=fill.began,
        waiting=not fill.running,
        slow=fill.slow,
    )


def failures_of(mirror: Mirror, since: float = 0.0) -> list[FailureStatus]:
    """The latest downloads that failed since then, the latest first."""
    return [failure_of(failure) for failure in reversed(mirror.flights.failures) if failure.at >= since]


def failure_of(failure: Failure) -> FailureStatus:
    error = failure.error
    return FailureStatus(
        at=failure.at, url=failure.url, status=error.status, detail=without_secrets(error.detail), hint=without_secrets(error.hint)
    )


def _upstreams(mirror: Mirror) -> list[UpstreamStatus]:
    return [
        UpstreamStatus(
            place=place,
            failures=health.failures,
            resting=health.resting,
            last_error=health.last_error and without_secrets(health.last_error),
            failed_at=health.failed_at,
        )
        for place, health in mirror.upstream.health.by_place.items()
    ]


async def in_bucket(mirror: Mirror, query: Query) -> ArchivePage:
    """One page, by name, of what is not stored here, but in the bucket that several mirrors share. SharedAway if nobody knows."""
    if mirror.shared is None:
        return ArchivePage(archives=[], next=None)
    page = await asyncio.to_thread(mirror.shared.everywhere().elsewhere.page, query)
    return ArchivePage(archives=[summary_of(mirror.origins, line) for line in page.archives], next=page.next)


async def archives_of(mirror: Mirror, query: Query, names: Sequence[str] = ()) -> ArchivePage:
    """One page of what is stored, or, after the last of those, of what is damaged; all at once of what `names` mean, if any."""
    index, origins = mirror.store.index, mirror.origins
    if query.search:  # reads many rows: whoever waits for the store's worker does not wait for that
        query = replace(query, named=await asyncio.to_thread(origins.known_as, query.search))
    if names:
        found = await mirror.looked(lambda listing: list(summaries(listing, origins, names, query)))
        return ArchivePage(archives=found, next=None)
    if is_of_damaged(query):
        return await mirror.store.in_worker(lambda: damaged_page(index, origins, query))
    read = partial(index.page, query)
    page = await (asyncio.to_thread(read) if query.search else mirror.store.in_worker(read))
    following = page.next
    if following is None and await mirror.store.in_worker(lambda: bool(damaged_of(index, origins, query))):
        following = DAMAGED
    return ArchivePage(archives=[summary_of(origins, line) for line in page.archives], next=following)


async def wanted_of(mirror: Mirror, limit: int, after: str | None = None, *, whole: bool = False) -> WantedArchivePage:
    """One page of the wanted list, without what is on its way; `whole`: with the addresses of who asked, else their networks."""
    index = mirror.store.index
    page, damaged = await mirror.store.in_worker(lambda: (index.wanted(limit, after), index.damaged()))
    statuses = {failure.url: failure.error.status for failure in mirror.flights.failures}
    listed = wishes(page.wanted, mirror.origins, Reasons(frozenset(one.archive for one in damaged), statuses))
    shown = [wish for wish in listed if mirror.flights.get(wish.asked.archive) is None]
    return WantedArchivePage(wanted=[_wanted(mirror, wish, whole=whole) for wish in shown], next=page.next)


def _wanted(mirror: Mirror, wish: Wish, *, whole: bool) -> WantedArchive:
    asked = wish.asked
    return WantedArchive(
        url=wish.url,
        name=wish.name,
        count=asked.count,
        first=asked.first,
        last=asked.last,
        asked_by=told(mirror, asked.asked_by, whole=whole) if asked.asked_by else None,
        kind=wish.kind,
    )


async def archive_of(mirror: Mirror, archive: ArchiveId) -> ArchiveDetail:
    """All about one stored archive; NoSuchPage if it is not there."""
    index = mirror.store.index
    line = await mirror.store.in_worker(lambda: index.listed(archive))
    if line is None:
        raise NoSuchPage(f"{archive} is not stored.", "See what a request for it would do: /status/explain?url=…")
    versions = await mirror.store.in_worker(lambda: index.versions(archive))
    record, entry = line.record, mirror.origins.expected(archive)
    age = max(0.0, time.time() - (record.checked or record.fetched))
    return ArchiveDetail(
        **facts_of(mirror.origins, line),
        etag=record.etag,
        last_modified=record.validators.last_modified,
        md5=record.md5,
        digest_from=record.source,
        expected=[*entry.sha256, *entry.md5] if entry else [],
        checked=record.checked,
        age=age,
        ttl=mirror.ttl(record),
        private=record.private,
        at=f"/{archive}",
        versions=[_version(each, current=each.sha256 == record.sha256) for each in versions],
    )


def _version(record: Record, *, current: bool) -> VersionStatus:
    return VersionStatus(
        sha256=record.sha256,
        size=record.size,
        digest_from=record.source,
        fetched=record.fetched,
        checked=record.checked or record.fetched,
        current=current,
    )


async def catalog_of(mirror: Mirror, names: Sequence[str] | None = None) -> Catalog:
    """Per named dataset what of it is there; of all by name, or of these. The store's worker does not wait for it."""
    named = sorted(mirror.origins.names) if names is None else names

    def look() -> Catalog:
        damaged = {one.archive for one in mirror.store.index.damaged()}
        stored = _Stored(mirror.store.index)
        return Catalog(datasets=[_dataset(mirror, name, stored, damaged) for name in named])

    return await asyncio.to_thread(look)


class _Stored:
    """What is stored of archives, asked one after the other: an origin of which little is stored is read once."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._whole: dict[str, dict[ArchiveId, Listed] | None] = {}

    def listed(self, archive: ArchiveId) -> Listed | None:
        if archive.authority not in self._whole:
            page = self._index.page(Query(origin=archive.authority, limit=1000))
            self._whole[archive.authority] = None if page.next else {line.record.archive: line for line in page.archives}
        known = self._whole[archive.authority]
        return self._index.listed(archive) if known is None else known.get(archive)


def _dataset(mirror: Mirror, name: str, stored: _Stored, damaged: Container[ArchiveId]) -> DatasetStatus:
    archives, used = [], []
    for entry in mirror.origins.named(name):
        line = stored.listed(entry.archive)
        used += [line.used] if line else []
        absent = "fetching" if mirror.flights.get(entry.archive) else "damaged" if entry.archive in damaged else "missing"
        size = line.record.size if line else entry.size
        archives.append(DatasetArchive(url=entry.shown, state=line.state if line else absent, size=size))
    states = {archive.state for archive in archives}
    return DatasetStatus(
        name=name,
        complete=not states & {"missing", "fetching", "damaged"},
        verified=states == {"verified"},
        size=sum(archive.size or 0 for archive in archives),
        used=max(used, default=None),
        archives=archives,
    )


async def checked(mirror: Mirror, urls: Sequence[str]) -> Checked:
    """What of these URLs, and of these whole repositories, is there; each archive is a point read."""
    found = await mirror.store.in_worker(lambda: [one for url in urls for one in presences(mirror.store, mirror.origins, url)])
    if mirror.shared:
        found = await asyncio.to_thread(with_bucket, found, mirror.shared.everywhere().known_of)
    under_way = {fill.job.archive for fill in mirror.flights}
    archives = []
    for one in found:
        arriving = bool(under_way) and "://" in one.url and one.listed and not one.present and parse_url(one.url) in under_way
        archives.append(CheckedArchive(**asdict(replace(one, fetching=arriving))))
    return Checked(archives=archives, offline=mirror.settings.offline)


async def collected(mirror: Mirror, *, dry_run: bool, last_copies: bool) -> Collection:
    """What nobody needs, removed unless it is a dry run."""
    garbage = await find_garbage(mirror, last_copies=last_copies)
    freed = 0 if dry_run else await collect(mirror, garbage)
    items = [GarbageItem(kind=one.kind, what=one.what, size=one.size) for one in garbage]
    said = f"{count(len(items), 'thing')} could go." if dry_run else f"Removed {count(len(items), 'thing')}, {size(freed)} are free now."
    return Collection(garbage=items, freed=freed, missing=mirror.store.space.missing(0), said=plain(said))
