"""Archives whose bytes were found to be damaged or lost, and that have not come again since: they are not served, and not forgotten."""

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, func, select
from sqlalchemy.dialects.sqlite import insert

from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.store.record import Record, archive_of
from dataset_mirror.store.schema import damaged

_HEAL = delete(damaged).where(damaged.c.key == bindparam("at"))


@dataclass(frozen=True, slots=True)
class Damaged:
    """What was known of an archive when its bytes were found to be damaged; times in seconds since the epoch."""

    archive: ArchiveId
    scheme: str
    sha256: str
    size: int
    fetched: float
    found: float

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.archive}"


def add(connection: Connection, record: Record, found: float) -> None:
    """Puts an archive onto the list."""
    known = {"scheme": record.scheme, "sha256": record.sha256, "size": record.size, "fetched": record.fetched, "found": found}
    put = insert(damaged).values(key=str(record.archive), **known)
    connection.execute(put.on_conflict_do_update(["key"], set_=known))


def heal(connection: Connection, *those: ArchiveId) -> None:
    """Takes archives off the list, since their bytes have come or nobody waits for them; those that are not on it are ignored."""
    connection.execute(_HEAL, [{"at": str(archive)} for archive in those])


def number(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(damaged)).scalar_one()


def every(connection: Connection, most: int | None = None) -> list[Damaged]:
    """All of them, or so many, by name."""
    rows = connection.execute(select(damaged).order_by(damaged.c.key).limit(most)).mappings()
    return [Damaged(archive_of(row["key"]), row["scheme"], row["sha256"], row["size"], row["fetched"], row["found"]) for row in rows]
