"""What can be changed inside one write transaction: rows and totals, which follow from each other."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from sqlalchemy import Connection, Table, bindparam, delete, select, update
from sqlalchemy.dialects.sqlite import insert

from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.store import damaged, knowledge, sums, wanted
from dataset_mirror.store.listing import state_of
from dataset_mirror.store.record import Record
from dataset_mirror.store.rows import KEYS, current, record_of, users_of, values_of, versions_of
from dataset_mirror.store.schema import archives, counters, versions
from dataset_mirror.store.wanted import Wanted

MARKS = ("journal_bytes", "shared_seen", "shared_database")
"""Numbers that are kept among the totals, but are none."""


def _upsert(table: Table, key: Collection[str], but: Collection[str] = ()) -> Any:
    """A row in the place of the one with that key; what was in the columns `but` stays."""
    adding = insert(table)
    names = [column.name for column in table.columns if column.name not in ("id", *key, *but)]
    return adding.on_conflict_do_update(list(key), set_={name: adding.excluded[name] for name in names})


# Made once: see `rows.py`.
TOTAL = select(counters.c.value).where(counters.c.name == bindparam("name"))
_VERSION = select(versions).where(versions.c.key == bindparam("at"), versions.c.sha256 == bindparam("digest"))
_NEEDED = select(versions.c.id).where(versions.c.sha256 == bindparam("digest")).limit(1)
_SIZES = select(archives.c.key, archives.c.size).where(archives.c.key.in_(KEYS))
_DROP_ARCHIVE = delete(archives).where(archives.c.key == bindparam("at"))
_PUT_VERSION = _upsert(versions, ("key", "sha256"))
_PUT_ARCHIVE = _upsert(archives, ("key",), but=("hits", "used"))
_ADDING = insert(counters)
_COUNT = _ADDING.on_conflict_do_update(["name"], set_={"value": counters.c.value + _ADDING.excluded.value})


class Writing:
    """What can be changed inside one write transaction."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        """For statements about other tables, or all rows at once."""

    def publish(self, record: Record, used: float) -> Record:
        """Adds a version; it becomes current if it was fetched latest (ties: the smaller digest). Idempotent; returns what is current.

        Of bytes that were there the facts are `united`, so it does not matter in which order they come. What is there is not
        wanted any more.
        """
        return self.publish_all([record], used)[0]

    def publish_all(self, records: Sequence[Record], used: float) -> list[Record]:
        """As `publish`, for several archives, each of which is there once: a bundle may have a great many."""
        kept = versions_of(self.connection, [record.archive for record in records])
        united = [_united(record, kept[record.archive]) for record in records]
        new = {one.sha256: one.size for one in united if not _of(one, kept[one.archive])}
        self.count("blob_bytes", sum(size for sha256, size in new.items() if not self.needs(sha256)))
        with ExitStack() as counting:
            for sha256, size in new.items():
                counting.enter_context(sums.owned(self.connection, sha256, size))
            self.connection.execute(_PUT_VERSION, [values_of(one) for one in united])
        self.unwant(kept)
        knowledge.forget(self.connection, "refusal", *map(str, kept))
        damaged.heal(self.connection, *kept)
        for one in united:
            others = [each for each in kept[one.archive] if each.sha256 != one.sha256]
            kept[one.archive] = sorted([one, *others], key=lambda each: (-each.fetched, each.sha256))
        self._settle(kept, used)
        return [kept[one.archive][0] for one in united]

    def united(self, records: Sequence[Record]) -> list[Record]:
        """What is known of these bytes of their archives once they are published."""
        kept = versions_of(self.connection, [record.archive for record in records])
        return [_united(record, kept[record.archive]) for record in records]

    def want(self, misses: Iterable[Wanted]) -> None:
        """Puts archives on the wanted list, or adds to what it says of them; those that are there by now are left out."""
        wanted.add(self.connection, misses)

    def unwant(self, gone: Iterable[ArchiveId]) -> int:
        """Takes archives off the wanted list; returns how many were on it."""
        return wanted.take_away(self.connection, gone)

    def forget(self, archive: ArchiveId, sha256: str | None = None) -> list[str]:
        """Takes all versions of an archive away, or that one. Returns digests whose blobs nobody needs any more."""
        which = versions.c.key == str(archive)
        if sha256 is not None:
            which &= versions.c.sha256 == sha256
        gone = self.connection.execute(select(versions.c.sha256, versions.c.size).where(which)).all()
        with ExitStack() as counting:
            for row in gone:
                counting.enter_context(sums.owned(self.connection, row.sha256, row.size))
            self.connection.execute(delete(versions).where(which))
        unneeded = [row for row in gone if not self.needs(row.sha256)]
        self.count("blob_bytes", -sum(row.size for row in unneeded))
        self._settle(versions_of(self.connection, [archive]), used=0.0)
        return [row.sha256 for row in unneeded]

    def needs(self, sha256: str) -> bool:
        """Whether any version of any archive is this blob."""
        return self.connection.execute(_NEEDED, {"digest": sha256}).first() is not None

    def users_of(self, sha256: str) -> list[Record]:
        """Every version of every archive that is this blob, inside this transaction."""
        return users_of(self.connection, sha256)

    def version(self, archive: ArchiveId, sha256: str) -> Record | None:
        """These bytes of the archive, or None."""
        row = self.connection.execute(_VERSION, {"at": str(archive), "digest": sha256}).mappings().first()
        return record_of(row) if row else None

    def versions(self, archive: ArchiveId) -> list[Record]:
        """All bytes of the archive, inside this transaction, the latest fetched first."""
        return versions_of(self.connection, [archive])[archive]

    def current(self, archive: ArchiveId) -> Record | None:
        """What is current for the archive, inside this transaction, or None."""
        row = current(self.connection, archive)
        return record_of(row) if row else None

    def _settle(self, kept: Mapping[ArchiveId, Sequence[Record]], used: float) -> None:
        """Makes what is current, and the totals, follow from archives' versions, the latest first; `used` is for new archives."""
        known = {row.key: row.size for row in self.connection.execute(_SIZES, {"keys": [str(archive) for archive in kept]})}
        current = {archive: of[0] for archive, of in kept.items() if of}
        self.count("archives", len(current) - len(known))
        for archive, of in kept.items():
            sums.count(self.connection, str(archive), archives=bool(of) - (str(archive) in known))
        self.count("archive_bytes", sum(record.size for record in current.values()) - sum(known.values()))
        if gone := [{"at": str(archive)} for archive, of in kept.items() if not of]:
            self.connection.execute(_DROP_ARCHIVE, gone)
        if rows := [
            {**values_of(record), "origin": archive.authority, "state": state_of(kept[archive]), "hits": 0, "used": used}
            for archive, record in current.items()
        ]:
            self.connection.execute(_PUT_ARCHIVE, rows)

    def refresh(self, record: Record) -> None:
        """The origin confirmed these bytes at `record.checked`, with what it then said of them."""
        known = values_of(record)
        facts = {name: known[name] for name in ("checked", "fields", "etag", "last_modified", "date_is_strong")}
        for table in (archives, versions):
            same = (table.c.key == str(record.archive)) & (table.c.sha256 == record.sha256)
            self.connection.execute(update(table).where(same).values(**facts))

    def use(self, hits: Mapping[ArchiveId, tuple[int, float]]) -> None:
        """Adds hits and sets the time of the last use, for many archives at once."""
        if hits:
            statement = (
                update(archives)
                .where(archives.c.key == bindparam("at"))
                .values(hits=archives.c.hits + bindparam("more"), used=bindparam("now"))
            )
            self.connection.execute(statement, [{"at": str(archive), "more": more, "now": at} for archive, (more, at) in hits.items()])

    @contextmanager
    def part(self) -> Iterator[None]:
        """A part of the transaction: what changed in it is undone if it fails, and the rest is not."""
        self.connection.exec_driver_sql("SAVEPOINT part")
        try:
            yield
        except BaseException:
            self.connection.exec_driver_sql("ROLLBACK TO part")
            raise
        finally:
            self.connection.exec_driver_sql("RELEASE part")

    def marked(self, name: str) -> int | None:
        """A number that was set by `mark`; None if it never was."""
        value: int | None = self.connection.execute(TOTAL, {"name": name}).scalar()
        return value

    def mark(self, name: str, value: int) -> None:
        """Sets a number among the totals."""
        put = insert(counters).values(name=name, value=value)
        self.connection.execute(put.on_conflict_do_update(["name"], set_={"value": value}))

    def count(self, name: str, more: int) -> None:
        """Adds to a running total."""
        if more:
            self.connection.execute(_COUNT, {"name": name, "value": more})


def _of(record: Record, kept: Iterable[Record]) -> Record | None:
    """What is known of the bytes of a record among versions of its archive."""
    return next((each for each in kept if each.sha256 == record.sha256), None)


def _united(record: Record, kept: Iterable[Record]) -> Record:
    known = _of(record, kept)
    return known.united(record) if known else record
