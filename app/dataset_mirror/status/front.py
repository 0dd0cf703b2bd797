"""The page at `/`: what is here, what is under way, what failed, and how a client is pointed here. No JavaScript."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from dataset_mirror.errors import BadRequest, IndexDamaged
from dataset_mirror.mirror import Mirror
from dataset_mirror.origins.model import CatalogEntry
from dataset_mirror.origins.table import Origins
from dataset_mirror.rules.environment import proxy_address
from dataset_mirror.rules.host import own_address
from dataset_mirror.status.html import PAGE_POLICY, page
from dataset_mirror.status.models import ArchiveSummary, Check, Status, UpstreamStatus, WantedArchive
from dataset_mirror.status.views import archives_of, status_of, wanted_of
from dataset_mirror.status.wording import count, size
from dataset_mirror.store import listing

FILLS_SHOWN, FAILURES_SHOWN, WANTED_SHOWN, ARCHIVES_SHOWN = 20, 5, 10, 50
EXAMPLE = "keras/boston_housing"
"""Small, with a digest, and in the preset that is on by default."""
LINKS = (
    ("/docs", "API"),
    ("/status", "Status as JSON"),
    ("/status/archives", "All archives"),
    ("/status/wanted", "Wanted"),
    ("/status/catalog", "Catalog"),
    ("/metrics", "Metrics"),
    ("/healthz", "Health"),
)


@dataclass(frozen=True, slots=True)
class Front:
    """All that the page shows. `now` is in seconds since the epoch, `refresh` in seconds or None."""

    address: str
    status: Status
    archives: Sequence[ArchiveSummary]
    example: CatalogEntry | None
    now: float
    refresh: int | None = None
    wanted: Sequence[WantedArchive] = ()
    """What was asked for in vain last; `status` knows how many there are in all."""

    @property
    def state(self) -> str:
        """The mirror in one line; what is wrong comes first."""
        kept, fills = self.status.archives, len(self.status.fills)
        there = f"{count(kept, 'archive')}, {size(self.status.archive_bytes)}" if kept else "Nothing kept yet"
        under_way = f"{count(fills, 'download')} under way" if fills else "nothing under way"
        troubles = f"{count(len(self.troubles), 'problem')} · " if self.troubles else ""
        return f"{troubles}{there} · {under_way} · {'offline' if self.status.offline else 'online'}"

    @property
    def troubles(self) -> list[Check]:
        """Checks that fail."""
        return [check for check in self.status.health.checks if not check.ok]

    @property
    def proxy(self) -> str:
        """The address at which the mirror can be a proxy; nothing if `public_url` leads to a path."""
        try:
            return proxy_address(self.address)
        except BadRequest:
            return ""

    @property
    def resting(self) -> list[UpstreamStatus]:
        return [upstream for upstream in self.status.upstreams if upstream.resting]

    @property
    def room(self) -> int:
        """Bytes that may still be kept: what the disk and `max_size` leave, without what is promised to downloads."""
        store = self.status.store
        left = [store.free - store.min_free - store.promised]
        if store.max_size is not None:
            left.append(store.max_size - store.blob_bytes - store.promised)
        return max(0, min(left))

    def answer(self) -> HTMLResponse:
        """The page; never kept by caches, since it names the address that it was asked at."""
        return page(
            "front.html",
            PAGE_POLICY,
            {"Cache-Control": "no-store", "Vary": "Host"},
            address=self.address,
            at=f"{self.address}/{self.example.archive}" if self.example else "",
            proxy=self.proxy,
            setup=f"{self.address}/setup.sh",
            home=f"{self.address}/keras-home.tar?only=mnist,cifar10",
            for_keras=self.example is not None and bool(self.example.keras_home),
            status=self.status,
            state=self.state,
            troubles=self.troubles,
            room=self.room,
            fills=sorted(self.status.fills, key=lambda fill: fill.waiting)[:FILLS_SHOWN],
            failures=self.status.failures[:FAILURES_SHOWN],
            resting=self.resting,
            wanted=self.wanted,
            archives=self.archives,
            more=self.status.archives > len(self.archives),
            example=self.example,
            links=LINKS,
            now=self.now,
            refresh=self.refresh,
        )


def router(mirror: Mirror) -> APIRouter:
    """`/`."""
    routes = APIRouter(tags=["status"])

    @routes.get("/", response_class=HTMLResponse)
    async def front(
        request: Request, refresh: Annotated[int | None, Query(ge=2, le=3600, description="seconds after which the page refreshes")] = None
    ) -> HTMLResponse:
        """The mirror in one page, for people."""
        address = own_address(mirror.settings.public_url, request.url.scheme, request.headers.getlist("host"))
        kept, wanted = await _lists(mirror)
        status, example = await status_of(mirror), example_of(mirror.origins)
        return Front(address, status, kept, example, time.time(), refresh, wanted).answer()

    @routes.head("/", include_in_schema=False)
    async def head(request: Request) -> HTMLResponse:
        return await front(request)

    return routes


async def _lists(mirror: Mirror) -> tuple[Sequence[ArchiveSummary], Sequence[WantedArchive]]:
    """What was used and what was asked for in vain last; nothing, if the index cannot be read: the page says so."""
    try:
        kept = await archives_of(mirror, listing.Query("used", descending=True, limit=ARCHIVES_SHOWN))
        return kept.archives, (await wanted_of(mirror, WANTED_SHOWN)).wanted
    except IndexDamaged:
        return (), ()


def example_of(origins: Origins) -> CatalogEntry | None:
    """The archive of the commands that people copy: a small one of Keras, else the catalog's first."""
    return next(iter(origins.named(EXAMPLE)), None) or next(iter(origins.catalog), None)
