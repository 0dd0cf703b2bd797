"""`/activity`: what is under way, who asked for what in the last minutes, what failed, and the end of the log."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from dataset_mirror.errors import IndexDamaged
from dataset_mirror.fetch.recent import Asked
from dataset_mirror.mirror import Mirror
from dataset_mirror.status.changes import changes_of
from dataset_mirror.status.figures import ChangeStatus, Level
from dataset_mirror.status.here import Here
from dataset_mirror.status.live import answers_of, clients_of, told
from dataset_mirror.status.log import messages_of
from dataset_mirror.status.pages.frame import REFRESH, Refresh, answer
from dataset_mirror.status.pages.problems import grouped
from dataset_mirror.status.state import failures_of, fills_of

SHOWN, TOP = 200, 15
MINUTES = (5, 15, 60, 1440)


@dataclass(slots=True)
class Share:
    """Requests of one archive in the time shown."""

    name: str
    requests: int = 0
    hits: int = 0
    size: int = 0


router = APIRouter(include_in_schema=False)


@router.api_route("/activity", methods=["GET", "HEAD"])
async def activity(
    mirror: Here,
    request: Request,
    q: Annotated[str, Query(max_length=200)] = "",
    outcome: Literal["", "hit", "miss", "failed"] = "",
    minutes: Annotated[int, Query(ge=1, le=1440)] = 15,
    level: Level = "warning",
    words: Annotated[str, Query(max_length=200)] = "",
    refresh: Refresh = None,
) -> HTMLResponse:
    fills, answers = fills_of(mirror), answers_of(mirror)
    requests, messages = _requests(mirror, q, outcome, minutes), messages_of(mirror, level, words)
    return await answer(
        mirror,
        request,
        "activity.html",
        refresh=REFRESH if refresh is None else refresh,
        fills=sorted(fills, key=lambda fill: fill.waiting)[:SHOWN],
        number=len(fills),
        most=SHOWN,
        answers=answers[:SHOWN],
        more_answers=max(0, len(answers) - SHOWN),
        problems=grouped(failures_of(mirror)),
        requests=[(one, told(mirror, one.client, whole=False)) for one in requests[:SHOWN]],
        found=len(requests),
        archives=_by_archive(requests)[:TOP],
        clients=clients_of(mirror)[:TOP],
        changes=await _changes(mirror),
        messages=messages[:SHOWN],
        logged=len(messages),
        number_logged=mirror.tail.number,
        choices=MINUTES,
        asked={"q": q, "outcome": outcome, "minutes": minutes, "level": level, "words": words},
    )


async def _changes(mirror: Mirror) -> Sequence[ChangeStatus]:
    """The latest; nothing, if the index cannot be read: the head of the page says so."""
    try:
        return (await changes_of(mirror, TOP)).changes
    except IndexDamaged:
        return ()


def _requests(mirror: Mirror, q: str, outcome: str, minutes: int) -> list[Asked]:
    """The latest requests that fit, the last one first."""
    since, words = time.time() - 60 * minutes, q.lower().split()
    found = []
    for one in reversed(list(mirror.recent.requests)):
        text = f"{one.target} {told(mirror, one.client, whole=False)} {one.why} {one.status}".lower() if words else ""
        if one.at >= since and _has(one, outcome) and all(word in text for word in words):
            found.append(one)
    return found


def _has(one: Asked, outcome: str) -> bool:
    failed = one.status >= 400 or not one.is_whole
    return failed if outcome == "failed" else outcome in ("", one.outcome)


def _by_archive(requests: Iterable[Asked]) -> Sequence[Share]:
    """What was asked for most, by bytes."""
    found: dict[str, Share] = {}
    for one in requests:
        if one.archive:
            share = found.setdefault(one.archive, Share(one.archive))
            share.requests += 1
            share.hits += one.outcome == "hit"
            share.size += one.size
    return sorted(found.values(), key=lambda share: (share.size, share.requests), reverse=True)
