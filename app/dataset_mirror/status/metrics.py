"""/metrics for Prometheus. Labels are origins, never URLs."""

from collections.abc import Iterator
from importlib.metadata import version

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dataset_mirror.mirror import Mirror
from dataset_mirror.status.health import health_of
from dataset_mirror.status.models import HealthStatus


def metrics(mirror: Mirror) -> APIRouter:
    """The route /metrics."""
    router = APIRouter(tags=["status"])
    registry = CollectorRegistry()
    collector = _Mirror(mirror)
    registry.register(collector)

    @router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def scrape() -> Response:
        """Counters and gauges in Prometheus' text format."""
        collector.health = await health_of(mirror)
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router


class _Mirror(Collector):
    """Reads the mirror's own totals when it is asked: nothing is counted twice."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self.health: HealthStatus | None = None
        """As it was found for this scrape."""

    def describe(self) -> list[Metric]:
        return []  # else the registry would collect once when it is made

    def collect(self) -> Iterator[Metric]:
        yield _gauge("info", "Version of the running program.", 1, version=version("dataset-mirror"))
        yield from self._traffic()
        yield from self._fills()
        yield from self._store()
        yield from self._health()

    def _health(self) -> Iterator[Metric]:
        checks = GaugeMetricFamily("dataset_mirror_check_ok", "Whether a check of the mirror's health is well: 1 or 0.", labels=["check"])
        for check in self.health.checks if self.health else ():
            checks.add_metric([check.name], check.ok)
        yield checks
        yield _gauge(
            "damaged_archives",
            "Archives that were found to be damaged, and have not come again.",
            self._mirror.store.index.number_damaged(),
        )

    def _traffic(self) -> Iterator[Metric]:
        traffic = self._mirror.traffic
        requests = CounterMetricFamily(
            "dataset_mirror_requests", "Requests for archives by outcome: hit, miss, head, or a problem.", labels=["origin", "outcome"]
        )
        for (origin, outcome), count in list(traffic.requests.items()):
            requests.add_metric([origin, outcome], count)
        yield requests
        for name, text, totals in (
            ("sent_bytes", "Bytes of archives sent to clients.", traffic.sent),
            ("received_bytes", "Bytes of archives received from upstreams.", traffic.received),
        ):
            family = CounterMetricFamily(f"dataset_mirror_{name}", text, labels=["origin"])
            for origin, size in list(totals.items()):
                family.add_metric([origin], size)
            yield family

    def _fills(self) -> Iterator[Metric]:
        fills = CounterMetricFamily(
            "dataset_mirror_fills", "Downloads that ended: stored, confirmed, or the problem they failed with.", labels=["origin", "result"]
        )
        for (origin, result), count in list(self._mirror.traffic.fills.items()):
            fills.add_metric([origin, result], count)
        yield fills
        under_way = list(self._mirror.flights)
        yield _gauge("fills_under_way", "Downloads under way.", sum(fill.running for fill in under_way))
        yield _gauge("fills_waiting", "Downloads that wait for a free place.", sum(not fill.running for fill in under_way))

    def _store(self) -> Iterator[Metric]:
        store = self._mirror.store
        yield _gauge("archives", "Archives that are kept.", store.index.total("archives"))
        yield _gauge("store_bytes", "Bytes of all blobs.", store.space.kept)
        yield _gauge("disk_free_bytes", "Bytes that the data folder's disk has free.", store.space.free)
        if store.space.max_size is not None:
            yield _gauge("store_limit_bytes", "Bytes that all archives may take together (max_size).", store.space.max_size)


def _gauge(name: str, text: str, value: float, **labels: str) -> Metric:
    family = GaugeMetricFamily(f"dataset_mirror_{name}", text, labels=list(labels))
    family.add_metric(list(labels.values()), value)
    return family
