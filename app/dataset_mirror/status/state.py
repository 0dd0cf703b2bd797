"""How the mirror is: all in one look, downloads under way, failures."""

import asyncio
import time
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from dataset_mirror.errors import IndexDamaged
from dataset_mirror.fetch.fill import Fill
from dataset_mirror.fetch.flights import Failure
from dataset_mirror.mirror import Mirror
from dataset_mirror.rules.secrets import without_secrets
from dataset_mirror.status.health import health_of
from dataset_mirror.status.models import DoorsStatus, FailureStatus, FillStatus, Status, StoreStatus, UpstreamStatus
from dataset_mirror.status.shared import shared_of
from dataset_mirror.status.upkeep import upkeep_of
from dataset_mirror.store.folder import file_system
from dataset_mirror.store.store import Store


async def status_of(mirror: Mirror) -> Status:
    """The mirror in one look. What is pinned may be many archives: who waits for the store's worker does not wait for that."""
    upkeep = await asyncio.to_thread(_upkeep, mirror)
    return (await state_of(mirror)).model_copy(update=upkeep)


async def state_of(mirror: Mirror) -> Status:
    """The same without pins and schedules; it costs the same however many archives there are."""
    health = await health_of(mirror)
    totals, number_wanted, troubles = await mirror.store.in_worker(lambda: _known(mirror.store))
    totals |= {name: totals.get(name, 0) + more for name, more in mirror.usage.pending.items()}
    return Status(
        version=version("dataset-mirror"),
        uptime=max(0.0, time.time() - mirror.began),
        offline=mirror.settings.offline,
        health=health,
        damaged=totals.pop("damaged", 0),
        archives=totals.get("archives", 0),
        archive_bytes=totals.get("archive_bytes", 0),
        wanted=number_wanted,
        store=_store(mirror, troubles),
        fills=fills_of(mirror),
        failures=failures_of(mirror),
        upstreams=_upstreams(mirror),
        doors=DoorsStatus(**asdict(mirror.traffic.passages)),
        shared=await shared_of(mirror),
        hits=totals["hits"],
        misses=totals["misses"],
        bytes_served=totals["served"],
        bytes_fetched=totals["fetched"],
        bytes_saved=max(0, totals["served"] - totals["fetched"]),
    )


def _known(store: Store) -> tuple[dict[str, int], int, list[str]]:
    """Totals, the length of the wanted list, and what is wrong: of a damaged index, as much as can be read."""
    totals, number = {}, 0
    with suppress(IndexDamaged):
        totals = store.index.counters()
        number = store.index.number_wanted()
        totals["damaged"] = store.index.number_damaged()
    return totals, number, store.troubles


def _upkeep(mirror: Mirror) -> dict[str, Any]:
    """Of a damaged index nothing can be told."""
    with suppress(IndexDamaged):
        return upkeep_of(mirror)
    return {}


def _store(mirror: Mirror, troubles: list[str]) -> StoreStatus:
    space, root = mirror.store.space, mirror.store.folder.root
    kept = 0
    with suppress(IndexDamaged):
        kept = space.kept
    return StoreStatus(
        path=str(root),
        file_system=file_system(root),
        blob_bytes=kept,
        promised=space.promised,
        free=space.free,
        min_free=space.min_free,
        max_size=space.max_size,
        troubles=troubles,
    )


def fills_of(mirror: Mirror) -> list[FillStatus]:
    """The downloads under way."""
    return [_fill(fill) for fill in mirror.flights]


def _fill(fill: Fill) -> FillStatus:
    rate = fill.pace.rate()
    left = fill.total - fill.received if fill.total is not None else None
    return FillStatus(
        url=fill.job.url,
        received=fill.received,
        total=fill.total,
        rate=rate,
        eta=left / rate if left is not None and rate > 0 else None,
        readers=fill.readers,
        connections=fill.connections,
        began=fill.began,
        waiting=not fill.running,
        slow=fill.slow,
    )


def failures_of(mirror: Mirror, since: float = 0.0) -> list[FailureStatus]:
    """The latest downloads that failed since then, the latest first."""
    return [failure_of(failure) for failure in reversed(mirror.flights.failures) if failure.at >= since]


def failure_of(failure: Failure) -> FailureStatus:
    error = failure.error
    return FailureStatus(
        at=failure.at, url=failure.url, status=error.status, detail=without_secrets(error.detail), hint=without_secrets(error.hint)
    )


def _upstreams(mirror: Mirror) -> list[UpstreamStatus]:
    return [
        UpstreamStatus(
            place=place,
            failures=health.failures,
            resting=health.resting,
            last_error=health.last_error and without_secrets(health.last_error),
            failed_at=health.failed_at,
        )
        for place, health in mirror.upstream.health.by_place.items()
    ]
