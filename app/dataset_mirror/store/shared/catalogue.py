"""What all mirrors know: which versions there are of which archive, who fetches what, and in which order things changed.

Whatever changes versions takes the one row of `version` first. So changes are committed in the order of their numbers, and who
reads those above a number misses none.
"""

from collections.abc import Iterable
from typing import Any

from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.store.record import Record
from dataset_mirror.store.shared.answers import Answer, Held, Known, Orphaned, Taken
from dataset_mirror.store.shared.database import Session

CHANNEL = "changes"

_FIND = """
SELECT line, object FROM versions JOIN objects USING (sha256) WHERE key = %(key)s AND state = 'kept'
ORDER BY fetched DESC, sha256 LIMIT 1
"""
_TAKE = """
WITH before AS (SELECT holder FROM leases WHERE key = %(key)s)
INSERT INTO leases (key, token, holder, since) VALUES (%(key)s, nextval('tokens'), %(me)s, clock_timestamp())
ON CONFLICT (key) DO UPDATE SET token = excluded.token, holder = excluded.holder, since = excluded.since
WHERE leases.holder = %(me)s
OR (%(goes_first)s AND NOT EXISTS (SELECT FROM mirrors WHERE id = leases.holder AND lives(mirrors)))
RETURNING token, coalesce((SELECT holder <> %(me)s FROM before), false) AS taken_over
"""
_HOLDER = """
SELECT token, holder, url, secret, lives(mirrors) AS alive FROM leases LEFT JOIN mirrors ON id = holder WHERE key = %(key)s
"""
_VERSIONS = """
SELECT key, line, EXISTS (SELECT FROM objects WHERE objects.sha256 = versions.sha256 AND state = 'kept') AS kept
FROM versions WHERE key = ANY(%(keys)s) ORDER BY key, fetched DESC, sha256
"""
_PAGE = """
SELECT DISTINCT ON (key) line FROM versions JOIN objects USING (sha256)
WHERE state = 'kept' AND key >= %(first)s AND key > %(after)s AND key <= %(end)s AND strpos(lower(key), %(part)s) > 0
ORDER BY key, fetched DESC, sha256 LIMIT %(most)s
"""
_REACHED = """
SELECT key FROM versions WHERE key >= %(first)s AND key > %(after)s AND key < %(end)s ORDER BY key OFFSET %(rows)s LIMIT 1
"""
_LOOKED_THROUGH = 20_000
"""Rows that a page of a search looks at: a million would take a second."""
_CHANGE = """
INSERT INTO changes (key, seq, by) VALUES (%(key)s, %(seq)s, %(me)s)
ON CONFLICT (key) DO UPDATE SET seq = excluded.seq, by = excluded.by
"""
_PUT = """
INSERT INTO versions (key, sha256, size, fetched, line) VALUES (%(key)s, %(sha256)s, %(size)s, %(fetched)s, %(line)s)
ON CONFLICT (key, sha256) DO UPDATE SET fetched = excluded.fetched, line = excluded.line
"""
_VERSION = "SELECT line FROM versions WHERE key = %(key)s AND sha256 = %(sha256)s"
_ANOTHER = "SELECT object FROM objects WHERE sha256 = %(sha256)s AND state = 'kept' AND object IS DISTINCT FROM %(object)s"
_GONE = "UPDATE objects SET state = 'gone', since = clock_timestamp() WHERE object = %(object)s"
_SPOILT = f"{_GONE} AND state = 'kept' RETURNING sha256"
_KEPT = """
UPDATE objects SET state = 'kept', since = clock_timestamp() WHERE object = %(object)s AND state <> 'gone' RETURNING object
"""
_UNNEEDED = """
UPDATE objects SET state = 'gone', since = clock_timestamp() WHERE sha256 = %(sha256)s AND state = 'kept'
AND NOT EXISTS (SELECT FROM versions WHERE versions.sha256 = %(sha256)s)
"""


class Lost(Exception):
    """The uploaded object is gone: the others took this mirror for dead."""


class Catalogue:
    """Questions and changes, each for one session; Unavailable if the database is away."""

    def __init__(self, me: str) -> None:
        self._me = me

    async def find(self, session: Session, key: str) -> Known | None:
        """The latest version that the bucket has."""
        rows = await session.run(_FIND, {"key": key})
        return Known(Record.from_line(rows[0]["line"]), rows[0]["object"]) if rows else None

    async def holder(self, session: Session, key: str) -> Held | None:
        """Another mirror that is alive and fetches it."""
        rows = await session.run(_HOLDER, {"key": key})
        if not rows or not rows[0]["alive"] or rows[0]["holder"] == self._me:
            return None
        return Held(rows[0]["token"], rows[0]["holder"], rows[0]["url"], rows[0]["secret"])

    async def look(self, session: Session, key: str, *, bucket: bool, goes_first: bool) -> Answer:
        """Where an archive that is not here comes from; if nobody has it or fetches it, this mirror is to.

        `bucket`: what the bucket has counts; `goes_first`: in the place of a mirror that died.
        """
        if bucket and (known := await self.find(session, key)):
            return known
        while True:
            if rows := await session.run(_TAKE, {"key": key, "me": self._me, "goes_first": goes_first}):
                taken = Taken(rows[0]["token"], rows[0]["taken_over"])
                return await self._once_more(session, key, taken) if bucket else taken
            if held := await self.holder(session, key):
                return held
            if await session.run(_HOLDER, {"key": key}) and not goes_first:
                return Orphaned()

    async def _once_more(self, session: Session, key: str, taken: Taken) -> Answer:
        """It may have been published between the first look and the lease."""
        known = await self.find(session, key)
        if known is None:
            return taken
        await self.release(session, key, taken.token)
        return known

    async def release(self, session: Session, key: str, token: int) -> None:
        """Somebody else may fetch it now."""
        await session.run("DELETE FROM leases WHERE key = %(key)s AND token = %(token)s", {"key": key, "token": token})

    async def lives(self, session: Session, mirror: str) -> bool:
        """Whether another mirror gives signs of life."""
        rows = await session.run("SELECT lives(mirrors) AS alive FROM mirrors WHERE id = %(id)s", {"id": mirror})
        return bool(rows and rows[0]["alive"])

    async def versions(self, session: Session, keys: Iterable[str]) -> dict[str, list[tuple[Record, bool]]]:
        """All that is known of some archives, the latest fetched first, and whether the bucket has it."""
        found: dict[str, list[tuple[Record, bool]]] = {key: [] for key in keys}
        for row in await session.run(_VERSIONS, {"keys": list(found)}):
            found[row["key"]].append((Record.from_line(row["line"]), row["kept"]))
        return found

    async def page(self, session: Session, beginning: str, after: str, part: str, most: int) -> tuple[list[Record], str | None]:
        """The latest versions that the bucket has of archives whose HOST/PATH begins so and has that part, in lower case; by name.

        And how far it looked, None if to the end: a page may have less than `most`, even nothing.
        """
        values: dict[str, Any] = {"first": beginning, "end": f"{beginning}\U0010ffff", "after": after, "part": part, "most": most}
        rows = await session.run(_REACHED, {**values, "rows": _LOOKED_THROUGH if part else 2 * most})
        reached: str | None = rows[0]["key"] if rows else None
        found = [Record.from_line(row["line"]) for row in await session.run(_PAGE, values | ({"end": reached} if reached else {}))]
        return found, str(found[-1].archive) if len(found) == most else reached

    # Changes

    async def publish(self, session: Session, record: Record, uploaded: str | None, token: int | None) -> int:
        """A version whose bytes were `uploaded`, or that another object has; the number of the change.

        Lost if the object is gone. Idempotent.
        """
        async with session.transaction():
            seq = await self._next(session)
            await self._keep(session, record, uploaded)
            known = await session.run(_VERSION, {"key": str(record.archive), "sha256": record.sha256})
            united = Record.from_line(known[0]["line"]).united(record) if known else record
            facts = {"sha256": united.sha256, "size": united.size, "fetched": united.fetched, "line": united.to_line()}
            await session.run(_PUT, {"key": str(record.archive), **facts})
            await self._changed(session, str(record.archive), seq)
            if token is not None:
                await self.release(session, str(record.archive), token)
        return seq

    async def _keep(self, session: Session, record: Record, uploaded: str | None) -> None:
        """The bytes are kept once: of two objects the one that came first stays."""
        values: dict[str, Any] = {"object": uploaded, "sha256": record.sha256}
        if await session.run(_ANOTHER, values):
            await session.run(_GONE, values)
        elif not await session.run(_KEPT, values):
            raise Lost

    async def remove(self, session: Session, archive: ArchiveId, sha256: str, at: float) -> int:
        """A version that somebody removed `at` that time (seconds since the epoch); what was fetched later stays."""
        key = str(archive)
        async with session.transaction():
            seq = await self._next(session)
            gone = "DELETE FROM versions WHERE key = %(key)s AND sha256 = %(sha256)s AND fetched <= %(at)s RETURNING key"
            if await session.run(gone, {"key": key, "sha256": sha256, "at": at}):
                await session.run(_UNNEEDED, {"sha256": sha256})
                await self._changed(session, key, seq)
        return seq

    async def spoil(self, session: Session, name: str) -> None:
        """Gives up an object that is damaged or missing: from now on nobody is sent to it."""
        async with session.transaction():
            seq = await self._next(session)
            rows = await session.run(_SPOILT, {"object": name})
            for row in rows:
                for user in await session.run("SELECT key FROM versions WHERE sha256 = %(sha256)s", row):
                    await self._changed(session, user["key"], seq)
                    seq = await self._next(session)

    async def _next(self, session: Session) -> int:
        rows = await session.run("UPDATE version SET value = value + 1 RETURNING value")
        number: int = rows[0]["value"]
        return number

    async def _changed(self, session: Session, key: str, seq: int) -> None:
        await session.run(_CHANGE, {"key": key, "seq": seq, "me": self._me})
        await session.run(f"NOTIFY {CHANNEL}")

    # Objects

    async def kept(self, session: Session, sha256: str) -> str | None:
        """The object that has these bytes."""
        rows = await session.run("SELECT object FROM objects WHERE sha256 = %(sha256)s AND state = 'kept'", {"sha256": sha256})
        return rows[0]["object"] if rows else None

    async def given_up(self, session: Session, name: str) -> None:
        """An upload failed: what there is of it goes."""
        await session.run(_GONE, {"object": name})

    async def uploading(self, session: Session, name: str, record: Record) -> None:
        """An upload begins: if this mirror dies, the object is swept."""
        await session.run(
            "INSERT INTO objects (object, sha256, size, state, holder, since)"
            " VALUES (%(object)s, %(sha256)s, %(size)s, 'uploading', %(me)s, clock_timestamp())",
            {"object": name, "sha256": record.sha256, "size": record.size, "me": self._me},
        )
