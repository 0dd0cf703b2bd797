"""Traffic over time, from the history and what it lacks yet."""

import time

from dataset_mirror.errors import BadRequest
from dataset_mirror.mirror import Mirror
from dataset_mirror.status import figures
from dataset_mirror.status.figures import Point, Span, TrafficStatus
from dataset_mirror.store import history
from dataset_mirror.store.history import DAY, HOUR, MINUTE, Counts, Of

_SHOWN: dict[Span, tuple[int, int, int]] = {
    "hour": (MINUTE, MINUTE, 60),
    "day": (MINUTE, 15 * MINUTE, 96),
    "month": (HOUR, 6 * HOUR, 120),
    "year": (DAY, DAY, 365),
}
"""Seconds of the steps that are kept, of those that are shown, and how many are."""


def counts_of(counts: Counts) -> figures.Counts:
    """As it is told."""
    return figures.Counts(**told(counts))


def told(counts: Counts) -> dict[str, int]:
    """The fields of `figures.Counts`."""
    return {name: getattr(counts, name) for name in figures.Counts.model_fields}


def hit_ratio(total: Counts) -> float | None:
    """The part of what was served that did not have to be fetched for it; None if nothing was served."""
    return total.saved / total.served if total.served else None


def one_of(origin: str | None, dataset: str | None, client: str | None) -> tuple[Of, str]:
    """What the history is asked for; BadRequest if that is several."""
    given: list[tuple[Of, str]] = [(of, name) for of, name in _named(origin, dataset, client) if name is not None]
    if len(given) > 1:
        raise BadRequest("History is kept by origin, by dataset and by client, not by several of them.", "Give one of them.")
    return given[0] if given else ("all", "")


def _named(origin: str | None, dataset: str | None, client: str | None) -> list[tuple[Of, str | None]]:
    return [("origin", origin), ("dataset", dataset), ("client", client)]


async def traffic_of(
    mirror: Mirror, span: Span, *, origin: str | None = None, dataset: str | None = None, client: str | None = None
) -> TrafficStatus:
    """What was asked for in the last hour, day, month (30 days) or year: all of it, or of one origin, dataset or network."""
    of, name = one_of(origin, dataset, client)
    kept, step, number = _SHOWN[span]
    now = time.time()
    first = int(now) // step * step - (number - 1) * step
    store = mirror.store
    known = await store.in_worker(lambda: store.index.look(lambda connection: history.over_time(connection, of, name, first, kept)))
    points = [Counts() for _ in range(number)]
    for at, counts in known.items():
        if first <= at:
            points[min((at - first) // step, number - 1)].add(counts)
    points[-1].add(mirror.usage.unwritten(of, name))
    total = Counts()
    for counts in points:
        total.add(counts)
    return TrafficStatus(
        span=span,
        of=name,
        since=first,
        until=now,
        step=step,
        points=[Point(at=first + place * step, **told(counts)) for place, counts in enumerate(points)],
        total=counts_of(total),
        hit_ratio=hit_ratio(total),
    )
