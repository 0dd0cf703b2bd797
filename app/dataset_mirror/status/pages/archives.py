"""`/archives`: everything that is stored, as a table; and a page for each archive, stored or not."""

from collections.abc import Sequence
from typing import Annotated, Literal, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from dataset_mirror.errors import NoSuchPage
from dataset_mirror.mirror import Mirror
from dataset_mirror.origins.identity import parse_url
from dataset_mirror.origins.routing import OwnPaths
from dataset_mirror.status.contents import ArchiveDetail
from dataset_mirror.status.explain import explain
from dataset_mirror.status.here import Here, Own
from dataset_mirror.status.lists import archive_of, archives_of
from dataset_mirror.status.pages.frame import address_of, answer
from dataset_mirror.status.pages.late import Late
from dataset_mirror.status.pages.paths import raw_below
from dataset_mirror.status.pages.plot import Plot
from dataset_mirror.status.summary import DAMAGED
from dataset_mirror.status.traffic import traffic_of
from dataset_mirror.store import listing
from dataset_mirror.store.listing import Order, State
from dataset_mirror.store.repositories import is_pinned

SHOWN = 100
COLUMNS: Sequence[tuple[Order | None, str, str]] = (
    ("name", "Archive", ""),
    ("size", "Size", "number"),
    (None, "Digest", ""),
    (None, "Hits", "number"),
    ("used", "Last use", ""),
    ("fetched", "Fetched", ""),
)
STATES: Sequence[State] = get_args(State)
VOUCHED = {
    "catalog": "The catalog: the bytes have the digest that it states.",
    "origin": "The origin: its answer states this digest.",
    "url": "The URL: it has this digest in it.",
    "computed": "Nobody: it was computed of what the origin sent.",
    "disputed": "Nobody: it was computed, and the URL has another one.",
    "adopted": "Nobody: it is that of a file that somebody brought.",
}


router = APIRouter(include_in_schema=False)


@router.api_route("/archives", methods=["GET", "HEAD"])
async def archives(
    mirror: Here,
    request: Request,
    q: Annotated[str, Query(max_length=200)] = "",
    origin: Annotated[str, Query(max_length=300)] = "",
    state: Literal["", State] = "",
    prefix: Annotated[str, Query(max_length=8192)] = "",
    sort: Order = "used",
    ascending: bool = False,
    after: str = "",
) -> HTMLResponse:
    sort, ascending = ("name", True) if prefix else (sort, ascending)  # an index finds a beginning in the order of names only
    query = listing.Query(
        sort, not ascending, origin or None, state or None, prefix.partition("://")[2] or prefix, SHOWN, after or None, search=q.strip()
    )
    found = await archives_of(mirror, query)
    asked = {"q": q, "origin": origin, "state": state, "prefix": prefix, "sort": sort, "ascending": "true" if ascending else ""}
    return await answer(
        mirror,
        request,
        "archives.html",
        archives=found.archives,
        stored=mirror.store.index.total("archives"),
        origins=sorted(one.authority for one in mirror.origins),
        columns=[(key, title, kind, _sorting(asked, key)) for key, title, kind in COLUMNS],
        states=STATES,
        asked=asked,
        before=_query(asked) if after else "",
        after=_query(asked | {"after": found.next}) if found.next else "",
        following="Damaged archives" if found.next == DAMAGED else "Next page",
    )


@router.api_route("/archives/{place:path}", methods=["GET", "HEAD"])
async def archive(mirror: Here, own: Own, request: Request, place: str) -> HTMLResponse:
    query = request.scope["query_string"].decode("latin-1")
    raw = raw_below(request, "/archives/") + (f"?{query}" if query else "")
    if not raw.partition("/")[2]:
        raise NoSuchPage(f"/archives/{raw} is no archive: HOST/PATH is missing.", "Pick one from /archives.")
    return await _archive(mirror, own, request, f"https://{raw}")


async def _archive(mirror: Mirror, own: OwnPaths, request: Request, url: str) -> HTMLResponse:
    explained = await explain(mirror, url, own)
    stored = await _stored(mirror, url)
    named = mirror.origins.name_of(parse_url(url))
    traffic = await traffic_of(mirror, "month", dataset=named) if named else None  # over time, use is counted by dataset
    return await answer(
        mirror,
        request,
        "archive.html",
        code=404 if stored is None and explained.outcome == "refusal" and explained.status == 404 else 200,
        url=explained.url,
        name=named,
        explained=explained,
        archive=stored,
        vouched=VOUCHED[stored.source] if stored else "",
        get=f"{address_of(mirror, request)}/{parse_url(url)}",
        check=f"{address_of(mirror, request)}/sha256/{parse_url(url)}",
        fill=mirror.flights.get(parse_url(url)) is not None,
        pinned=is_pinned(mirror.store, mirror.origins, parse_url(url)),
        has_pin=any(pin.name == explained.url for pin in mirror.store.pins),
        late=Late(mirror).of([url]),
        traffic=traffic,
        plot=Plot.of(traffic) if traffic else None,
        together=len(mirror.origins.named(named)) if named else 0,
    )


async def _stored(mirror: Mirror, url: str) -> ArchiveDetail | None:
    try:
        return await archive_of(mirror, parse_url(url))
    except NoSuchPage:
        return None


def _sorting(asked: dict[str, str], key: Order | None) -> str | None:
    """The query that sorts by a column; the other way round if it is sorted by that already. None for one that cannot be sorted by."""
    if key is None or (asked["prefix"] and key != "name"):
        return None
    turned = asked["sort"] == key and not asked["ascending"]
    first_up = key == "name" and asked["sort"] != key
    return _query(asked | {"sort": key, "ascending": "true" if turned or first_up else ""})


def _query(asked: dict[str, str]) -> str:
    return urlencode({name: value for name, value in asked.items() if value})
