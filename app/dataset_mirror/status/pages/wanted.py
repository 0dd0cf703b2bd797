"""`/wanted`: what was asked for and could not be fetched, why, and how the list is carried across an air gap."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from dataset_mirror.status.here import Here
from dataset_mirror.status.lists import wanted_of
from dataset_mirror.status.pages.frame import answer

SHOWN = 100
KINDS = {
    "offline": "could not be fetched: the mirror was offline, or its origin failed",
    "refused": "its origin refuses it",
    "404": "its origin does not have it",
    "unlisted": "no origin lists it",
    "damaged": "its bytes here were damaged",
}


router = APIRouter(include_in_schema=False)


@router.api_route("/wanted", methods=["GET", "HEAD"])
async def wanted(mirror: Here, request: Request, after: Annotated[str, Query(max_length=500)] = "") -> HTMLResponse:
    found = await wanted_of(mirror, SHOWN, after or None)
    number = await mirror.store.in_worker(mirror.store.index.number_wanted)
    return await answer(
        mirror,
        request,
        "wanted.html",
        wanted=found.wanted,
        number=number,
        kinds=KINDS,
        before="from=start" if after else "",
        after=f"after={found.next}" if found.next else "",
        offline=mirror.settings.offline,
    )
