"""What all pages share: where they are, how the mirror is, and how they are answered."""

import asyncio
import time
from collections.abc import Mapping
from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import HTMLResponse

from dataset_mirror.mirror import Mirror
from dataset_mirror.rules.host import own_address
from dataset_mirror.status.health import health_of
from dataset_mirror.status.html import PAGE_POLICY, page
from dataset_mirror.status.models import HealthStatus
from dataset_mirror.status.own import page_link
from dataset_mirror.status.packing import packed
from dataset_mirror.status.wording import count

REFRESH = 30
"""Seconds after which a page that shows what changes is loaded again, by a browser that runs no scripts."""
MIRRORS = "/mirrors"
"""A page of mirrors that share a store, and of no others."""
NAVIGATION = (
    ("/", "Overview"),
    ("/datasets", "Datasets"),
    ("/archives", "Archives"),
    ("/activity", "Activity"),
    ("/origins", "Origins"),
    (MIRRORS, "Mirrors"),
    ("/wanted", "Wanted"),
    ("/guide", "Guide"),
    ("/docs", "API"),
)
STATES: Mapping[str, str] = {"ok": "Working", "degraded": "Degraded", "failing": "Broken"}
"""The states of `health`, as people read them."""

Refresh = Annotated[int | None, Query(ge=0, le=3600, description="seconds after which the page refreshes without JavaScript; 0: never")]


async def answer(
    mirror: Mirror, request: Request, template: str, *, code: int = 200, health: HealthStatus | None = None, **values: object
) -> HTMLResponse:
    """A page; never kept by caches, since it names the address that it was asked at."""
    known = health or await health_of(mirror)
    made = await asyncio.to_thread(  # a long table takes a tenth of a second, in which nobody is to wait for bytes
        page,
        template,
        PAGE_POLICY,
        {"Cache-Control": "no-store", "Vary": "Host"},
        code=code,
        address=address_of(mirror, request),
        now=time.time(),
        health=known,
        state=STATES[known.state],
        summary=summary(mirror),
        navigation=[one for one in NAVIGATION if mirror.shared or one[0] != MIRRORS],
        here=request.url.path,
        link=lambda path: page_link(path, mirror.origins),
        has_token=mirror.settings.token is not None,
        **values,
    )
    return await packed(request, made)


def address_of(mirror: Mirror, request: Request) -> str:
    """The URL at which this client reaches the mirror. BadRequest for a Host that cannot be printed into a command."""
    return own_address(mirror.settings.public_url, request.url.scheme, request.headers.getlist("host"))


def summary(mirror: Mirror) -> str:
    """What goes on, in a few words."""
    fills = len(list(mirror.flights))
    under_way = f"{count(fills, 'download')} under way" if fills else "nothing under way"
    return f"{under_way} · {'offline' if mirror.settings.offline else 'online'}"
