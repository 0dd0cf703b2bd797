"""The routes of how the mirror is, and of what it has."""

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from itertools import islice
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import PlainTextResponse, Response, StreamingResponse

from dataset_mirror.errors import BadRequest, NoSuchPage, Unready
from dataset_mirror.mirror import Mirror
from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.serve.access import check_may_read
from dataset_mirror.serve.asgi import Request as Asked
from dataset_mirror.serve.error_page import prefers_page
from dataset_mirror.status.catalog import catalog_of
from dataset_mirror.status.contents import ArchiveDetail, ArchivePage, Catalog, Checked, Explanation, WantedArchivePage
from dataset_mirror.status.explain import explain
from dataset_mirror.status.health import READING, WRITING, can, health_of
from dataset_mirror.status.here import Here, MayChange, Own
from dataset_mirror.status.lists import archive_of, archives_of, checked, in_bucket, wanted_of
from dataset_mirror.status.models import FillStatus, Health, Readiness, Status
from dataset_mirror.status.pages.frame import answer
from dataset_mirror.status.state import fills_of, status_of
from dataset_mirror.store import listing
from dataset_mirror.store.listing import Order, State

ArchiveUrl = Annotated[
    str,
    Query(description="the archive's URL", max_length=8192, examples=["https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"]),
]


_AT_ONCE = 10_000


router = APIRouter(tags=["status"])


@router.get("/status")
async def status(mirror: Here) -> Status:
    """The mirror in one look."""
    return await status_of(mirror)


@router.get("/status/fills")
async def fills(mirror: Here) -> list[FillStatus]:
    """The downloads under way."""
    return fills_of(mirror)


@router.get("/status/catalog")
async def catalog(mirror: Here) -> Catalog:
    """Per named dataset: is it complete, is it verified, how large is it?"""
    return await catalog_of(mirror)


@router.get("/status/archives")
async def archives(
    mirror: Here,
    sort: Annotated[Order, Query(description="what they are sorted by")] = "name",
    descending: Annotated[bool, Query(description="the largest or latest first")] = False,
    origin: Annotated[str | None, Query(description="only of this host", examples=["storage.googleapis.com"])] = None,
    state: Annotated[State | None, Query(description="only in this state")] = None,
    prefix: Annotated[str, Query(description="only where HOST/PATH begins like this; sorted by name", max_length=8192)] = "",
    limit: Annotated[int, Query(ge=1, le=1000, description="most archives of a page")] = 100,
    after: Annotated[str | None, Query(description="`next` of the page before")] = None,
    q: Annotated[str, Query(description="a part of HOST/PATH or of the catalog's name, whatever its case", max_length=200)] = "",
    last_used_before: Annotated[datetime | None, Query(description="only what nobody asked for since then (ISO 8601)")] = None,
    only: Annotated[
        list[str], Query(description="only these: catalog names, URLs, or globs of either; all in one page", max_length=1000)
    ] = [],  # noqa: B006
    where: Annotated[
        Literal["here", "bucket"], Query(description="bucket: by name, what is only in the bucket that this mirror shares with others")
    ] = "here",
) -> ArchivePage:
    """What is stored, page by page. A page that is searched or filtered by use may be short, and yet have a `next`."""
    before = _moment(last_used_before) if last_used_before else None
    query = listing.Query(sort, descending, origin, state, prefix.partition("://")[2] or prefix, limit, after, q, before)
    return await (in_bucket(mirror, query) if where == "bucket" and not only else archives_of(mirror, query, only))


def _moment(told: datetime) -> float:
    """Seconds since the epoch. BadRequest for what this machine's time zone puts before the first year, or after the last."""
    try:
        return told.timestamp()
    except (ValueError, OverflowError):
        raise BadRequest(f"last_used_before: {told.isoformat()} is out of range.", "Give a time with its zone, such as …Z.") from None


@router.get("/status/folder", response_model=ArchivePage)
async def folder(
    mirror: Here,
    request: Request,
    prefix: Annotated[str, Query(description="HOST/PATH/", max_length=8192, examples=["storage.googleapis.com/"])],
    after: Annotated[str | None, Query(description="`next` of the page before")] = None,
) -> Response | ArchivePage:
    """What is stored below a folder, as `/HOST/PATH/` shows it: a page for browsers, else JSON."""
    found = await archives_of(mirror, listing.Query(prefix=prefix, limit=1000, after=after), [])
    if not prefers_page(request.headers.get("accept", "")):
        return found
    more = f"/status/folder?{urlencode({'prefix': prefix, 'after': found.next})}" if found.next else ""
    return await answer(mirror, request, "folder.html", prefix=prefix, archives=found.archives, more=more)


@router.get("/status/digests", response_class=PlainTextResponse)
async def digests(mirror: Here) -> StreamingResponse:
    """The SHA-256 of everything stored, sorted, one a line."""
    return StreamingResponse(_lines(mirror, mirror.store.index.digests()), media_type="text/plain")


@router.get("/status/wanted")
async def wanted(
    mirror: Here,
    may_change: MayChange,
    limit: Annotated[int, Query(ge=1, le=1000, description="most archives of a page")] = 100,
    after: Annotated[str | None, Query(description="`next` of the page before")] = None,
) -> WantedArchivePage:
    """What was asked for and could not be fetched, page by page; what was asked for last first. With the token addresses, else networks."""
    return await wanted_of(mirror, limit, after, whole=may_change)


@router.get("/status/archive")
async def archive(mirror: Here, url: ArchiveUrl) -> ArchiveDetail:
    """All about one stored archive: digest, validators, age, history."""
    return await archive_of(mirror, parse_url(url))


@router.get("/status/explain")
async def explanation(mirror: Here, own: Own, url: ArchiveUrl) -> Explanation:
    """What a request for this URL gets, hit, miss or refusal, and why. Nothing is fetched."""
    return await explain(mirror, url, own)


@router.get("/status/check")
async def check(
    mirror: Here,
    url: Annotated[
        list[str],
        Query(
            description="URLs of archives; several of them",
            min_length=1,
            max_length=1000,
            examples=[["https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"]],
        ),
    ],
) -> Checked:
    """What of these archives is there. Nothing is fetched."""
    return await checked(mirror, url)


async def _lines(mirror: Mirror, words: Iterator[str]) -> AsyncIterator[str]:
    """The words, one a line; they are read in the store's worker, many at once."""
    while some := await mirror.store.in_worker(lambda: list(islice(words, _AT_ONCE))):
        yield "".join(f"{word}\n" for word in some)


@router.get("/healthz")
async def healthz() -> Health:
    """Whether the process answers."""
    return Health(status="ok")


@router.get("/readyz", response_model_exclude_none=True)
async def readyz(
    mirror: Here,
    writing: Annotated[bool, Query(description="whether it has to be able to store new archives, too")] = False,
) -> Readiness:
    """What the mirror can do: serve what is stored, and store what is new. 503 if it cannot do what is asked for."""
    health = await health_of(mirror)
    reads, writes = can(health, READING), can(health, WRITING)
    if not reads or (writing and not writes):
        wrong = next(check for check in health.checks if not check.ok and check.name in (WRITING if reads else READING))
        raise Unready(wrong.detail, wrong.hint, reading=reads, writing=writes, health=health.model_dump(mode="json"))
    if health.state == "ok":
        return Readiness(status="ready")
    return Readiness(status="ready" if writes else "read-only", reading=reads, writing=writes, health=health)


@router.get("/sha256/{place:path}", response_class=PlainTextResponse)
async def sha256(
    mirror: Here,
    request: Request,
    place: Annotated[str, Path(description="host and path of an archive", examples=["data.example.org/a.zip"])],
) -> PlainTextResponse:
    """The digest of `/sha256/<host>/<path>`, as `sha256sum -c` reads it."""
    raw = request.scope["raw_path"].removeprefix(b"/sha256/").decode("latin-1")
    query = request.url.query
    archive = parse_url("https://" + raw + (f"?{query}" if query else ""))
    restricted = _admit(mirror, request, archive)
    return PlainTextResponse(checksum_line(mirror, archive), headers={"cache-control": "private"} if restricted else None)


def _admit(mirror: Mirror, request: Request, archive: ArchiveId) -> bool:
    """Whether not everybody may know an archive's digest; Forbidden if this client may not."""
    record = mirror.store.find(archive)
    private = record is not None and record.private
    return check_may_read(Asked.of(request.scope), mirror.origins.of(archive), mirror.settings, private=private)


def checksum_line(mirror: Mirror, archive: ArchiveId) -> str:
    """`<hex>  <name>`: of the stored bytes, else as the catalog knows it; NoSuchPage if neither does."""
    record = mirror.store.find(archive)
    expected = mirror.origins.expected(archive)
    known = record.sha256 if record else next(iter(expected.sha256 if expected else ()), None)
    if known is None:
        raise NoSuchPage(f"The SHA-256 of {archive} is not known.", "Fetch the archive first.")
    return f"{known}  {archive.name}\n"
