"""The routes of what the mirror did and is doing: traffic, use, answers under way, clients, changes, events."""

import time
from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse

from dataset_mirror.fetch.tail import MOST_LINES
from dataset_mirror.status.changes import changes_of
from dataset_mirror.status.figures import AnswerStatus, By, ChangePage, Level, LogMessage, ReportStatus, Span, TrafficStatus, UsageStatus
from dataset_mirror.status.here import Happening, Here, MayChange
from dataset_mirror.status.live import answers_of, clients_of
from dataset_mirror.status.log import messages_of
from dataset_mirror.status.models import ClientStatus
from dataset_mirror.status.report import report_of
from dataset_mirror.status.traffic import traffic_of
from dataset_mirror.status.usage import MOST, MOST_ROWS, usage_of
from dataset_mirror.store.changes import Kind

DAY = 86_400


router = APIRouter(tags=["status"])


_STREAM: dict[int | str, dict[str, object]] = {
    200: {"description": "A stream that ends when the mirror stops", "content": {"text/event-stream": {"schema": {"type": "string"}}}}
}


# -- What was: figures over time, what takes the room, what came and went


@router.get("/status/traffic")
async def traffic(
    mirror: Here,
    span: Annotated[Span, Query(description="how far to look back; a month has 30 days")] = "hour",
    origin: Annotated[str | None, Query(description="only of this host", examples=["storage.googleapis.com"])] = None,
    dataset: Annotated[str | None, Query(description="only of this name of the catalog", examples=["keras/mnist"])] = None,
    client: Annotated[str | None, Query(description="only of this network of clients", examples=["192.0.2.0/24"])] = None,
) -> TrafficStatus:
    """Traffic over time: bytes served, fetched and saved, hits, misses and failures."""
    return await traffic_of(mirror, span, origin=origin, dataset=dataset, client=client)


@router.get("/status/usage")
async def usage(
    mirror: Here,
    by: Annotated[By, Query(description="what to add up by")] = "origin",
    limit: Annotated[int, Query(ge=1, le=MOST, description="most rows")] = MOST_ROWS,
) -> UsageStatus:
    """What takes the room, and what was asked for of it in the last 30 days."""
    return await usage_of(mirror, by, limit)


@router.get("/status/changes")
async def log(
    mirror: Here,
    may_change: MayChange,
    limit: Annotated[int, Query(ge=1, le=1000, description="most changes of a page")] = 100,
    after: Annotated[str | None, Query(description="`next` of the page before")] = None,
    kind: Annotated[Kind | None, Query(description="only of this kind")] = None,
) -> ChangePage:
    """The log of changes, the latest first: what came and went, when, and who did it; with the token addresses, else networks."""
    return await changes_of(mirror, limit, after, kind, whole=may_change)


@router.get("/status/report")
async def report(mirror: Here, days: Annotated[float, Query(gt=0, le=1830, description="how far to look back")] = 30) -> ReportStatus:
    """What the mirror did in some time: datasets, saved bytes and hours, clients, failures, and what nobody used."""
    return await report_of(mirror, time.time() - days * DAY)


# -- What is: answers under way, clients, and events as they happen


@router.get("/status/answers")
async def answers(mirror: Here, may_change: MayChange) -> list[AnswerStatus]:
    """Answers under way, the longest first; with the token their clients' addresses, else networks."""
    return answers_of(mirror, whole=may_change)


@router.get("/status/log")
async def messages(
    mirror: Here,
    level: Annotated[Level, Query(description="only what is at least so grave")] = "warning",
    q: Annotated[str, Query(description="words that it must have, in any case", max_length=200, examples=["403"])] = "",
    limit: Annotated[int, Query(ge=1, le=MOST_LINES, description="most lines")] = 100,
) -> list[LogMessage]:
    """Warnings and errors that the mirror logged of late, since its start, the latest first; all workers' too."""
    return messages_of(mirror, level, q)[:limit]


@router.get("/status/clients")
async def clients(mirror: Here, may_change: MayChange) -> list[ClientStatus]:
    """Who asked for archives since the start, the one that was sent most first; with the token addresses, else networks."""
    return clients_of(mirror, whole=may_change)


@router.get("/status/events", response_class=StreamingResponse, responses=_STREAM)
async def stream(
    events: Happening,
    last_event_id: Annotated[str | None, Header(description="the last event that was had", max_length=100)] = None,
) -> StreamingResponse:
    """What happens, as server-sent events: fills, answers, traffic, log, failure, change, health; each an object in JSON."""
    fields = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(events.follow(last_event_id), media_type="text/event-stream", headers=fields)
