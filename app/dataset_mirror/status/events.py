"""`/status/events`: what happens, told to everybody who looks, as server-sent events (HTML Living Standard 9.2).

One task looks once a second, and encodes what is new once for all viewers. What is a state (downloads, answers, traffic, the end of
the log, health) replaces what a viewer has not taken yet; what happened once (failures, changes) waits for it, up to a limit.
"""

import asyncio
import json
import secrets
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import suppress

from pydantic import BaseModel
from sqlalchemy.exc import DatabaseError

from dataset_mirror.errors import IndexDamaged, StoreFull
from dataset_mirror.mirror import Mirror
from dataset_mirror.status.changes import change_of
from dataset_mirror.status.health import health_of
from dataset_mirror.status.live import answers_of
from dataset_mirror.status.log import message_of
from dataset_mirror.status.state import failure_of, fills_of
from dataset_mirror.status.wording import iso
from dataset_mirror.store import changes

TICK, QUIET, HEALTH, HEARTBEAT = 1.0, 10.0, 10.0, 15.0
"""Seconds between two looks; between ticks of traffic while nothing moves; between checks of health; between comments."""
MOST_FILLS, MOST_ANSWERS = 200, 100
REMEMBERED, MOST_WAITING = 500, 100
"""How many events that happened once are remembered, and how many may wait for one viewer."""
_BEAT = b": still here\n\n"
_ONCE = ("failure", "change", "health")


class Viewer:
    """One who looks: what it has not taken yet."""

    def __init__(self) -> None:
        self.states: dict[str, bytes] = {}
        self.once: deque[bytes] = deque()
        self.is_over = False
        self._news = asyncio.Event()

    def tell(self, kind: str, event: bytes) -> None:
        """Hands over an event. A viewer that is far too slow is let go: it comes again, and says what it knows."""
        if kind in _ONCE:
            self.once.append(event)
            if len(self.once) > MOST_WAITING:
                self.is_over = True
        else:
            self.states.pop(kind, None)
            self.states[kind] = event
        self._news.set()

    def end(self) -> None:
        self.is_over = True
        self._news.set()

    async def parts(self) -> AsyncIterator[bytes]:
        """What is to be sent, until it is over."""
        while not self.is_over:
            try:
                async with asyncio.timeout(HEARTBEAT):
                    await self._news.wait()
            except TimeoutError:
                yield _BEAT
                continue
            self._news.clear()
            part = b"".join((*self.once, *self.states.values()))
            self.once.clear()
            self.states.clear()
            if part:
                yield part


class Events:
    """Looks for what is new, and tells all viewers."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._viewers: set[Viewer] = set()
        self._run, self._number = secrets.token_hex(4), 0
        self._remembered: deque[tuple[int, bytes]] = deque(maxlen=REMEMBERED)
        self._shown: dict[str, bytes] = {}
        """What was told last of each state."""
        self._seen_failure = max((one.at for one in mirror.flights.failures), default=0.0)
        self._seen_change: int | None = None
        self._before: tuple[float, dict[str, int]] | None = None
        self._told_traffic = self._told_health = 0.0
        self._looking = asyncio.Lock()
        self._is_over = False

    # For viewers

    async def follow(self, last: str | None) -> AsyncGenerator[bytes]:
        """The stream of a viewer that has had everything up to the event `last`."""
        if not self._viewers:
            await self._look(whole=True)
        viewer = Viewer()  # from here on nothing is awaited until it is among the viewers: nothing falls between
        for event in self._missed(last):
            viewer.tell("failure", event)
        for kind, data in self._shown.items():
            viewer.tell(kind, _event(kind, data, None))
        if self._is_over:
            viewer.end()
        self._viewers.add(viewer)
        try:
            yield b"retry: 2000\n\n"
            async for part in viewer.parts():
                yield part
        finally:
            self._viewers.discard(viewer)

    def _missed(self, last: str | None) -> Sequence[bytes]:
        """What came after `last`; that it is not known any more, or is too much to be told."""
        if not last:
            return ()
        run, _, number = last.partition("-")
        first = self._remembered[0][0] if self._remembered else self._number + 1
        if run == self._run and number.isdecimal() and int(number) + 1 >= first:
            missed = [event for at, event in self._remembered if at > int(number)]
            if len(missed) < MOST_WAITING:
                return missed
        return [_event("reset", b"{}", f"{self._run}-{self._number}")]

    def end(self) -> None:
        """The mirror is shutting down: all streams end."""
        self._is_over = True
        for viewer in self._viewers:
            viewer.end()

    # Looking

    async def look_for_ever(self) -> None:
        """Until it is cancelled."""
        while True:
            await asyncio.sleep(TICK)
            await self._look()

    async def _look(self, *, whole: bool = False) -> None:
        async with self._looking:  # what two found at the same moment would be told twice
            await self._look_once(whole=whole)

    async def _look_once(self, *, whole: bool) -> None:
        self._failed()
        with suppress(IndexDamaged, StoreFull, DatabaseError):  # all else can be told, and `health` says it
            await self._changed()
        if not (self._viewers or whole):
            self._before = None
            return
        fills, answers = fills_of(self._mirror), answers_of(self._mirror, most=MOST_ANSWERS)
        self._state("fills", {"fills": _dumped(fills[:MOST_FILLS]), "more": max(0, len(fills) - MOST_FILLS)})
        more = max(0, len(self._mirror.recent.under_way) - len(answers))
        self._state("answers", {"answers": _dumped(answers), "more": more})
        self._traffic()
        if line := self._mirror.tail.last:
            self._state("log", {"number": self._mirror.tail.number, "last": message_of(line).model_dump(mode="json")})
        if time.monotonic() - self._told_health >= HEALTH:
            self._told_health = time.monotonic()
            self._state("health", (await health_of(self._mirror)).model_dump(mode="json"))

    def _failed(self) -> None:
        failures = [one for one in self._mirror.flights.failures if one.at > self._seen_failure]
        for one in failures:
            self._seen_failure = max(self._seen_failure, one.at)
            self._once("failure", failure_of(one).model_dump_json().encode())

    async def _changed(self) -> None:
        """Changes, by whichever process, as far as they are written."""
        store = self._mirror.store
        with suppress(StoreFull):
            await store.write_changes()
        seen = self._seen_change
        if seen is None:
            self._seen_change = await store.in_worker(lambda: store.index.look(changes.latest))
            return
        for change in await store.in_worker(lambda: store.index.look(lambda connection: changes.since(connection, seen))):
            self._seen_change = change.id
            self._once("change", change_of(self._mirror, change).model_dump_json().encode())

    def _traffic(self) -> None:
        traffic, now = self._mirror.traffic, time.monotonic()
        failures = sum(number for (_, outcome), number in traffic.requests.items() if outcome not in ("hit", "miss", "head"))
        known = {"served": traffic.served, "fetched": traffic.fetched, "hits": traffic.hits, "misses": traffic.misses, "failures": failures}
        at, before = self._before or (now, known)
        self._before = (now, known)
        news = {name: value - before[name] for name, value in known.items()}
        if any(news.values()) or now - self._told_traffic >= QUIET:
            self._told_traffic = 0.0 if any(news.values()) else now
            seconds = max(now - at, 1e-3)
            rates = {
                "serving": news["served"] / seconds,
                "fetching": news["fetched"] / seconds,
                "requests": sum(news[name] for name in ("hits", "misses", "failures")) / seconds,
            }
            self._state("traffic", {"at": iso(time.time()), **news, **rates})

    def _state(self, kind: str, data: object) -> None:
        encoded = json.dumps(data, separators=(",", ":")).encode()
        if self._shown.get(kind) == encoded:
            return
        self._shown[kind] = encoded
        if kind in _ONCE:
            self._once(kind, encoded)
        else:
            self._tell(kind, _event(kind, encoded, None))

    def _once(self, kind: str, data: bytes) -> None:
        self._number += 1
        event = _event(kind, data, f"{self._run}-{self._number}")
        self._remembered.append((self._number, event))
        self._tell(kind, event)

    def _tell(self, kind: str, event: bytes) -> None:
        for viewer in self._viewers:
            viewer.tell(kind, event)


def _dumped(models: Sequence[BaseModel]) -> list[object]:
    return [one.model_dump(mode="json") for one in models]


def _event(kind: str, data: bytes, number: str | None) -> bytes:
    """One event, on the wire."""
    return (f"id: {number}\n" if number else "").encode() + b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"
