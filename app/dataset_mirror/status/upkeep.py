"""What the mirror does by itself, and for whom it worked lately: pins, schedules, clients, requests."""

import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from dataset_mirror.fetch.recent import Asked
from dataset_mirror.mirror import Mirror
from dataset_mirror.origins.ahead import Keep, rate_at
from dataset_mirror.status.live import told
from dataset_mirror.status.models import KeepStatus, LogLine, PinStatus
from dataset_mirror.store.damaged import Damaged
from dataset_mirror.upkeep.pinned import Meant, meant


def upkeep_of(mirror: Mirror) -> dict[str, object]:
    """The fields of `Status` about pins, schedules and the rate limit. Blocks."""
    store = mirror.store
    lost = store.index.damaged() if len(store.pins) or mirror.settings.keep else []
    return {
        "pins": pins_of(mirror, lost),
        "keep": [_keep(mirror, keep, lost) for keep in mirror.settings.keep],
        "rate_limit": rate_at(mirror.settings.rate_limit, datetime.now()),
    }


def pins_of(mirror: Mirror, lost: Iterable[Damaged]) -> list[PinStatus]:
    """What is pinned, and how much of it is there. Blocks."""
    found = []
    for pin in mirror.store.pins:
        what = _meant(mirror, pin.name, lost)
        found.append(
            PinStatus(
                name=pin.name,
                pinned=pin.at,
                archives=len(what.there) + len(what.missing),
                present=len(what.there),
                damaged=what.damaged,
                size=sum(record.size for record in what.there),
            )
        )
    return found


def _meant(mirror: Mirror, name: str, lost: Iterable[Damaged]) -> Meant:
    """With what only the bucket has, as far as that is known."""
    what = meant(mirror.store, mirror.origins, name, lost)
    known = {*what.missing, *(record.archive for record in what.there)}
    return replace(what, missing=(*what.missing, *(archive for archive in mirror.elsewhere.get(name, ()) if archive not in known)))


def _keep(mirror: Mirror, keep: Keep, lost: Iterable[Damaged]) -> KeepStatus:
    now = datetime.now()
    every: list[Meant] = [_meant(mirror, name, lost) for name in keep.name]
    there = {record.archive for one in every for record in one.there}
    return KeepStatus(
        name=list(keep.name),
        at=keep.at,
        active=keep.hours.has(now),
        next=keep.hours.begins(now).timestamp(),
        archives=len(there | {archive for one in every for archive in one.missing}),
        present=len(there),
        rate_limit=keep.rate_limit,
    )


def log_of(mirror: Mirror, since: float, limit: int) -> list[LogLine]:
    """The latest requests of the last `since` seconds, the oldest first."""
    first = time.time() - since
    return [_line(mirror, one) for one in list(mirror.recent.requests)[-limit:] if one.at >= first]


def _line(mirror: Mirror, one: Asked) -> LogLine:
    return LogLine(
        at=one.at,
        id=one.id,
        client=told(mirror, one.client, whole=True),
        method=one.method,
        target=one.target,
        archive=one.archive,
        status=one.status,
        outcome=one.outcome,
        size=one.size,
        first_byte=one.first_byte,
        seconds=one.seconds,
        why=one.why,
        complete=one.is_whole,
    )
