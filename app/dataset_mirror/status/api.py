"""What changes the mirror, for those who may."""

from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from dataset_mirror.airgap.preflight.presence import put_on_list
from dataset_mirror.errors import MirrorError, NoSuchPage
from dataset_mirror.fetch.tracing import origin_for, trace
from dataset_mirror.mirror import Mirror
from dataset_mirror.origins.identity import parse_url
from dataset_mirror.rules.anonymous import anonymised
from dataset_mirror.rules.secrets import without_secrets
from dataset_mirror.serve.asgi import Request as Asked
from dataset_mirror.serve.client import client_address
from dataset_mirror.status.actions import named
from dataset_mirror.status.garbage import collected
from dataset_mirror.status.guard import Guarded
from dataset_mirror.status.here import Here
from dataset_mirror.status.live import clients_of
from dataset_mirror.status.models import ClientStatus, Health, LogLine
from dataset_mirror.status.orders import (
    Collection,
    CollectRequest,
    FetchProgress,
    FetchRequest,
    Pinned,
    Pinning,
    ProblemFacts,
    Removal,
    RemovedArchive,
    Selection,
    TraceAnswer,
    TraceRequest,
    Unwanted,
    VerifyProgress,
    VerifyRequest,
    WantAnswer,
    WantRequest,
)
from dataset_mirror.status.upkeep import log_of
from dataset_mirror.status.wording import count, plain, size
from dataset_mirror.upkeep import snapshots
from dataset_mirror.upkeep.fetching import Progress
from dataset_mirror.upkeep.pinned import meant, pin, unpin
from dataset_mirror.upkeep.stored import remove, select_stored
from dataset_mirror.upkeep.verify import Verified, verify

LINES = "application/x-ndjson"
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


router = APIRouter(prefix="/api", tags=["change the mirror"], route_class=Guarded)
rest = APIRouter(prefix="/api", route_class=Guarded, include_in_schema=False)
"""What there is not; it comes after all others."""


@rest.api_route("/{rest:path}", methods=_METHODS)
async def no_such(request: Request, rest: str) -> None:
    """What is not there is not told to those who may not change anything."""
    raise NoSuchPage(f"There is no {request.method} /api/{rest}.", "See /docs for what there is.")


def _lines_of(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """A stream of lines, each such a model; the schema stands among the others, where its parts are found, too."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {200: {"model": model, "description": "One line for each step", "content": {LINES: {"schema": schema}}}}


# -- What is to come: fetched, put on the wanted list, looked for


@router.post("/fetch", responses=_lines_of(FetchProgress))
async def fetch(mirror: Here, wanted: FetchRequest) -> StreamingResponse:
    """Fetches what is missing; the answer is a stream of lines, each a progress in JSON, until all are over."""
    archives, repositories = snapshots.meant(mirror.origins, wanted.archives)
    return StreamingResponse(_fetch_lines(snapshots.fetch(mirror, archives, repositories)), media_type=LINES)


@router.post("/want")
async def want(mirror: Here, wanted: WantRequest, request: Request) -> WantAnswer:
    """Puts archives on the wanted list, which is carried out of an air gap. What is there is left out; what no origin lists is not."""
    address = client_address(Asked.of(request.scope), mirror.settings.forwarded_allow_ips)
    asked_by = anonymised(str(address), mirror.settings.anonymise_clients) if address else None
    listed = await mirror.store.in_worker(lambda: put_on_list(mirror.store, mirror.origins, wanted.archives, asked_by))
    return WantAnswer(wanted=listed)


@router.post("/unwant")
async def unwant(mirror: Here, had: WantRequest) -> Unwanted:
    """Takes archives off the wanted list."""
    archives = [parse_url(url) for url in had.archives]
    return Unwanted(removed=await mirror.store.in_worker(lambda: mirror.store.unwant(archives)))


@router.post("/trace")
async def where(mirror: Here, asked: TraceRequest) -> TraceAnswer:
    """Looks where a URL leads: HEAD, or GET of one byte, over whatever public hosts it redirects to. Nothing is kept."""
    archive, scheme = parse_url(asked.url), "http" if asked.url.startswith("http://") else "https"
    found = await trace(mirror.upstream, origin_for(mirror.origins, archive, scheme), archive)
    return TraceAnswer(**asdict(replace(found, trouble=None)) | {"trouble": _facts(found.trouble)})


# -- What is here: removed, verified, cleaned up


@router.post("/rm")
async def rm(mirror: Here, wanted: Selection) -> Removal:
    """Removes stored archives, older versions too. Whoever reads one gets it to its end."""
    removed = [RemovedArchive(**asdict(one)) for one in await remove(mirror, wanted.archives)]
    freed = sum(one.freed for one in removed)
    return Removal(removed=removed, freed=freed, said=plain(f"Removed {named([one.url for one in removed])}; {size(freed)} are free now."))


@router.post("/verify", responses=_lines_of(VerifyProgress))
async def verification(mirror: Here, wanted: VerifyRequest) -> StreamingResponse:
    """Re-hashes stored archives; a damaged one is put into quarantine and fetched again. The answer is a stream of lines."""
    if wanted.archives:  # a wrong name is to be a 400, not the end of a stream
        await mirror.store.in_worker(lambda: select_stored(mirror.store.index, mirror.origins, wanted.archives))
    return StreamingResponse(_verify_lines(verify(mirror, wanted.archives)), media_type=LINES)


@router.post("/gc")
async def gc(mirror: Here, how: CollectRequest) -> Collection:
    """Removes what nobody needs: older versions, orphans, leftovers, quarantined blobs, and what is over the limits."""
    return await collected(mirror, dry_run=how.dry_run, last_copies=how.last_copies)


# -- What is to stay


@router.post("/pin")
async def pinning(mirror: Here, wanted: Pinning) -> Pinned:
    """Pins names: what they mean is never evicted, and is fetched if it is missing or damaged. Tells which are new."""
    new = await mirror.store.in_worker(lambda: pin(mirror.store, mirror.origins, wanted.names))
    mirror.remember_urls(wanted.names)
    mirror.look_again.set()
    return await _pinned(mirror, [one.name for one in new], "Pinned", "That is pinned already.")


@router.post("/unpin")
async def unpinning(mirror: Here, had: Pinning) -> Pinned:
    """Takes pins away; a glob takes all whose names fit it."""
    gone = await mirror.store.in_worker(lambda: unpin(mirror.store, had.names))
    return await _pinned(mirror, [one.name for one in gone], "Unpinned", "Nothing was pinned.")


async def _pinned(mirror: Mirror, names: list[str], done: str, nothing: str) -> Pinned:
    await mirror.store.write_changes()
    there = await mirror.store.in_worker(lambda: [record for name in names for record in meant(mirror.store, mirror.origins, name).there])
    total = sum(record.size for record in there)
    said = f"{done} {named(names)}; here of that: {count(len(there), 'archive')}, {size(total)}." if names else nothing
    return Pinned(names=names, size=total, said=plain(said))


# -- Who asks, for what, and by which configuration


@router.get("/clients")
async def clients(mirror: Here) -> list[ClientStatus]:
    """Who asked for archives since the start, the one that was sent most first; the last thousand addresses."""
    return clients_of(mirror, whole=True)


@router.get("/log")
async def latest(
    mirror: Here,
    since: Annotated[float, Query(ge=0, description="seconds to look back")] = 3600,
    limit: Annotated[int, Query(ge=1, le=10_000, description="most requests, the latest")] = 1000,
) -> list[LogLine]:
    """The latest requests, the oldest first. Repeats of small archives, answered from memory, are only counted."""
    return log_of(mirror, since, limit)


@router.post("/reload")
async def reload(mirror: Here) -> Health:
    """Reads mirror.toml and its presets once more and takes them up; 400, and nothing changes, if anything in them is wrong."""
    await mirror.reload()
    mirror.store.changes.note("reloaded", str(mirror.configuration.file))
    await mirror.store.write_changes()
    return Health(status="reloaded")


async def _fetch_lines(progress: AsyncIterator[Progress]) -> AsyncIterator[str]:
    async for step in progress:
        line = FetchProgress(url=step.url, state=step.state, received=step.received, total=step.total, error=_facts(step.error))
        yield line.model_dump_json(exclude_none=True) + "\n"


async def _verify_lines(progress: AsyncIterator[Verified]) -> AsyncIterator[str]:
    async for step in progress:
        line = VerifyProgress(url=step.url, state=step.state, checked=step.checked, total=step.total, error=_facts(step.error))
        yield line.model_dump_json(exclude_none=True) + "\n"


def _facts(error: MirrorError | None) -> ProblemFacts | None:
    return ProblemFacts(status=error.status, detail=without_secrets(error.detail), hint=without_secrets(error.hint)) if error else None
