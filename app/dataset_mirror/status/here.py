"""What the routes are about: FastAPI hands each the parts of the mirror that it asks for by these types."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from dataset_mirror.doors.ca import CertificateAuthority
from dataset_mirror.errors import Forbidden
from dataset_mirror.mirror import Mirror
from dataset_mirror.origins.routing import OwnPaths
from dataset_mirror.serve.access import check_may_change
from dataset_mirror.serve.asgi import Request as Asked
from dataset_mirror.status.events import Events


@dataclass(frozen=True, slots=True)
class Site:
    """What an app of pages stands for, as its `state.site`; `key` is that of the data folder."""

    mirror: Mirror
    ca: CertificateAuthority
    key: str
    events: Events


def site_of(request: Request) -> Site:
    """The site that this request is for."""
    site: Site = request.app.state.site
    return site


def changed_by(request: Request) -> str:
    """Who it is that may change the mirror, for the log of changes; Forbidden for anybody else."""
    site = site_of(request)
    return check_may_change(Asked.of(request.scope), site.key, site.mirror.settings)


# Coroutines, all of them: what is none would be called in a thread.


async def _mirror(request: Request) -> Mirror:
    return site_of(request).mirror


async def _authority(request: Request) -> CertificateAuthority:
    return site_of(request).ca


async def _own(request: Request) -> OwnPaths:
    own: OwnPaths = request.app.state.own
    return own


async def _events(request: Request) -> Events:
    return site_of(request).events


async def _may_change(request: Request) -> bool:
    try:
        changed_by(request)
    except Forbidden:
        return False
    return True


Here = Annotated[Mirror, Depends(_mirror)]
Authority = Annotated[CertificateAuthority, Depends(_authority)]
Own = Annotated[OwnPaths, Depends(_own)]
Happening = Annotated[Events, Depends(_events)]
MayChange = Annotated[bool, Depends(_may_change)]
