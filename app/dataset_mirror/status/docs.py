"""`/docs`: the API for people, by the Swagger UI that ships in the package; nothing is loaded from elsewhere."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from dataset_mirror.status.html import DOCS_POLICY, page

router = APIRouter(include_in_schema=False)


@router.api_route("/docs", methods=["GET", "HEAD"])
async def docs() -> HTMLResponse:
    return page("docs.html", DOCS_POLICY, {"Cache-Control": "no-cache"})
