"""`/origins`: how each upstream does, what each origin has here, and the rules, presets, pins and schedules in force."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from dataset_mirror.errors import UsageError
from dataset_mirror.fetch.health import Health
from dataset_mirror.mirror import Mirror
from dataset_mirror.origins.model import Origin
from dataset_mirror.origins.presets import read_preset
from dataset_mirror.origins.rules import Rule
from dataset_mirror.status.figures import UsageRow
from dataset_mirror.status.here import Here
from dataset_mirror.status.pages.frame import REFRESH, Refresh, answer
from dataset_mirror.status.upkeep import upkeep_of
from dataset_mirror.status.usage import usage_of
from dataset_mirror.status.wording import duration


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where an origin's bytes are fetched, and how that does."""

    place: str
    health: Health | None
    """None if it was never asked."""

    @property
    def until(self) -> float:
        """Until when it is on hold, in seconds since the epoch."""
        return time.time() + max(0.0, self.health.until - time.monotonic()) if self.health else 0.0


@dataclass(frozen=True, slots=True)
class Line:
    """One origin: `fills` under way, their `connections` now, and their `rate` in bytes per second."""

    origin: Origin
    upstreams: Sequence[Upstream]
    fills: int
    connections: int
    rate: float
    kept: UsageRow | None


def rule_words(rule: Rule) -> str:
    """What a rule says besides what it matches, as mirror.toml has it."""
    return ", ".join(f"{name} = {_value(rule, name)}" for name in sorted(rule.model_fields_set - {"match"}))


def _value(rule: Rule, name: str) -> str:
    value = getattr(rule, name)
    if name == "freshness":
        return "never" if rule.is_immutable else duration(value)
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, str | int) else "{ … }"


@dataclass(frozen=True, slots=True)
class Preset:
    """A preset in force, in words."""

    name: str
    about: str
    note: str


router = APIRouter(include_in_schema=False)


@router.api_route("/origins", methods=["GET", "HEAD"])
async def origins(mirror: Here, request: Request, refresh: Refresh = None) -> HTMLResponse:
    usage = await usage_of(mirror, "origin")
    kept = {row.name: row for row in usage.rows}
    lines = [_line(mirror, origin, kept.get(origin.authority)) for origin in mirror.origins]
    settings = mirror.settings
    return await answer(
        mirror,
        request,
        "origins.html",
        refresh=REFRESH if refresh is None else refresh,
        lines=sorted(lines, key=_weight),
        others=[row for row in usage.rows if mirror.origins.get(row.name) is None],
        presets=[_preset(name, mirror.configuration.file.parent) for name in settings.presets],
        upkeep=await asyncio.to_thread(upkeep_of, mirror),
        rates=settings.rate_limit if isinstance(settings.rate_limit, dict) else {},
        settings=settings,
        rule_words=rule_words,
    )


def _line(mirror: Mirror, origin: Origin, kept: UsageRow | None) -> Line:
    known = mirror.upstream.health.by_place
    places = list(dict.fromkeys(_place(base) for base in mirror.upstream.bases(origin)))
    fills = [fill for fill in mirror.flights if fill.job.archive.authority == origin.authority]
    upstreams = [Upstream(place, known.get(place)) for place in places]
    connections, rate = sum(fill.connections for fill in fills), sum(fill.pace.rate() for fill in fills)
    return Line(origin, upstreams, len(fills), connections, rate, kept)


def _place(base: str) -> str:
    parts = urlsplit(base)
    return f"{parts.scheme}://{parts.netloc}"


def _weight(line: Line) -> tuple[bool, int, int, str]:
    """What needs attention first, then what is busy, then what has most here."""
    on_hold = any(one.health and one.health.resting for one in line.upstreams)
    return not on_hold, -line.fills, -(line.kept.size if line.kept else 0), line.origin.authority


def _preset(name: str, folder: Path) -> Preset:
    """As its file has it now; what was wrong with that when it was read last."""
    try:
        found = read_preset(name, folder)
    except UsageError as error:
        return Preset(name, error.detail, error.hint)
    return Preset(name, found.about, found.note)
