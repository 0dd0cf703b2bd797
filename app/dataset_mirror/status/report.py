"""What the mirror did in some time, for people who did not look."""

import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from dataset_mirror.errors import IndexDamaged, StoreFull
from dataset_mirror.mirror import Mirror
from dataset_mirror.status.figures import Held, ReportRow, ReportStatus, Unused
from dataset_mirror.status.state import failures_of
from dataset_mirror.status.summary import summary_of
from dataset_mirror.status.traffic import counts_of, hit_ratio, told
from dataset_mirror.store import history
from dataset_mirror.store.history import Counts, Of
from dataset_mirror.store.listing import Listed
from dataset_mirror.upkeep.pinned import meant

MOST_UNUSED = 100
_MOST_ROWS = 100


async def report_of(mirror: Mirror, since: float) -> ReportStatus:
    """What was asked for since then (seconds since the epoch), what failed, and what nobody asked for; up to this moment."""
    with suppress(StoreFull, IndexDamaged):  # then it lacks what could not be written
        await mirror.flush()
    return await mirror.store.in_worker(partial(report, mirror, since))


def report(mirror: Mirror, since: float) -> ReportStatus:
    """As `report_of`. Blocks."""
    store, now = mirror.store, time.time()
    total = _by_name(mirror, "all", since, now).get("", Counts())
    rate = origin_rate(total) or origin_rate(_by_name(mirror, "all", 0.0, now).get("", Counts()))
    totals = store.index.counters()
    return ReportStatus(
        since=since,
        until=now,
        total=counts_of(total),
        hit_ratio=hit_ratio(total),
        origin_rate=rate,
        hours_saved=total.saved / rate / 3600 if rate else None,
        datasets=_rows(mirror, "dataset", since, now),
        origins=_rows(mirror, "origin", since, now),
        clients=_rows(mirror, "client", since, now),
        failures=failures_of(mirror, since),
        unused=_unused(mirror, since),
        stored=Held(number=totals.get("archives", 0), size=totals.get("blob_bytes", 0)),
    )


def origin_rate(counts: Counts) -> float | None:
    """Bytes per second of an average download; None if there was none."""
    return counts.fetched / counts.seconds if counts.fetched and counts.seconds else None


def _by_name(mirror: Mirror, of: Of, since: float, now: float) -> dict[str, Counts]:
    return mirror.store.index.look(lambda connection: history.by_name(connection, of, since, now))


def _rows(mirror: Mirror, of: Of, since: float, now: float) -> list[ReportRow]:
    known = sorted(_by_name(mirror, of, since, now).items(), key=lambda each: (-each[1].served, each[0]))
    return [ReportRow(name=name, **told(counts)) for name, counts in known[:_MOST_ROWS]]


def _unused(mirror: Mirror, since: float) -> Unused:
    """Without what is pinned: that stays, whoever uses it."""
    if mirror.store.pins.is_damaged:
        return Unused(number=0, size=0, archives=[])
    pinned = {line.record.archive: line.record.size for line in _pinned(mirror) if line.used < since}
    held, lines = mirror.store.index.unused(since, MOST_UNUSED + len(pinned))
    shown = [summary_of(mirror.origins, line) for line in lines if line.record.archive not in pinned]
    return Unused(number=held.archives - len(pinned), size=held.size - sum(pinned.values()), archives=shown[:MOST_UNUSED])


def _pinned(mirror: Mirror) -> Iterator[Listed]:
    store = mirror.store
    for pin in store.pins:
        yield from (line for one in meant(store, mirror.origins, pin.name).there if (line := store.index.listed(one.archive)))
