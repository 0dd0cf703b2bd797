"""What the mirror has and lacks, archive by archive: lists of what is stored and of what is wanted, and one archive with all about it."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial

from dataset_mirror.airgap.preflight.presence import presences, with_bucket
from dataset_mirror.airgap.wanted import Reasons, Wish, wishes
from dataset_mirror.errors import NoSuchPage
from dataset_mirror.mirror import Mirror
from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.status.contents import (
    ArchiveDetail,
    ArchivePage,
    Checked,
    CheckedArchive,
    VersionStatus,
    WantedArchive,
    WantedArchivePage,
)
from dataset_mirror.status.live import told
from dataset_mirror.status.summary import DAMAGED, damaged_of, damaged_page, facts_of, is_of_damaged, summaries, summary_of
from dataset_mirror.store.listing import Query
from dataset_mirror.store.record import Record


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
