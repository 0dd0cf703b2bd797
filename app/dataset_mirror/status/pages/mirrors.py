"""`/mirrors`: all mirrors that share a store, as this one knows them; there is no such page of a mirror alone."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from dataset_mirror.status.here import Here
from dataset_mirror.status.pages.frame import MIRRORS, REFRESH, Refresh, answer
from dataset_mirror.status.shared import shared_of

router = APIRouter(include_in_schema=False)


@router.api_route(MIRRORS, methods=["GET", "HEAD"])
async def mirrors(mirror: Here, request: Request, refresh: Refresh = None) -> HTMLResponse:
    known = await shared_of(mirror)
    assert mirror.shared is not None
    assert known is not None
    return await answer(
        mirror,
        request,
        "mirrors.html",
        refresh=REFRESH if refresh is None else refresh,
        shared=known,
        me=mirror.shared.life.id,
        alive=sum(one.alive for one in known.mirrors),
        names={one.url: one.url.partition("://")[2] for one in known.mirrors},
    )
