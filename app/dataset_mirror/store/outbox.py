"""What other mirrors are still to be told of what was published or removed here, and what they all know already.

Both are written in the transaction of the publication itself: a kill at any moment loses nothing that others need.
"""

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, bindparam, delete, func, select, text
from sqlalchemy.dialects.sqlite import insert

from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.store.record import archive_of
from dataset_mirror.store.schema import outbox
from dataset_mirror.store.schema import told as known

What = Literal["put", "remove"]


@dataclass(frozen=True, slots=True)
class Letter:
    """One version of an archive that was published or removed here, `at` that time (seconds since the epoch)."""

    id: int
    what: What
    archive: ArchiveId
    sha256: str
    at: float


def add(connection: Connection, what: What, archive: ArchiveId, sha256: str, at: float) -> None:
    """Puts a letter into the outbox: not of a publication that all know already; a removal replaces a publication that was not told yet."""
    if what == "put" and is_kept(connection, archive, sha256):
        return
    connection.execute(_FORGET_PUT, {"at": str(archive), "digest": sha256})
    connection.execute(insert(outbox).values(what=what, key=str(archive), sha256=sha256, at=at))


def add_all(connection: Connection, at: float) -> int:
    """Everything that is here and is not known to all is to be told; how many versions are new in the outbox."""
    return connection.execute(_ADD_ALL, {"now": at}).rowcount


def tell_again(connection: Connection, at: float) -> None:
    """Puts everything that all knew into the outbox again: they may know nothing of it now."""
    connection.execute(_KEPT_AGAIN, {"now": at})
    connection.execute(delete(known))


def clear(connection: Connection) -> None:
    """Empties the outbox, and forgets what others know."""
    connection.execute(delete(outbox))
    connection.execute(delete(known))


def waiting(connection: Connection, most: int) -> list[Letter]:
    """What is still to be told, the oldest first."""
    rows = connection.execute(select(outbox).order_by(outbox.c.id).limit(most)).mappings()
    return [Letter(row["id"], row["what"], archive_of(row["key"]), row["sha256"], row["at"]) for row in rows]


def number(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(outbox)).scalar_one()


def has(connection: Connection, archive: ArchiveId) -> bool:
    """Whether anything of the archive is still to be told."""
    return connection.execute(_OF, {"at": str(archive)}).first() is not None


def told(connection: Connection, letter: Letter) -> None:
    """It was told; what was published is known to all from now on."""
    connection.execute(delete(outbox).where(outbox.c.id == letter.id))
    if letter.what == "put":
        keep(connection, letter.archive, letter.sha256)


def keep(connection: Connection, archive: ArchiveId, sha256: str) -> None:
    """All mirrors know this version, and the bucket has its bytes."""
    connection.execute(_FORGET_PUT, {"at": str(archive), "digest": sha256})
    connection.execute(insert(known).values(key=str(archive), sha256=sha256).on_conflict_do_nothing())


def is_kept(connection: Connection, archive: ArchiveId, sha256: str) -> bool:
    return connection.execute(_KEPT, {"at": str(archive), "digest": sha256}).first() is not None


def forget(connection: Connection, archive: ArchiveId, sha256: str) -> None:
    """Drops what is noted of a version that is no longer here."""
    connection.execute(_FORGET_PUT, {"at": str(archive), "digest": sha256})
    connection.execute(delete(known).where(known.c.key == str(archive), known.c.sha256 == sha256))


_OF = select(outbox.c.id).where(outbox.c.key == bindparam("at")).limit(1)
_KEPT = select(known.c.key).where(known.c.key == bindparam("at"), known.c.sha256 == bindparam("digest"))
_FORGET_PUT = delete(outbox).where(outbox.c.what == "put", outbox.c.key == bindparam("at"), outbox.c.sha256 == bindparam("digest"))
_ADD_ALL = text(
    "INSERT INTO outbox (what, key, sha256, at) SELECT 'put', key, sha256, :now FROM versions AS v"
    " WHERE NOT EXISTS (SELECT 1 FROM told WHERE told.key = v.key AND told.sha256 = v.sha256)"
    " AND NOT EXISTS (SELECT 1 FROM outbox AS o WHERE o.what = 'put' AND o.key = v.key AND o.sha256 = v.sha256) ORDER BY v.id"
)
_KEPT_AGAIN = text("INSERT INTO outbox (what, key, sha256, at) SELECT 'put', key, sha256, :now FROM told")
