"""`/datasets`: everything that is known by name, what of it is here; and a page for each."""

from collections.abc import Collection, Sequence
from typing import Annotated, Literal
from urllib.parse import unquote, urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from dataset_mirror.errors import NoSuchPage
from dataset_mirror.mirror import Mirror
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.origins.unknown import closest
from dataset_mirror.status.catalog import catalog_of
from dataset_mirror.status.contents import DatasetStatus
from dataset_mirror.status.here import Here
from dataset_mirror.status.pages.frame import address_of, answer
from dataset_mirror.status.pages.late import Late
from dataset_mirror.status.pages.loading import calls
from dataset_mirror.status.pages.paths import raw_below
from dataset_mirror.status.pages.plot import Plot
from dataset_mirror.status.pages.snippets import setup_line
from dataset_mirror.status.traffic import traffic_of
from dataset_mirror.store.pins import Pin

SHOWN = 100
State = Literal["", "complete", "verified", "partial", "missing"]
STATES: Sequence[tuple[State, str]] = (
    ("", "all"),
    ("complete", "complete"),
    ("verified", "verified"),
    ("partial", "in part"),
    ("missing", "missing"),
)


router = APIRouter(include_in_schema=False)


@router.api_route("/datasets", methods=["GET", "HEAD"])
async def datasets(
    mirror: Here,
    request: Request,
    q: Annotated[str, Query(max_length=200)] = "",
    preset: Annotated[str, Query(max_length=200)] = "",
    state: State = "",
    page: Annotated[int, Query(ge=1, le=100_000)] = 1,
) -> HTMLResponse:
    return await _list(mirror, request, q, preset, state, page)


@router.api_route("/datasets/{name:path}", methods=["GET", "HEAD"])
async def dataset(mirror: Here, request: Request, name: str) -> HTMLResponse:
    return await _one(mirror, request, unquote(raw_below(request, "/datasets/")))


async def _list(mirror: Mirror, request: Request, q: str, preset: str, state: State, page: int) -> HTMLResponse:
    names = sorted(mirror.origins.names)
    fitting = [name for name in names if _fits(name, q, preset)]
    found, number = await _shown(mirror, fitting, state, page)
    late = Late(mirror)
    return await answer(
        mirror,
        request,
        "datasets.html",
        datasets=[(one, late.of(archive.url for archive in one.archives)) for one in found],
        number=number,
        known=len(names),
        first=SHOWN * (page - 1) + 1,
        before=_query(q, preset, state, page - 1) if page > 1 else "",
        after=_query(q, preset, state, page + 1) if SHOWN * page < number else "",
        presets=sorted({name.partition("/")[0] for name in names}),
        states=STATES,
        asked={"q": q, "preset": preset, "state": state},
    )


async def _one(mirror: Mirror, request: Request, name: str) -> HTMLResponse:
    entries = mirror.origins.named(name) if name else []
    if not entries:
        raise NoSuchPage(f"There is no dataset named {name}.", closest(name, mirror.origins.names))
    (found,) = (await catalog_of(mirror, [name])).datasets
    archives = {entry.archive for entry in entries}
    traffic = await traffic_of(mirror, "month", dataset=name)
    return await answer(
        mirror,
        request,
        "dataset.html",
        dataset=found,
        entries={entry.shown: entry for entry in entries},
        loading=calls(name, entries),
        setup=setup_line(address_of(mirror, request)),
        pins=[pin.name for pin in mirror.store.pins if _means(pin, name, archives)],
        late=Late(mirror).of(entry.shown for entry in entries),
        traffic=traffic,
        plot=Plot.of(traffic),
    )


def _fits(name: str, q: str, preset: str) -> bool:
    return all(word in name.lower() for word in q.lower().split()) and preset in ("", name.partition("/")[0])


async def _shown(mirror: Mirror, names: Sequence[str], state: State, page: int) -> tuple[list[DatasetStatus], int]:
    """One page of them, and how many there are. What is stored is looked up of all only if a state is asked for."""
    start = SHOWN * (page - 1)
    if not state:
        return (await catalog_of(mirror, names[start : start + SHOWN])).datasets, len(names)
    fitting = [one for one in (await catalog_of(mirror, names)).datasets if _is(one, state)]
    return fitting[start : start + SHOWN], len(fitting)


def _is(one: DatasetStatus, state: State) -> bool:
    here = any(archive.state not in ("missing", "fetching", "damaged") for archive in one.archives)
    return {"complete": one.complete, "verified": one.verified, "partial": here and not one.complete, "missing": not here}[state]


def _query(q: str, preset: str, state: str, page: int) -> str:
    given = {"q": q, "preset": preset, "state": state, "page": str(page) if page > 1 else ""}
    return urlencode({name: value for name, value in given.items() if value})


def _means(pin: Pin, name: str, archives: Collection[ArchiveId]) -> bool:
    """Whether a pin is of some archive of the dataset, which has these."""
    return pin.url in archives if pin.url else any(pin.means(archive, name) for archive in archives)
