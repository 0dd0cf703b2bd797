"""/metrics for Prometheus. Labels are origins and upstreams, never URLs; docker/prometheus/README.md has a table of all metrics."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from importlib.metadata import version
from itertools import accumulate, product
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from dataset_mirror.errors import IndexDamaged
from dataset_mirror.fetch.cause import CAUSES
from dataset_mirror.fetch.recent import BUCKETS
from dataset_mirror.fetch.redirects import place_of
from dataset_mirror.mirror import Mirror
from dataset_mirror.origins.ahead import rate_at
from dataset_mirror.status.health import health_of
from dataset_mirror.status.here import Here
from dataset_mirror.status.models import HealthStatus, PinStatus
from dataset_mirror.status.upkeep import pins_of

Labelled = Mapping[Any, float]
"""Values by their labels, each a tuple of words; one without labels is a plain number."""


router = APIRouter(tags=["status"])


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def scrape(mirror: Here) -> Response:
    """Counters, gauges and histograms in Prometheus' text format."""
    return Response(await exposition(mirror), media_type=CONTENT_TYPE_LATEST)


async def exposition(mirror: Mirror) -> bytes:
    """All metrics in Prometheus' text format."""
    health = await health_of(mirror)
    pins: list[PinStatus] = []
    with suppress(IndexDamaged):
        pins = await asyncio.to_thread(lambda: pins_of(mirror, mirror.store.index.damaged()))
    registry = CollectorRegistry()
    registry.register(Totals(mirror, health, pins, await _mirrors(mirror)))
    return generate_latest(registry)


async def _mirrors(mirror: Mirror) -> Counter[str]:
    """How many that share a store live, and how many have died or fallen silent; none, if nobody knows."""
    peers = await mirror.shared.peers() if mirror.shared else None
    return Counter("alive" if peer.is_alive else "silent" for peer in peers or ())


class Totals(Collector):
    """Reads the mirror's own totals: nothing is counted twice. Its health, pins and fellows are as they were found for this scrape."""

    def __init__(self, mirror: Mirror, health: HealthStatus, pins: Sequence[PinStatus], mirrors: Counter[str]) -> None:
        self._mirror, self._checks, self._pins, self._mirrors = mirror, health.checks, pins, mirrors

    def describe(self) -> list[Metric]:
        return []  # else the registry would collect once when it is made

    def collect(self) -> Iterator[Metric]:
        yield _gauge("info", "Version of the running program.", {(version("dataset-mirror"),): 1}, "version")
        yield _gauge("start_time_seconds", "When the mirror started, in seconds since the epoch.", self._mirror.began)
        for part in (self._requests, self._doors, self._fills, self._places, self._disk, self._health, self._shared):
            yield from part()
        with suppress(IndexDamaged):  # `check_ok` says it
            yield from self._kept()

    def _requests(self) -> Iterator[Metric]:
        traffic, recent = self._mirror.traffic, self._mirror.recent
        text = "Requests for archives by outcome: hit, miss, head, or a problem."
        yield _counter("requests", text, traffic.requests, "origin", "outcome")
        yield _counter("sent_bytes", "Bytes of archives sent to clients.", _by_one(traffic.sent), "origin")
        yield _counter("received_bytes", "Bytes of archives received from upstreams.", _by_one(traffic.received), "origin")
        first = HistogramMetricFamily(
            "dataset_mirror_first_byte_seconds",
            "Seconds until the first byte of an archive left, of hits and misses; answers from memory are not timed.",
            labels=["outcome"],
        )
        for outcome, found in recent.first_bytes.items():
            bounds = [*map(str, BUCKETS), "+Inf"]
            first.add_metric([outcome], list(zip(bounds, accumulate(found.counts), strict=True)), found.total)
        yield first
        yield _gauge("clients", "Addresses that asked for archives since the start, at most the last thousand.", len(recent.clients))

    def _doors(self) -> Iterator[Metric]:
        passages = self._mirror.traffic.passages
        yield _gauge("tunnels", "Tunnels to other hosts that are open.", passages.tunnels)
        yield _counter("tunnels_opened", "Tunnels to other hosts that were opened.", passages.tunnelled)
        yield _counter("connects_refused", "CONNECT requests that were refused.", passages.refused)
        yield _counter("relayed_requests", "Requests for other paths of origins, passed on to them.", passages.relayed)

    def _fills(self) -> Iterator[Metric]:
        traffic = self._mirror.traffic
        text = "Downloads that ended: stored, confirmed, or the problem they failed with."
        yield _counter("fills", text, traffic.fills, "origin", "result")
        origins = [origin.authority for origin in self._mirror.origins]
        causes: dict[tuple[str, ...], float] = dict.fromkeys(product(origins, CAUSES), 0.0)
        text = (
            "Downloads that ended, by why they were begun: request (a client), check (of stale bytes), ahead (pins, schedules, commands)."
        )
        yield _counter("fills_by_cause", text, causes | traffic.causes, "origin", "cause")
        under_way = list(self._mirror.flights)
        yield _gauge("fills_under_way", "Downloads under way.", sum(fill.running for fill in under_way))
        yield _gauge("fills_waiting", "Downloads that wait for a free place.", sum(not fill.running for fill in under_way))
        text = "Downloads that brought less than slow_rate, gave their places to others that waited, and go on beside."
        yield _gauge("fills_slow", text, sum(fill.slow for fill in under_way))

    def _places(self) -> Iterator[Metric]:
        known, rates = self._mirror.upstream.health.by_place, dict.fromkeys(self._configured(), 0.0)
        for fill in self._mirror.flights:
            if fill.upstream:
                rates[fill.upstream] = rates.get(fill.upstream, 0.0) + fill.pace.rate()
        places = sorted({*rates, *known})
        on_hold = {(place,): float(place in known and known[place].resting) for place in places}
        failures = {(place,): float(known[place].failures) if place in known else 0.0 for place in places}
        yield _gauge("place_on_hold", "Whether an upstream is on hold after failures: 1 or 0.", on_hold, "place")
        yield _gauge("place_failures", "Failures of an upstream in a row.", failures, "place")
        text = "Bytes per second that come from an upstream at the moment; 0 if nothing is asked of it."
        yield _gauge("place_rate_bytes", text, _by_one({place: rates.get(place, 0.0) for place in places}), "place")
        limit = rate_at(self._mirror.settings.rate_limit, datetime.now())
        yield _gauge("rate_limit_bytes", "Bytes per second that origins may be read with now (rate_limit); 0 without a limit.", limit or 0)

    def _configured(self) -> Iterator[str]:
        """Scheme and authority of each upstream that the configuration names."""
        for origin in self._mirror.origins:
            for base in self._mirror.settings.upstreams.get(origin.authority, (origin.url,)):
                yield place_of(base.replace("{host}", origin.authority))

    def _disk(self) -> Iterator[Metric]:
        store = self._mirror.store
        yield _gauge("disk_free_bytes", "Bytes that the data folder's disk has free.", store.space.free)
        yield _gauge("disk_min_free_bytes", "Bytes of them that are to stay free (min_free).", store.space.min_free)
        limit = store.space.max_size
        text = "Bytes that all archives may take together (max_size); +Inf without a limit."
        yield _gauge("store_limit_bytes", text, float("inf") if limit is None else limit)

    def _kept(self) -> Iterator[Metric]:
        """What the index says."""
        index = self._mirror.store.index
        yield _gauge("archives", "Archives that are kept.", index.total("archives"))
        yield _gauge("store_bytes", "Bytes of all blobs.", self._mirror.store.space.kept)
        yield _gauge("damaged_archives", "Archives that were found to be damaged, and have not come again.", index.number_damaged())
        yield _gauge("wanted_archives", "Archives that were asked for and could not be fetched.", index.number_wanted())
        yield _gauge("pins", "Names that are pinned.", len(self._pins))
        missing = sum(pin.archives - pin.present for pin in self._pins)
        yield _gauge("pinned_missing_archives", "Archives that are pinned, and not there.", missing)

    def _health(self) -> Iterator[Metric]:
        checks = {(check.name,): float(check.ok) for check in self._checks}
        yield _gauge("check_ok", "Whether a check of the mirror's health is well: 1 or 0.", checks, "check")
        told = self._mirror.traffic.notifications
        results = {"sent": told["sent"], "failed": told["failed"]}
        yield _counter("notifications", "Notifications, by whether they were taken: sent or failed.", _by_one(results), "result")

    def _shared(self) -> Iterator[Metric]:
        """Of several mirrors that share a store; nothing for one alone."""
        shared = self._mirror.shared
        if shared is None:
            return
        told, feed = shared.replicator, shared.feed
        yield _gauge("shared_joined", "Whether the shared database answers: 1 or 0.", float(shared.life.is_joined))
        yield _gauge("shared_leases", "Archives that this mirror fetches for all, or has fetched and not told of yet.", len(shared.tokens))
        yield _gauge("shared_outbox", "Publications and removals that the others are still to be told of.", told.waiting)
        yield _gauge("shared_behind", "Changes of the others that are still to be read.", max(0, feed.newest - feed.seen))
        mirrors = {(state,): self._mirrors[state] for state in ("alive", "silent")}
        yield _gauge("shared_mirrors", "Mirrors of late, as this one sees them: alive, or silent without having left.", mirrors, "state")
        yield _counter("shared_takeovers", "Leases that were taken over from mirrors that had died.", shared.taken_over)
        yield _counter("shared_uploaded_bytes", "Bytes of archives that went to the bucket.", told.uploaded)
        yield _counter("shared_failures", "Attempts to tell the others of something that failed.", told.failed)
        text = "Bytes of archives that came from other mirrors and from the bucket."
        yield _counter("shared_received_bytes", text, self._mirror.traffic.inside)


def _by_one(values: Mapping[str, float]) -> Labelled:
    return {(label,): value for label, value in values.items()}


def _gauge(name: str, text: str, values: "float | Labelled", *labels: str) -> Metric:
    return _filled(GaugeMetricFamily, name, text, values, labels)


def _counter(name: str, text: str, values: "float | Labelled", *labels: str) -> Metric:
    return _filled(CounterMetricFamily, name, text, values, labels)


def _filled(kind: "Callable[..., Metric]", name: str, text: str, values: "float | Labelled", labels: Iterable[str]) -> Metric:
    family = kind(f"dataset_mirror_{name}", text, labels=list(labels))
    for each, value in list(values.items()) if isinstance(values, Mapping) else [((), values)]:
        family.add_metric(list(each), value)  # type: ignore[attr-defined]
    return family
