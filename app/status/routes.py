"""Pages and API as a FastAPI app. Who may use /api/ was decided in the gateway, before any body was read."""

import time
from collections.abc import AsyncIterator
from importlib.metadata import version

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.types import Lifespan

from app.errors import BadRequest, MirrorError, NoSuchPage
from app.mirror import Mirror, Progress
from app.origins.identity import ArchiveId, parse_url
from app.serve.head import problem
from app.status.models import FailureStatus, FetchProgress, FetchRequest, FillStatus, Health, ProblemFacts, Status, UpstreamStatus


def pages(mirror: Mirror, lifespan: Lifespan[FastAPI]) -> FastAPI:
    """The app behind the gateway; `lifespan` starts and stops the mirror."""
    summary = "Dataset archives, fetched once, verified, kept."
    app = FastAPI(title="dataset-mirror", version=version("dataset-mirror"), summary=summary, lifespan=lifespan)
    app.include_router(_status(mirror))
    app.include_router(_api(mirror))
    app.add_exception_handler(MirrorError, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_problem)
    return app


def _status(mirror: Mirror) -> APIRouter:
    router = APIRouter(tags=["status"])

    @router.get("/status")
    async def status() -> Status:
        """The mirror in one look."""
        return await status_of(mirror)

    @router.get("/healthz")
    async def healthz() -> Health:
        """Whether the process answers."""
        return Health(status="ok")

    @router.get("/readyz")
    async def readyz() -> Health:
        """Whether archives can be served: the index answers."""
        await mirror.store.in_worker(mirror.store.index.counters)
        return Health(status="ready")

    @router.get("/sha256/{archive:path}", response_class=PlainTextResponse)
    async def sha256(request: Request) -> PlainTextResponse:
        """The digest of `/sha256/<host>/<path>`, as `sha256sum -c` reads it."""
        raw = request.scope["raw_path"].removeprefix(b"/sha256/").decode("latin-1")
        query = request.url.query
        return PlainTextResponse(checksum_line(mirror, parse_url("https://" + raw + (f"?{query}" if query else ""))))

    return router


def _api(mirror: Mirror) -> APIRouter:
    router = APIRouter(prefix="/api", tags=["change the mirror"])

    @router.post("/fetch", responses={200: {"content": {"application/x-ndjson": {"schema": FetchProgress.model_json_schema()}}}})
    async def fetch(wanted: FetchRequest) -> StreamingResponse:
        """Fetches what is missing; the answer is a stream of lines, each a progress in JSON, until all are over."""
        archives = dict.fromkeys(archive for name in wanted.archives for archive in mirror.origins.select(name))
        return StreamingResponse(_lines(mirror.fetch(archives)), media_type="application/x-ndjson")

    @router.post("/reload")
    async def reload() -> Health:
        """Reads mirror.toml and its presets once more and takes them up; 400, and nothing changes, if anything in them is wrong."""
        mirror.reload()
        return Health(status="reloaded")

    return router


async def _lines(progress: AsyncIterator[Progress]) -> AsyncIterator[str]:
    async for step in progress:
        error = step.error
        facts = ProblemFacts(status=error.status, detail=error.detail, mend=error.mend) if error else None
        line = FetchProgress(url=step.url, state=step.state, received=step.received, total=step.total, error=facts)
        yield line.model_dump_json(exclude_none=True) + "\n"


async def status_of(mirror: Mirror) -> Status:
    """What /status says."""
    await mirror.usage.flush()
    totals = await mirror.store.in_worker(mirror.store.index.counters)
    fills = [
        FillStatus(
            url=fill.job.url, received=fill.received, total=fill.total, readers=fill.readers, began=fill.began, waiting=not fill.running
        )
        for fill in mirror.flights
    ]
    failures = [
        FailureStatus(at=failure.at, url=failure.url, status=failure.error.status, detail=failure.error.detail, mend=failure.error.mend)
        for failure in reversed(mirror.flights.failures)
    ]
    return Status(
        version=version("dataset-mirror"),
        uptime=time.time() - mirror.began,
        offline=mirror.settings.offline,
        archives=totals.get("archives", 0),
        archive_bytes=totals.get("archive_bytes", 0),
        fills=fills,
        failures=failures,
        upstreams=_upstreams(mirror),
        hits=totals.get("hits", 0),
        misses=totals.get("misses", 0),
        bytes_served=totals.get("served", 0),
        bytes_fetched=totals.get("fetched", 0),
        bytes_saved=max(0, totals.get("served", 0) - totals.get("fetched", 0)),
    )


def _upstreams(mirror: Mirror) -> list[UpstreamStatus]:
    return [
        UpstreamStatus(
            place=place, failures=health.failures, resting=health.resting, last_error=health.last_error, failed_at=health.failed_at
        )
        for place, health in mirror.upstream.healths.by_place.items()
    ]


def checksum_line(mirror: Mirror, archive: ArchiveId) -> str:
    """`<hex>  <name>`: of the stored bytes, else as the catalog knows it; NoSuchPage if neither does."""
    record = mirror.store.find(archive)
    expected = mirror.origins.expected(archive)
    known = record.sha256 if record else next(iter(expected.sha256 if expected else ()), None)
    if known is None:
        raise NoSuchPage(f"The SHA-256 of {archive} is not known.", "Fetch the archive first.")
    return f"{known}  {archive.name}\n"


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, MirrorError)
    status, fields, body = problem(error)
    return Response(body, status, {name.decode(): value.decode("latin-1") for name, value in fields})


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return await _problem(request, BadRequest(f"{where}: {first['msg']}.", "See /docs for what it should be."))


async def _http_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    shown = NoSuchPage(f"{request.method} {request.url.path}: {error.detail}.", "See /docs for what there is.", headers=error.headers)
    shown.status = error.status_code
    return await _problem(request, shown)
