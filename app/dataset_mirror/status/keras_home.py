"""`/keras-home.tar`: what the mirror has, as Keras keeps it on its disk. `curl -fsS URL/keras-home.tar | tar -x -C ~/.keras`."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse

from dataset_mirror.airgap.files.keras_home import KerasHome, plan
from dataset_mirror.airgap.files.keras_tar import length, stream
from dataset_mirror.mirror import Mirror
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.serve.access import check_may_read
from dataset_mirror.serve.asgi import Request as Asked
from dataset_mirror.status.here import Here
from dataset_mirror.store.record import Record

TAR = "application/x-tar"
Only = Annotated[
    list[str],
    Query(description="names of the catalog, with or without `keras/`, or globs; several with commas", examples=["mnist,cifar10"]),
]


router = APIRouter(tags=["Keras"])


@router.get("/keras-home.tar", response_class=StreamingResponse, responses={200: {"content": {TAR: {}}}})
async def tar(mirror: Here, request: Request, only: Only = []) -> Response:  # noqa: B006
    """A tree for KERAS_HOME as a tar archive: all that is stored, or `only` some. 404 if anything of that is missing."""
    home, private = await _planned(mirror, request, only)
    files = home.whole().files
    fields = {
        "content-length": str(length(files)),
        "cache-control": "private, no-store" if private else "no-store",
        "content-disposition": 'attachment; filename="keras-home.tar"',
    }
    if request.method == "HEAD":
        return Response(headers=fields, media_type=TAR)
    return StreamingResponse(stream(mirror, files), media_type=TAR, headers=fields)


@router.head("/keras-home.tar", include_in_schema=False)
async def head(mirror: Here, request: Request, only: Only = []) -> Response:  # noqa: B006
    return await tar(mirror, request, only)


@router.get("/status/keras-home")
async def files(mirror: Here, request: Request, response: Response, only: Only = []) -> KerasHome:  # noqa: B006
    """The files of that tree, with their digests, and what is missing of what was named."""
    home, private = await _planned(mirror, request, only)
    response.headers["cache-control"] = "private, no-store" if private else "no-store"
    return home


async def _planned(mirror: Mirror, request: Request, only: Sequence[str]) -> tuple[KerasHome, bool]:
    """The tree that this client may have, and whether not everybody may."""
    asked = Asked.of(request.scope)
    names = [name for some in only for name in some.split(",") if name]
    restricted = set()

    def admit(archive: ArchiveId, record: Record | None) -> None:
        if check_may_read(asked, mirror.origins.of(archive), mirror.settings, private=record is not None and record.private):
            restricted.add(archive)

    home = await mirror.store.in_worker(lambda: plan(mirror.store, mirror.origins, names, admit))
    return home, bool(restricted)
