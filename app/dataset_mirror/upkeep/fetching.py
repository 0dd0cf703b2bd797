"""Archives that are fetched although no client waits for them: by commands, pins, schedules."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from dataset_mirror.errors import MirrorError, NotForKeeping
from dataset_mirror.fetch.cause import because
from dataset_mirror.fetch.fill import Fill
from dataset_mirror.mirror import Mirror
from dataset_mirror.origins.identity import ArchiveId

_AHEAD = 4
"""Archives under way at once, for each fill that may run."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the fetching of one archive is; sizes in bytes, `total` None while unknown."""

    url: str
    state: Literal["waiting", "fetching", "present", "fetched", "failed"]
    received: int = 0
    total: int | None = None
    error: MirrorError | None = None

    @property
    def over(self) -> bool:
        return self.state in ("present", "fetched", "failed")


async def fetch(mirror: Mirror, archives: Iterable[ArchiveId], every: float = 0.2, *, refetch: bool = False) -> AsyncIterator[Progress]:
    """Makes sure that all of them are there; tells how far each is every so many seconds, and each one's end once.

    `refetch`: what is there is fetched once more. Only so many are under way at once as keep the fills busy.
    """
    coming, waiting = iter(archives), dict[ArchiveId, Fill]()
    while True:
        some = list(islice(coming, max(0, _AHEAD * mirror.settings.max_fills - len(waiting))))
        if not some and not waiting:
            return
        for archive in some:
            with because("ahead"):
                started = await _started(mirror, archive, refetch=refetch)
            if isinstance(started, Fill):
                waiting[archive] = started
            else:
                yield started
        for archive, fill in list(waiting.items()):
            progress = _progress(fill)
            if progress.over:
                del waiting[archive]
            if progress.state != "waiting":
                yield progress
        if waiting:
            await _any_over(waiting.values(), every)


async def begin(mirror: Mirror, archive: ArchiveId) -> Progress:
    """Begins to fetch an archive that is missing, without waiting for it."""
    started = await _started(mirror, archive, refetch=False)
    return _progress(started) if isinstance(started, Fill) else started


async def _started(mirror: Mirror, archive: ArchiveId, *, refetch: bool) -> Fill | Progress:
    url = f"https://{archive}"
    try:
        what = await mirror.located(mirror.asked(archive))
        url = mirror.origins.of(archive).url_of(what.archive)
        if what.matched is not None and not what.matched.rule.store:
            raise NotForKeeping(f"{url} is not kept: by its rule it is passed on to its origin.", "Give the URL of a file.")
        found = mirror.fill(what) if refetch else await mirror.find(what)
    except MirrorError as error:
        return Progress(url, "failed", error=error)
    if isinstance(found, Fill):
        return found
    found.file.close()
    return Progress(url, "present", found.record.size, found.record.size)


def _progress(fill: Fill) -> Progress:
    url = fill.job.url
    if fill.record:
        return Progress(url, "fetched", fill.record.size, fill.record.size)
    if fill.error:
        return Progress(url, "failed", fill.received, fill.total, fill.error)
    return Progress(url, "fetching" if fill.running else "waiting", fill.received, fill.total)


async def _any_over(fills: Iterable[Fill], seconds: float) -> None:
    """Waits until one of the fills ended, at most so long."""
    ends = [asyncio.create_task(fill.ended()) for fill in fills if fill.running]
    if not ends:
        await asyncio.sleep(seconds)
        return
    try:
        await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for end in ends:
            end.cancel()
