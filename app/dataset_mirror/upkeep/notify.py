"""The webhook: tells a URL of the operator's of downloads that failed, of what is wrong with the disk, and of archives that changed.

The URL is the operator's own, so it may be a private address: nothing that a client sends can choose it, and no redirect is
followed. It often is a secret itself, and is never written down. Offline nothing is told: then no packet leaves.
"""

import asyncio
import logging
import socket
import ssl
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx

from dataset_mirror.mirror import Mirror
from dataset_mirror.rules.counted import are, counted
from dataset_mirror.rules.no_proxy import bypasses
from dataset_mirror.rules.secrets import without_secrets
from dataset_mirror.settings import Settings
from dataset_mirror.store.space import Space

log = logging.getLogger(__name__)

LOOK_SECONDS, SPACE_SECONDS = 1.0, 30.0
WAITS = (1.0, 5.0, 30.0)
"""Seconds before each further attempt."""
MOST = 100
"""Notifications that wait; for more the oldest go."""
QUIET_SECONDS = 3600.0
"""The same failure is not told again for so long."""
_TIMEOUT = 10.0

Kind = Literal["failure", "changed", "disk", "damaged", "recovered"]


@dataclass(frozen=True, slots=True)
class Event:
    """What is to be told; `count` of its kind at once, of which this is the first. `at` in seconds since the epoch."""

    kind: Kind
    at: float
    detail: str
    hint: str = ""
    url: str = ""
    count: int = 1

    def body(self) -> dict[str, Any]:
        """JSON; `text` is what Slack, Mattermost and their like show."""
        more = f" And {self.count - 1:,} more." if self.count > 1 else ""
        text = without_secrets(f"dataset-mirror on {socket.gethostname()}: {self.detail}{f' {self.hint}' if self.hint else ''}{more}")
        return {
            "text": text,
            "event": self.kind,
            "at": datetime.fromtimestamp(self.at, UTC).isoformat(timespec="seconds"),
            "detail": without_secrets(self.detail),
            "hint": without_secrets(self.hint),
            "url": without_secrets(self.url),
            "count": self.count,
            "host": socket.gethostname(),
            "version": version("dataset-mirror"),
        }


class Notifier:
    """Looks for what happened, and tells it in order."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._waiting: deque[Event] = deque(maxlen=MOST)
        self._new = asyncio.Event()
        self._failures, self._changed = list(mirror.flights.failures), list(mirror.traffic.changed)
        """What was there at the last look: what is new is not told by its time, for clocks are set."""
        self._told: dict[str, float] = {}
        self._wrong: set[str] = set()
        self._looked = -SPACE_SECONDS

    async def look_for_ever(self) -> None:
        """Until it is cancelled; nothing is looked for while nobody wants to know."""
        while True:
            if self._mirror.settings.notify and not self._mirror.settings.offline:
                try:
                    await self._look()
                except Exception:
                    log.exception("What is to be told could not be found out.")
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        failures = [one for one in self._mirror.flights.failures if one not in self._failures]
        self._failures = list(self._mirror.flights.failures)
        self._tell([Event("failure", one.at, one.error.detail, one.error.hint, one.url) for one in failures if self._is_news(one.url)])
        changed = [one for one in self._mirror.traffic.changed if one not in self._changed]
        self._changed = list(self._mirror.traffic.changed)
        said = "{} changed at its origin; from now on the new bytes are served."
        self._tell([Event("changed", at, said.format(url), "If that is not wanted: on_change in mirror.toml.", url) for at, url in changed])
        if time.monotonic() - self._looked >= SPACE_SECONDS:
            self._looked = time.monotonic()
            for event in await self._mirror.store.in_worker(self._state):
                self._tell([event])

    def _is_news(self, url: str) -> bool:
        now = time.monotonic()
        self._told = {each: at for each, at in self._told.items() if now - at < QUIET_SECONDS}
        return url not in self._told and self._told.setdefault(url, now) == now

    def _state(self) -> list[Event]:
        """What is wrong now and was not before, and the other way round. Blocks."""
        store, now = self._mirror.store, time.time()
        found: list[tuple[str, Kind, str, str]] = []
        if why := store.why_read_only:
            found.append(("disk", "disk", f"Nothing new can be kept in {store.folder.root}: {why}.", "Free some room, or check its disk."))
        elif full := _full(store.space):
            found.append(("room", "disk", full, "See what could be removed: dataset-mirror gc --dry-run"))
        if damage := store.index.damage:
            found.append(("index", "disk", damage.detail, damage.hint))
        elif number := store.index.number_damaged():
            found.append(
                ("damaged", "damaged", f"{counted(number, 'archive')} {are(number)} damaged and not served.", "Run: dataset-mirror verify")
            )
        wrong = {name for name, *_ in found}
        events = [Event(kind, now, detail, hint) for name, kind, detail, hint in found if name not in self._wrong]
        if self._wrong - wrong:
            what = ", ".join(sorted(self._wrong - wrong))
            events.append(Event("recovered", now, f"All is well again with: {what}."))
        self._wrong = wrong
        return events

    def _tell(self, events: list[Event]) -> None:
        if not events:
            return
        first = events[0]
        self._waiting.append(Event(first.kind, first.at, first.detail, first.hint, first.url, len(events)))
        self._new.set()

    async def send_for_ever(self) -> None:
        """Until it is cancelled: one after the other, each a few times at most."""
        while True:
            while self._waiting:
                await self._send(self._waiting.popleft())
            self._new.clear()
            await self._new.wait()

    async def _send(self, event: Event) -> None:
        """Never raises: a webhook must not disturb the mirror."""
        for wait in (*WAITS, None):
            settings = self._mirror.settings
            if not settings.notify or settings.offline:
                return
            why = await _posted(settings, event)
            if why is None:
                self._mirror.traffic.notifications["sent"] += 1
                return
            if wait is None or why.startswith("it answered 4"):
                break
            await asyncio.sleep(wait)
        self._mirror.traffic.notifications["failed"] += 1
        log.warning("A notification (%s) could not be delivered to %s: %s.", event.kind, urlsplit(settings.notify).hostname, why)


def _full(space: Space) -> str | None:
    """What to say if there is no room for anything more; None if there is."""
    with suppress(OSError):
        if space.free - space.promised <= space.min_free:
            free = f"{counted(space.free, 'byte')} {are(space.free)} free"
            return f"The disk is full: {free}, of which {space.min_free:,} must stay free (min_free)."
        if space.max_size is not None and space.kept > space.max_size:
            return f"{counted(space.kept, 'byte')} {are(space.kept)} stored, more than {space.max_size:,} (max_size)."
    return None


async def _posted(settings: Settings, event: Event) -> str | None:
    """Why it was not taken; None if it was. No word of it has the URL."""
    url = settings.notify or ""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        proxy = None if bypasses(parts.hostname or "", port, settings.no_proxy) else settings.upstream_proxy
        verify = ssl.create_default_context(cafile=settings.ca_file) if parts.scheme == "https" else True
        async with httpx.AsyncClient(trust_env=False, proxy=proxy, verify=verify, timeout=_TIMEOUT, follow_redirects=False) as client:
            answer = await client.post(url, json=event.body(), headers={"User-Agent": f"dataset-mirror/{version('dataset-mirror')}"})
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return type(error).__name__
    again = answer.status_code in (408, 425, 429)
    return None if answer.is_success else f"it answered {'(again later) ' if again else ''}{answer.status_code}"
