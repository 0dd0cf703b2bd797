"""What a running mirror does by itself: it keeps what is pinned here, sound and fresh, and fetches ahead what `[[keep]]` names.

Pinned archives that are missing or damaged are fetched, others are checked when they are stale. What `[[keep]]` names is treated
so within its hours only: what was begun then is completed. An offline mirror takes from the others that share its store what these
have, and asks for nothing else.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime
from functools import partial

from dataset_mirror.errors import MirrorError
from dataset_mirror.fetch.throttle import Pacer
from dataset_mirror.mirror import Mirror
from dataset_mirror.origins.ahead import Keep
from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.origins.meaning import Meaning
from dataset_mirror.origins.names import Repository
from dataset_mirror.store.damaged import Damaged
from dataset_mirror.store.record import Record
from dataset_mirror.upkeep.fetching import fetch
from dataset_mirror.upkeep.pinned import Meant, meant
from dataset_mirror.upkeep.snapshots import listed
from dataset_mirror.upkeep.stored import select_known
from dataset_mirror.upkeep.verify import verify

log = logging.getLogger(__name__)

EVERY = 30.0
"""Seconds between two looks."""
AGAIN = 600.0
"""Seconds after which what could not be fetched is tried again."""
READ_AGAIN = 86_400.0
"""Seconds after which pinned bytes are read again, whether they are still right."""


class Ahead:
    """The loop of one running mirror."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._tried: dict[ArchiveId, float] = {}
        self._asked: dict[str, float] = {}
        """When repositories were asked for what they have now."""
        self._troubles: dict[str, str] = {}
        """Why names could not be looked after, as the log has said it."""
        self._read = time.monotonic()
        self._reading: asyncio.Task[None] | None = None
        self._begun: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until it is cancelled. Whatever goes wrong in one round is logged, and the next one comes."""
        try:
            while True:
                try:
                    await self._round()
                except MirrorError as error:
                    log.warning("What is pinned or kept could not be looked after: %s", error)
                except Exception:
                    log.exception("What is pinned or kept could not be looked after.")
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._mirror.look_again.wait(), EVERY)
                    self._mirror.look_again.clear()
                    self._tried.clear()
                    self._asked.clear()
        finally:
            for task in self._begun:
                task.cancel()

    async def _round(self) -> None:
        mirror = self._mirror
        if mirror.settings.offline and not mirror.shared:
            return
        lost = await mirror.store.in_worker(mirror.store.index.damaged)
        for name in [pin.name for pin in mirror.store.pins]:
            await self._looked_after(name, None, lost)
        for keep in mirror.settings.keep:
            if keep.hours.has(datetime.now()):
                for name in keep.name:
                    await self._looked_after(name, keep, lost)
        if self._reading is None or self._reading.done():  # a night's hours must not pass meanwhile
            self._reading = self._begin(self._read_again())

    async def _looked_after(self, name: str, keep: Keep | None, lost: Iterable[Damaged]) -> None:
        """Looks after one name. One that means nothing, as that of a preset that was taken away, is logged once and holds up no other."""
        try:
            await self._named(name, keep, lost)
            self._troubles.pop(name, None)
        except MirrorError as error:
            if self._troubles.get(name) != str(error):
                log.warning("%s could not be looked after: %s", name, error)
            self._troubles[name] = str(error)

    async def _named(self, name: str, keep: Keep | None, lost: Iterable[Damaged]) -> None:
        mirror = self._mirror
        found = await mirror.store.in_worker(partial(meant, mirror.store, mirror.origins, name, lost))
        if mirror.shared and Meaning(name).is_glob:
            found = replace(found, missing=(*found.missing, *await self._only_in_the_bucket(name)))
        await self._keep(found, keep)
        repository = None if Meaning(name).is_glob or mirror.settings.offline else mirror.origins.repository(name)
        now = time.monotonic()
        if repository is not None and now - self._asked.get(str(repository), -AGAIN) >= AGAIN:
            self._asked[str(repository)] = now
            self._begin(self._follow(repository, keep))

    async def _only_in_the_bucket(self, name: str) -> tuple[ArchiveId, ...]:
        """What a glob means that other mirrors have; not asked each time."""
        now = time.monotonic()
        if now - self._asked.get(name, -AGAIN) < AGAIN:
            return ()
        self._asked[name] = now
        try:
            lines, _ = await self._mirror.looked(lambda listing: select_known(listing, self._mirror.origins, [name]))
        except MirrorError:  # it means nothing yet, or nobody knows
            lines = []
        found = tuple(line.record.archive for line in lines if line.elsewhere)
        self._mirror.elsewhere[name] = found
        return found

    async def _fetchable(self, archives: list[ArchiveId]) -> list[ArchiveId]:
        """Those that can be had: all, or offline what the bucket has."""
        shared = self._mirror.shared
        if not self._mirror.settings.offline or not archives:
            return archives
        known = await asyncio.to_thread(shared.everywhere().known_of, archives) if shared else {}
        return [archive for archive in archives if archive in known]

    async def _follow(self, repository: Repository, keep: Keep | None) -> None:
        """Fetches what a repository has now at its revision, which may have moved."""
        try:
            snapshot = await listed(self._mirror, repository)
        except MirrorError as error:
            log.warning("%s could not be looked after: %s", repository, error)
            return
        await self._fetch((archive for archive, _ in snapshot.archives), keep)

    async def _keep(self, found: Meant, keep: Keep | None) -> None:
        for record in found.there:
            if keep is None and not await self._is_sound(record):
                found = Meant(found.there, (*found.missing, record.archive))
            else:
                with suppress(MirrorError):  # an origin that is no more listed: what is here stays
                    self._mirror.freshness(record)
        now = time.monotonic()
        due = [archive for archive in found.missing if now - self._tried.get(archive, -AGAIN) >= AGAIN]
        self._tried |= dict.fromkeys(due, now)
        if due := await self._fetchable(due):
            self._begin(self._fetch(due, keep))

    def _begin(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._begun.add(task)
        task.add_done_callback(self._over)
        return task

    def _over(self, task: asyncio.Task[None]) -> None:
        self._begun.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("What is pinned or kept could not be looked after.", exc_info=error)

    async def _is_sound(self, record: Record) -> bool:
        """Whether its blob is there, as large as it must be; one that is not is out of use from now on."""
        store = self._mirror.store

        def sound() -> bool:
            if store.blobs.has(record.sha256) and store.blobs.size(record.sha256) == record.size:
                return True
            if not store.blobs.are_there:  # a disk that is not mounted is no damage
                return True
            log.error("The blob of %s, which is pinned, is damaged or lost.", record.url)
            return not store.quarantine(record.sha256, store.blobs.inode(record.sha256))

        return await store.in_worker(sound)

    async def _fetch(self, archives: Iterable[ArchiveId], keep: Keep | None) -> None:
        archives = list(archives)
        some = self._mirror.traffic.throttle.some
        if keep and keep.rate_limit:
            limit = int(keep.rate_limit)
            some |= dict.fromkeys(archives, Pacer(lambda: limit))
        try:
            async for step in fetch(self._mirror, archives):
                if step.state == "fetched":
                    self._tried.pop(parse_url(step.url), None)
        finally:
            for archive in archives:
                some.pop(archive, None)

    async def _read_again(self) -> None:
        pins = [pin.name for pin in self._mirror.store.pins]
        if not pins or time.monotonic() - self._read < READ_AGAIN:
            return
        self._read = time.monotonic()
        for name in pins:
            with suppress(MirrorError):  # nothing of it is stored
                async for _ in verify(self._mirror, [name], every=5.0):
                    pass


@asynccontextmanager
async def running(*loops: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """What runs beside a mirror, until this ends."""
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
