"""Pages and API as a FastAPI app. Their routes are those of the modules here; an app says which mirror they are about."""

from collections.abc import Iterator
from importlib.metadata import version

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute
from starlette.types import Lifespan

from dataset_mirror.errors import BadRequest, MirrorError, NoSuchPage
from dataset_mirror.mirror import Mirror
from dataset_mirror.origins.routing import OwnPaths
from dataset_mirror.serve.head import problem
from dataset_mirror.status import actions, activity, api, assets, docs, keras_home, metrics, routes, setup, trust
from dataset_mirror.status.failing import Failing
from dataset_mirror.status.here import Site
from dataset_mirror.status.openapi import describe
from dataset_mirror.status.own import ALWAYS, own_paths
from dataset_mirror.status.pages import act, archives, datasets, guide, mirrors, origins, overview, wanted
from dataset_mirror.status.pages import activity as busy

_MODULES = (overview, act, docs, assets, keras_home, routes, activity, trust, setup, metrics, api, actions)
_YIELDING = (datasets, archives, busy, origins, wanted, guide)
"""Pages whose paths are left to an origin that has them."""


def pages(site: Site, lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
    """The app behind the gateway; `lifespan` starts and stops the mirror."""
    summary = "Dataset archives, fetched once, verified, kept."
    app = FastAPI(
        title="dataset-mirror", version=version("dataset-mirror"), summary=summary, lifespan=lifespan, docs_url=None, redoc_url=None
    )
    app.state.site, app.state.own = site, own(site.mirror)
    for router in _routers():
        app.include_router(router)
    for router in _yielding(site.mirror):
        app.include_router(router)
        app.include_router(router, prefix=ALWAYS)
    describe(app)
    app.add_exception_handler(MirrorError, _problem)
    app.add_middleware(Failing)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_problem)
    return app


def own(mirror: Mirror) -> OwnPaths:
    """The paths that the routing of requests leaves to the app."""
    always: list[BaseRoute] = [*FastAPI(docs_url=None, redoc_url=None).routes, *(route for router in _routers() for route in router.routes)]
    return own_paths(always, [route for router in _yielding(mirror) for route in router.routes])


def _routers() -> Iterator[APIRouter]:
    yield from (module.router for module in _MODULES)
    yield api.rest


def _yielding(mirror: Mirror) -> list[APIRouter]:
    return [page.router for page in (*_YIELDING, *([mirrors] if mirror.shared else []))]


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, MirrorError)
    status, fields, body = problem(error, request.headers.get("accept", ""))
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
