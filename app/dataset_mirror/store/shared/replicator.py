"""Tells the others what was published and removed here: first the bytes into the bucket, then the row that makes them known."""

import asyncio
import logging
import time
from collections.abc import MutableMapping
from contextlib import suppress
from functools import partial

from sqlalchemy.exc import DatabaseError

from dataset_mirror.errors import MirrorError
from dataset_mirror.store.outbox import Letter
from dataset_mirror.store.record import Record
from dataset_mirror.store.shared.bucket import Bucket, BucketFails
from dataset_mirror.store.shared.catalogue import Catalogue, Lost
from dataset_mirror.store.shared.database import Database, Unavailable
from dataset_mirror.store.shared.life import Life
from dataset_mirror.store.shared.thread import beside
from dataset_mirror.store.store import Store

log = logging.getLogger(__name__)

AT_ONCE = 4
"""Archives that are uploaded at once."""
_LOOK_SECONDS = 1.0
_LATER = 5.0
"""Seconds until what failed is tried again."""
_OTHERS_SECONDS = 60.0
"""How long the mirror that fetches an archive is left to tell of it itself."""


class Replicator:
    """Empties the outbox."""

    def __init__(
        self, store: Store, database: Database, bucket: Bucket, catalogue: Catalogue, life: Life, tokens: MutableMapping[str, int]
    ) -> None:
        """`tokens`: the leases of what this mirror fetches or has fetched, until it is known to all."""
        self._store, self._database, self._bucket, self._catalogue, self._life = store, database, bucket, catalogue, life
        self._tokens = tokens
        self._later: dict[int, float] = {}
        self._awake, self._turn = asyncio.Event(), asyncio.Lock()
        self.waiting = 0
        """Letters in the outbox, as of the last look."""
        self.failed = 0
        self.uploaded = 0
        """Bytes, since the start."""
        self._failing = ""

    def wake(self) -> None:
        """There is something new; from any thread of its loop."""
        self._awake.set()

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._life.joined()
            if not await self.round():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._awake.wait(), _LOOK_SECONDS)
                self._awake.clear()

    async def round(self) -> int:
        """Tells what can be told now; how many letters that were. One round at a time."""
        async with self._turn:
            return await self._all_due()

    async def _all_due(self) -> int:
        letters = await self._store.in_worker(lambda: self._store.index.outbox(256))
        self.waiting = len(letters) if len(letters) < 256 else await self._store.in_worker(self._store.index.number_in_outbox)
        now = time.monotonic()
        self._later = {number: until for number, until in self._later.items() if until > now}
        due = [letter for letter in letters if letter.id not in self._later]
        places = asyncio.Semaphore(AT_ONCE)
        told = await asyncio.gather(*(self._in_turn(letter, places) for letter in due))
        return sum(told)

    async def _in_turn(self, letter: Letter, places: asyncio.Semaphore) -> bool:
        try:
            async with places:
                told = await self._tell(letter)
            if told:
                await self._store.in_worker(partial(self._store.telling.told, letter))
        except (Unavailable, BucketFails, Lost, OSError, MirrorError, DatabaseError) as error:
            self._fail(letter, str(error) or type(error).__name__)
            return False
        if told:
            self.waiting = max(0, self.waiting - 1)
            self._failing = ""
        else:
            self._later[letter.id] = time.monotonic() + _LOOK_SECONDS
        return told

    def _fail(self, letter: Letter, why: str) -> None:
        self.failed += 1
        self._later[letter.id] = time.monotonic() + _LATER
        if why != self._failing:
            self._failing = why
            log.warning("%s cannot be shared now: %s. It is tried again.", letter.archive, why)

    async def _tell(self, letter: Letter) -> bool:
        """Whether it was told, or need not be."""
        if letter.what == "remove":
            async with self._database.session() as session:
                await self._catalogue.remove(session, letter.archive, letter.sha256, letter.at)
            return True
        versions = await self._store.in_worker(lambda: self._store.index.versions(letter.archive))
        record = next((record for record in versions if record.sha256 == letter.sha256), None)
        if record is None or not self._store.blobs.has(letter.sha256):
            return True
        return await self._publish(letter, record)

    async def _publish(self, letter: Letter, record: Record) -> bool:
        key = str(record.archive)
        async with self._database.session() as session:
            kept = await self._catalogue.kept(session, record.sha256)
            other = None if kept else await self._catalogue.holder(session, key)
        if other and time.time() - letter.at < _OTHERS_SECONDS:
            return False
        name = None if kept else await self._upload(record)
        async with self._database.session() as session:
            await self._catalogue.publish(session, record, name or kept, self._tokens.get(key))
        self._tokens.pop(key, None)
        return True

    async def _upload(self, record: Record) -> str:
        name = self._bucket.name_for(record.sha256)
        async with self._database.session() as session:
            await self._catalogue.uploading(session, name, record)
        try:
            await beside(partial(self._bucket.put, name, self._store.blobs.path(record.sha256)))
        except (BucketFails, OSError):
            with suppress(Unavailable):
                async with self._database.session() as session:
                    await self._catalogue.given_up(session, name)
            raise
        self.uploaded += record.size
        return name
