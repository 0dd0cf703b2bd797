"""Tidies the bucket: objects that nobody needs go after a while, and so do those of mirrors that died while they uploaded."""

import asyncio
import logging
import time
from functools import partial

from dataset_mirror.store.shared.bucket import Bucket, BucketFails
from dataset_mirror.store.shared.database import Database, Session, Unavailable
from dataset_mirror.store.shared.life import Life
from dataset_mirror.store.shared.thread import beside

log = logging.getLogger(__name__)

_LOCK = -8402
EVERY = 60.0
"""Seconds between two rounds; one mirror at a time."""
GRACE = 3600.0
"""Seconds that an object stays after it is not needed any more: somebody may still be reading it."""
_DAY = 86400.0
_MOST = 200


_AT_ONCE = 1000
"""Names that the database is asked about at once."""
_ABANDONED = """
UPDATE objects SET state = 'gone', since = clock_timestamp() WHERE state = 'uploading' AND (
    since < clock_timestamp() - make_interval(secs => %(day)s)
    OR NOT EXISTS (SELECT FROM mirrors WHERE id = objects.holder AND lives(mirrors))
)
"""
"""Uploads of mirrors that died, and what one that lives could not tell of: it has uploaded the bytes once more since."""


class Sweeper:
    """One of the mirrors does it at a time."""

    def __init__(self, database: Database, bucket: Bucket, life: Life) -> None:
        self._database, self._bucket, self._life = database, bucket, life
        self._listed = 0.0
        self.swept = 0
        self.grace = GRACE

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._life.joined()
            try:
                await self.round()
            except (Unavailable, BucketFails) as error:
                log.debug("The bucket was not tidied: %s.", error)
            await asyncio.sleep(EVERY)

    async def round(self) -> int:
        """Removes what may go; how many objects that were."""
        session = await self._database.connected()
        try:
            if not (await session.run("SELECT pg_try_advisory_lock(%(lock)s) AS ok", {"lock": _LOCK}))[0]["ok"]:
                return 0
            await session.run(_ABANDONED, {"day": _DAY})
            swept = await self._gone(session)
            if time.monotonic() - self._listed > _DAY or not self._listed:
                self._listed = time.monotonic()
                swept += await self._without_row(session)
            self.swept += swept
            return swept
        finally:
            await session.close()

    async def _gone(self, session: Session) -> int:
        """First the object, then its row: after a death in between it is removed once more."""
        rows = await session.run(
            "SELECT object FROM objects WHERE state = 'gone' AND since < clock_timestamp() - make_interval(secs => %(grace)s)"
            " ORDER BY since LIMIT %(most)s",
            {"grace": self.grace, "most": _MOST},
        )
        for row in rows:
            await beside(partial(self._bucket.delete, row["object"]))
            await session.run("DELETE FROM objects WHERE object = %(object)s AND state = 'gone'", row)
        return len(rows)

    async def _without_row(self, session: Session) -> int:
        """Objects of which the database knows nothing, older than a day."""
        old, swept = time.time() - _DAY, 0
        names = await beside(lambda: [name for name, at in self._bucket.names() if at < old])
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            rows = await session.run("SELECT object FROM objects WHERE object = ANY(%(names)s)", {"names": some})
            unknown = set(some).difference(row["object"] for row in rows)
            for name in unknown:
                await beside(partial(self._bucket.delete, name))
            swept += len(unknown)
        return swept
