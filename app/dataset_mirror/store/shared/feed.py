"""Learning what the others published and removed: at once by notification, and every few seconds in any case."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.store.record import Record, archive_of
from dataset_mirror.store.shared.catalogue import CHANNEL, Catalogue
from dataset_mirror.store.shared.database import Database, Session, Unavailable
from dataset_mirror.store.shared.life import Life
from dataset_mirror.store.store import Store

log = logging.getLogger(__name__)

EVERY = 10.0
"""Seconds after which changes are read without a notification."""
_STEP = 1000
_STALE = 1.0
"""As if the origin had last confirmed it long ago: it is served, and asked for."""

Told = Callable[[str], None]


class Feed:
    """Reads the changes in their order, and makes the local store follow."""

    def __init__(self, store: Store, database: Database, catalogue: Catalogue, life: Life, told: Told) -> None:
        """`told`: is called with each archive that another mirror published and that is not here, in its own thread."""
        self._store, self._database, self._catalogue, self._life, self._told = store, database, catalogue, life, told
        self.seen = 0
        self.newest = 0
        """The latest change that is known of."""

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._life.joined()
            try:
                session = await self._database.connected()
            except Unavailable:
                await asyncio.sleep(1)
                continue
            try:
                await self._follow(session)
            except Unavailable as error:
                log.debug("The feed broke off: %s.", error)
                await asyncio.sleep(0.5)
            finally:
                await session.close()

    async def _follow(self, session: Session) -> None:
        await session.run(f"LISTEN {CHANNEL}")
        await self._begin(session)
        while True:
            while await self._read(session):
                pass
            await session.notified(EVERY)

    async def _begin(self, session: Session) -> None:
        (known,) = await session.run("SELECT value, database FROM version")
        self.newest = known["value"]
        self.seen = await self._store.in_worker(partial(self._store.telling.joined, known["database"], self.newest))

    async def _read(self, session: Session) -> bool:
        """Some changes; whether there are more."""
        rows = await session.run(
            "SELECT key, seq, by, (SELECT value FROM version) AS newest FROM changes WHERE seq > %(seen)s ORDER BY seq LIMIT %(most)s",
            {"seen": self.seen, "most": _STEP},
        )
        if not rows:
            return False
        self.newest = max(self.newest, rows[0]["newest"])
        archives = {archive_of(row["key"]): row["key"] for row in rows if row["by"] != self._life.id}
        before = await self._store.in_worker(partial(self._known_to_all, list(archives)))
        known = await self._catalogue.versions(session, archives.values())
        for archive, key in archives.items():
            if archive in before:
                await self._store.in_worker(partial(self._take, archive, known[key], before[archive]))
            elif any(in_bucket for _, in_bucket in known[key]):
                self._told(key)
        self.seen = rows[-1]["seq"]
        await self._store.in_worker(partial(self._store.telling.see, self.seen))
        return len(rows) == _STEP

    def _known_to_all(self, archives: list[ArchiveId]) -> dict[ArchiveId, frozenset[str]]:
        """Of those that are here, the digests of the versions that were told to all. Blocks.

        Only what was told before the catalogue is asked was removed, if that does not have it: this mirror tells of versions all the time.
        """
        index = self._store.index
        here = index.versions_of(archives)
        return {archive: frozenset(one.sha256 for one in kept if index.is_kept(one)) for archive, kept in here.items() if kept}

    def _take(self, archive: ArchiveId, shared: list[tuple[Record, bool]], before: frozenset[str]) -> None:
        """Makes what is here follow what all know of an archive; `before`: the digests that were known to all before that. Blocks."""
        here = self._store.index.versions(archive)
        if not here:
            return
        kept = {record.sha256: in_bucket for record, in_bucket in shared}
        for record in here:
            self._compare(record, kept.get(record.sha256), was_kept=record.sha256 in before)
        latest = shared[0][0] if shared else here[0]
        if latest.fetched > here[0].fetched and latest.sha256 != here[0].sha256:
            self._store.refresh(replace(here[0], checked=min(here[0].checked, _STALE)))

    def _compare(self, record: Record, in_bucket: bool | None, *, was_kept: bool) -> None:
        """A version that is here: None if nobody else knows it, else whether the bucket has its bytes."""
        if in_bucket:
            if not was_kept:
                self._store.telling.know_kept(record)
        elif was_kept and in_bucket is None:
            self._store.remove(record.archive, record.sha256)
            log.info("Removed %s (%s): another mirror removed it.", record.url, record.sha256[:8])
        elif was_kept:
            self._store.telling.tell_again(record)
