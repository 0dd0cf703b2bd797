"""A mirror's sign of life: one session holds its lock, and says each second that it is there."""

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from dataset_mirror.store.shared.answers import Peer
from dataset_mirror.store.shared.database import Database, Session, Unavailable
from dataset_mirror.store.shared.schema import TTL, migrate

log = logging.getLogger(__name__)

EVERY = 1.0
"""Seconds between two signs."""
_AGAIN, _SOON = EVERY / 2, EVERY / 10
"""Seconds between two attempts to come back; the second, while the database is away for less than `_RESTART` seconds."""
_RESTART = 10.0
_FORGOTTEN = "1 day"
"""After which a mirror that died is not listed any more."""


class Life:
    """This mirror among the others. A new one at each start."""

    def __init__(self, database: Database, program: str, url: Callable[[str], str], state: Callable[[], Mapping[str, object]]) -> None:
        """`url`: at which others reach it, by the address that it reaches the database with; `state`: what others are told of it."""
        self.id, self.secret = secrets.token_hex(8), secrets.token_hex(24)
        self._database, self._program, self._url, self._state = database, program, url, state
        self._alive = 0
        self._lost: float | None = time.time()
        """Since when (seconds since the epoch) nothing is heard of the database; None while it answers."""
        self.why = ""
        """Why nothing is heard of it."""
        self._beat = 0.0
        self._joined = asyncio.Event()
        self._session: Session | None = None
        """The one of the first sign, until `live` has it."""

    @property
    def is_joined(self) -> bool:
        """Whether the database answered a moment ago."""
        return self._lost is None

    @property
    def alone_since(self) -> float | None:
        """Since when the others take this one for dead, in seconds since the epoch."""
        return self._lost if self._lost is not None and time.monotonic() - self._beat > TTL else None

    async def join(self) -> None:
        """The first sign. Unavailable; the others come by `live`."""
        self._session = await self._entered()

    async def live(self) -> None:
        """Gives signs for ever, and comes back whenever the database does."""
        session, self._session = self._session, None
        while True:
            has_lasted = False
            try:
                session = session or await self._entered()
                while True:
                    await self._sign(session)
                    await session.notified(EVERY)  # nothing comes, but that it breaks off is known at once
                    has_lasted = True
            except Unavailable as error:
                if not (has_lasted and error.is_broken_off):  # a database that restarts may be back already
                    self._lose(str(error))
            finally:
                if session:
                    await session.close()
                session = None
            await self._database.forget()
            if self._lost is not None:
                await asyncio.sleep(_SOON if time.monotonic() - self._beat < _RESTART else _AGAIN)

    async def leave(self) -> None:
        """The others know at once that it is gone."""
        with suppress(Unavailable):
            async with self._database.session() as session:
                await session.run("DELETE FROM leases WHERE holder = %(me)s", {"me": self.id})
                await session.run("DELETE FROM mirrors WHERE id = %(me)s", {"me": self.id})

    async def joined(self) -> None:
        """Waits until the database answers."""
        await self._joined.wait()

    def _lose(self, why: str) -> None:
        if self._lost is None:
            log.warning("The shared database is away (%s): this mirror goes on alone.", why)
            self._lost = time.time()
        self.why = why
        self._joined.clear()

    async def _entered(self) -> Session:
        session = await self._database.connected()
        try:
            await migrate(session)
            await self._enter(session)
        except BaseException:
            await session.close()
            raise
        if self._beat:
            log.info("The shared database is back.")
        self._heard()
        return session

    async def _enter(self, session: Session) -> None:
        """Takes its lock, and only then is it listed."""
        if not self._alive:
            self._alive = (await session.run("SELECT nextval('lives') AS alive"))[0]["alive"]
        if not (await session.run("SELECT pg_try_advisory_lock(%(alive)s) AS ok", {"alive": self._alive}))[0]["ok"]:
            raise Unavailable("an earlier session of this mirror is still open there")
        known = {"me": self.id, "url": self._url(session.own_address), "secret": self.secret, "alive": self._alive}
        await session.run(
            "INSERT INTO mirrors (id, url, secret, alive, began, seen, program, state)"
            " VALUES (%(me)s, %(url)s, %(secret)s, %(alive)s, clock_timestamp(), clock_timestamp(), %(program)s, '{}')"
            " ON CONFLICT (id) DO UPDATE SET url = excluded.url, seen = excluded.seen",
            {**known, "program": self._program},
        )
        await session.run(f"DELETE FROM mirrors WHERE seen < clock_timestamp() - interval '{_FORGOTTEN}'")

    async def _sign(self, session: Session) -> None:
        sign = "UPDATE mirrors SET seen = clock_timestamp(), state = %(state)s WHERE id = %(me)s RETURNING id"
        if not await session.run(sign, {"me": self.id, "state": json.dumps(dict(self._state()))}):
            await self._enter_again(session)
        self._heard()

    async def _enter_again(self, session: Session) -> None:
        """The database was put back to an earlier state, or somebody removed this mirror from it."""
        await session.run("SELECT pg_advisory_unlock(%(alive)s)", {"alive": self._alive})
        await migrate(session)
        await self._enter(session)

    def _heard(self) -> None:
        self._beat, self._lost, self.why = time.monotonic(), None, ""
        self._joined.set()


async def peers(session: Session) -> list[Peer]:
    """All mirrors of late, those that live first; one that was started again at the same URL is there once."""
    rows = await session.run(
        "SELECT id, url, program, extract(epoch FROM began)::float8 AS began, extract(epoch FROM seen)::float8 AS seen,"
        " lives(mirrors) AS alive, state FROM mirrors WHERE lives(mirrors) OR url = '' OR NOT EXISTS"
        " (SELECT FROM mirrors AS later WHERE later.url = mirrors.url AND later.began > mirrors.began)"
        " ORDER BY lives(mirrors) DESC, began"
    )
    return [
        Peer(
            row["id"],
            row["url"],
            row["program"],
            row["began"],
            row["seen"],
            row["alive"],
            row["state"].get("fills", 0),
            row["state"].get("outbox", 0),
            tuple((str(url), str(place)) for url, place in row["state"].get("following", [])),
        )
        for row in rows
    ]
