"""`/`: how the mirror is, what it does now, what it did lately, and how a client is pointed at it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from dataset_mirror.errors import IndexDamaged
from dataset_mirror.mirror import Mirror
from dataset_mirror.status.contents import ArchiveSummary, WantedArchive
from dataset_mirror.status.figures import AnswerStatus, Span, TrafficStatus, UsageStatus
from dataset_mirror.status.here import Here
from dataset_mirror.status.lists import archives_of, wanted_of
from dataset_mirror.status.live import answers_of
from dataset_mirror.status.models import StoreStatus
from dataset_mirror.status.pages.disk import disk_of
from dataset_mirror.status.pages.frame import REFRESH, Refresh, address_of, answer
from dataset_mirror.status.pages.plot import Plot
from dataset_mirror.status.pages.problems import grouped
from dataset_mirror.status.pages.snippets import ways
from dataset_mirror.status.state import state_of
from dataset_mirror.status.traffic import traffic_of
from dataset_mirror.status.usage import usage_of
from dataset_mirror.store import listing

UNDER_WAY_SHOWN, PROBLEMS_SHOWN, WANTED_SHOWN, ARCHIVES_SHOWN = 10, 6, 6, 10
SPANS = (("hour", "Hour"), ("day", "Day"), ("month", "Month"), ("year", "Year"))


router = APIRouter(tags=["status"])


@router.get("/", response_class=HTMLResponse)
async def front(
    mirror: Here, request: Request, span: Annotated[Span, Query(description="time that the plot shows")] = "hour", refresh: Refresh = None
) -> HTMLResponse:
    """The mirror in one page, for people."""
    address_of(mirror, request)  # a Host that cannot be printed is refused before anything is asked
    status, known = await state_of(mirror), await _known(mirror, span)
    return await answer(
        mirror,
        request,
        "overview.html",
        health=status.health,
        refresh=REFRESH if refresh is None else refresh,
        status=status,
        fills=sorted(status.fills, key=lambda fill: fill.waiting)[:UNDER_WAY_SHOWN],
        problems=grouped(status.failures)[:PROBLEMS_SHOWN],
        room=room(status.store),
        disk=disk_of(status.store, known.usage),
        answers=known.answers[:UNDER_WAY_SHOWN],
        more_answers=max(0, len(known.answers) - UNDER_WAY_SHOWN),
        most=UNDER_WAY_SHOWN,
        traffic=known.traffic,
        plot=Plot.of(known.traffic) if known.traffic else None,
        spans=SPANS,
        archives=known.archives,
        wanted=known.wanted,
        ways=ways(mirror.origins, address_of(mirror, request)),
    )


@router.head("/", include_in_schema=False)
async def head(mirror: Here, request: Request) -> HTMLResponse:
    return await front(mirror, request)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the index and the counts say; nothing, if the index cannot be read."""

    answers: Sequence[AnswerStatus]
    traffic: TrafficStatus | None = None
    usage: UsageStatus | None = None
    archives: Sequence[ArchiveSummary] = ()
    """Those that were used last."""
    wanted: Sequence[WantedArchive] = ()
    """What was asked for in vain last."""


async def _known(mirror: Mirror, span: Span) -> _Known:
    answers = answers_of(mirror)
    try:
        kept = await archives_of(mirror, listing.Query("used", descending=True, limit=ARCHIVES_SHOWN))
        wanted = await wanted_of(mirror, WANTED_SHOWN)
        return _Known(answers, await traffic_of(mirror, span), await usage_of(mirror, "dataset"), kept.archives, wanted.wanted)
    except IndexDamaged:
        return _Known(answers)


def room(store: StoreStatus) -> int:
    """Bytes that may still be kept: what the disk and `max_size` leave, without what is promised to downloads."""
    left = [store.free - store.min_free - store.promised]
    if store.max_size is not None:
        left.append(store.max_size - store.blob_bytes - store.promised)
    return max(0, min(left))
