"""Pages for people: rendered here, live by `/status/events`, whole without JavaScript. One module a page."""

from fastapi import APIRouter

from dataset_mirror.mirror import Mirror
from dataset_mirror.status.pages import act, activity, archives, datasets, guide, mirrors, origins, overview, wanted

__all__ = ["acting", "front", "yielding"]


def front(mirror: Mirror) -> APIRouter:
    """`/`."""
    return overview.router(mirror)


def yielding(mirror: Mirror) -> list[APIRouter]:
    """The pages whose paths are left to an origin that has them."""
    known = (datasets, archives, activity, origins, mirrors, wanted, guide)
    return [page.router(mirror) for page in known]


def acting(mirror: Mirror) -> APIRouter:
    """`/status/act`: what changes the mirror, asked for and done by forms."""
    return act.router(mirror)
