"""The files that pages load. They ship in the package, and their names say which bytes they are, so that browsers may keep them."""

import hashlib
import mimetypes
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request
from fastapi.responses import Response

from dataset_mirror.errors import NoSuchPage
from dataset_mirror.rules.conditions import Validators, select
from dataset_mirror.status.packing import gzipped, packed

FOR_EVER = "public, max-age=31536000, immutable"
ONE_DAY = "public, max-age=86400"

_VERSION = re.compile(r"-\d+\.\d+\.\d+(?=\.)")


@dataclass(frozen=True, slots=True)
class Asset:
    """One file: the name in its URL, its bytes and what they are."""

    name: str
    content: bytes
    media_type: str
    etag: str

    @property
    def path(self) -> str:
        return f"/static/{self.name}"


@cache
def assets() -> dict[str, Asset]:
    """All of them, by plain name: `page.css`, and `swagger-ui.css` for `swagger-ui-5.0.0.css`."""
    folder = files("dataset_mirror.status") / "static"
    return {_VERSION.sub("", file.name): _asset(file.name, file.read_bytes()) for file in folder.iterdir()}


def asset_path(plain_name: str) -> str:
    """The path at which an asset is served; KeyError if there is none."""
    return assets()[plain_name].path


def _asset(name: str, content: bytes) -> Asset:
    digest = hashlib.sha256(content).hexdigest()
    media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    if not _VERSION.search(name):  # a file of ours: its digest is its version
        stem, dot, suffix = name.partition(".")
        name = f"{stem}-{digest[:12]}{dot}{suffix}"
    return Asset(name, content, media_type, f'W/"{digest[:32]}"')  # weak: gzipped it is the same


_gzipped_once = cache(gzipped)
"""There are few of them, and they stay the same."""


router = APIRouter(include_in_schema=False)


@router.api_route("/static/{name}", methods=["GET", "HEAD"])
async def static(name: str, request: Request) -> Response:
    found = next((asset for asset in assets().values() if asset.name == name), None)
    if found is None:
        raise NoSuchPage(f"There is no file /static/{name}.", "Reload the page: its files have the version in their names.")
    return await packed(request, _answer(found, request, FOR_EVER), _gzipped_once)


@router.api_route("/favicon.ico", methods=["GET", "HEAD"])
async def favicon(request: Request) -> Response:
    return await packed(request, _answer(assets()["favicon-ok.svg"], request, ONE_DAY), _gzipped_once)


def _answer(asset: Asset, request: Request, cache_control: str) -> Response:
    """The whole or 304; a Range is ignored, as RFC 9110 14.2 allows."""
    fields = {"Cache-Control": cache_control, "ETag": asset.etag, "X-Content-Type-Options": "nosniff"}
    asked = {name: value for name, value in request.headers.items() if name != "range"}
    status = select(asked, Validators(asset.etag), len(asset.content)).status
    return Response(asset.content if status == 200 else b"", status, fields, asset.media_type if status == 200 else None)
