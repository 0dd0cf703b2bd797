"""The index, rebuilt from `archives.ndjson` and the blobs: a lost or damaged database is not a lost mirror."""

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Select, Table, bindparam, case, create_engine, delete, func, insert, literal, select
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from dataset_mirror.errors import DataFolderError
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.settings import Settings
from dataset_mirror.store import durable, knowledge
from dataset_mirror.store.blobs import Blobs
from dataset_mirror.store.carried import carry
from dataset_mirror.store.digests import digests_of
from dataset_mirror.store.filling import FillLock
from dataset_mirror.store.folder import DataFolder
from dataset_mirror.store.journal import Entry, Journal, Removal, entry_of
from dataset_mirror.store.record import VOUCHED, Record, archive_of
from dataset_mirror.store.replay import FACTS, Batch
from dataset_mirror.store.rows import values_of
from dataset_mirror.store.schema import VERSION, archives, counters, metadata, versions
from dataset_mirror.store.sums import recount
from dataset_mirror.store.tree import Tree
from dataset_mirror.store.writing import MARKS

_BATCH = 10_000
_DONE = MARKS[0]
_STEP = 1024 * 1024
_CACHE_KIB = 256 * 1024
"""Beyond it the keys of a large index would be read and written again and again."""
_SIDES = ("", "-wal", "-shm")
"""What a database in WAL mode consists of, behind its name."""

Report = Callable[[int, int], None]
"""Is told how many bytes of the journal were read, and of how many."""


@dataclass(slots=True)
class Rebuilt:
    """What came of it."""

    archives: int = 0
    lines: int = 0
    torn: int = 0
    """Lines that nothing can be read from."""
    recovered: list[Record] = field(default_factory=list)
    """Archives that no line names: `tree/` does, and their blobs have the digests that they are named by."""
    unexplained: list[str] = field(default_factory=list)
    """Blobs that neither a line nor `tree/` names; they are in `quarantine/unexplained/` now."""
    lost: list[str] = field(default_factory=list)
    """Versions of archives whose blobs are missing or too short: URLs, with the digest."""
    aside: Path | None = None
    """Where the old database was moved to."""


def rebuild(settings: Settings, report: Report = lambda done, total: None) -> Rebuilt:
    """Rebuilds the index; nothing is changed if that fails. Blocks.

    Hits, last uses and the wanted list begin afresh; history and log of changes come from the old index, as far as it can be read.

    DataFolderError if another process fills the folder, or if there is nothing to make an index from. A kill at any moment is
    harmless: either the old database is in its place, or none is, and the next start says what to do.
    """
    folder = DataFolder(settings.data.absolute())
    if not folder.journal.exists():
        raise DataFolderError(f"There is no {folder.journal}, from which an index could be made.", "Give the mirror's folder: --data DIR.")
    folder.check_made()
    place = Path(make_url(folder.index_url(settings.database)).database or folder.index)
    lock = FillLock(folder.lock)
    fresh = place.with_name(f"{place.name}.new")
    try:
        _remove(fresh)
        found = _made(fresh, folder, report, place)
        found.aside = _set_aside(place)
        durable.put(fresh, place)
        _write_down(found, folder)
        return found
    finally:
        _remove(fresh)
        lock.release()


def _made(fresh: Path, folder: DataFolder, report: Report, old: Path) -> Rebuilt:
    """Nobody knows of the file before it is whole, so that it needs no log, and one fsync at its end."""
    found = Rebuilt()
    engine = create_engine(URL.create("sqlite", database=str(fresh)), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        for pragma in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{_CACHE_KIB}", f"threads={os.cpu_count()}"):
            connection.exec_driver_sql(f"PRAGMA {pragma}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        metadata.create_all(connection)
        kept = _Kept(Blobs(folder.blobs))
        with _indexed_at_the_end(connection, versions):
            done = _replay(connection, folder.journal, kept, found, report)
            _explain_the_rest(connection, folder, kept, found)
            _drop_lost(connection, kept, found)
        connection.execute(insert(counters).values(name=_DONE, value=done))
        with _indexed_at_the_end(connection, archives):
            _settle(connection)
        carry(old, connection)
        found.archives = connection.execute(select(func.count()).select_from(archives)).scalar_one()
        connection.exec_driver_sql(f"PRAGMA user_version={VERSION}")
        connection.exec_driver_sql("COMMIT")
    durable.sync_file(fresh)
    return found


class _Kept:
    """The blobs as they are found at once, rather than one by one for a million lines."""

    def __init__(self, blobs: Blobs) -> None:
        self.blobs = blobs
        self.sizes = dict(blobs)
        self.unexplained = set(self.sizes)
        """Digests that no line has named so far."""


def _replay(connection: Connection, journal: Path, kept: _Kept, found: Rebuilt, report: Report) -> int:
    """Every publication and removal, in the order in which they happened. Returns how many bytes of the journal that were."""
    total, done, batch = journal.stat().st_size, 0, Batch(connection)
    with journal.open("rb") as file:
        for line in file:
            done += len(line)
            if line.strip():
                found.lines += 1
                found.torn += not _taken(entry_of(line), connection, batch, kept)
            if batch.is_full:
                batch.write()
                report(done, total)
    batch.write()
    report(total, total)
    return done


def _taken(entry: Entry | None, connection: Connection, batch: Batch, kept: _Kept) -> bool:
    """Whether the line says anything."""
    if isinstance(entry, Record):
        batch.add(entry)
        kept.unexplained.discard(entry.sha256)
    elif isinstance(entry, Removal):
        batch.remove(entry)
    elif entry is not None:
        knowledge.put(connection, entry)
    return entry is not None


def _explain_the_rest(connection: Connection, folder: DataFolder, kept: _Kept, found: Rebuilt) -> None:
    """Blobs that no line names are those of a line that was lost: `tree/` may tell what they are. It never shows private archives."""
    rest = kept.unexplained
    if not rest:
        return
    for archive, sha256 in Tree(folder.tree):
        if sha256 in rest and _sha256_of(kept.blobs.path(sha256)) == sha256:
            found.recovered.append(_recovered(archive, sha256, kept.blobs))
    if found.recovered:
        connection.execute(insert(versions), [values_of(record) for record in found.recovered])
    found.unexplained = sorted(rest - {record.sha256 for record in found.recovered})


def _recovered(archive: ArchiveId, sha256: str, blobs: Blobs) -> Record:
    """Where the bytes came from is lost, so they count as brought by somebody."""
    status = blobs.path(sha256).stat()
    return Record(archive, sha256, status.st_size, fetched=status.st_mtime, source="adopted")


def _sha256_of(blob: Path) -> str:
    with blob.open("rb", buffering=0) as file:
        return digests_of(iter(partial(file.read, _STEP), b""), md5=False).sha256


def _write_down(found: Rebuilt, folder: DataFolder) -> None:
    """What was found out without the journal is in it from now on; what stays unexplained is kept from `gc`."""
    journal, blobs = Journal(folder.journal), Blobs(folder.blobs)
    for record in found.recovered:
        journal.append(record)
    for sha256 in found.unexplained:
        durable.make_folder(folder.quarantine)
        blobs.take(sha256, folder.unexplained)
    folder.set_aside.unlink(missing_ok=True)


def _drop_lost(connection: Connection, kept: _Kept, found: Rebuilt) -> None:
    """Versions whose blob is not there, or has another size: whether its bytes are right is for `verify` to say."""
    every = connection.execute(select(versions.c.id, versions.c.key, versions.c.scheme, versions.c.sha256, versions.c.size))
    lost = [row for row in every.yield_per(_BATCH) if kept.sizes.get(row.sha256) != row.size]
    found.lost += [f"{row.scheme}://{archive_of(row.key)} ({row.sha256[:8]})" for row in lost]
    if lost:
        connection.execute(delete(versions).where(versions.c.id == bindparam("which")), [{"which": row.id} for row in lost])


def _settle(connection: Connection) -> None:
    """What is current, and the totals, follow from the versions, as in `Writing.publish`; nearly all archives have but one."""
    several = select(versions.c.key).group_by(versions.c.key).having(func.count() > 1)
    state = case((versions.c.source.in_(VOUCHED), "verified"), (versions.c.source == "adopted", "adopted"), else_="computed")
    _make_current(connection, select(*FACTS, state.label("state")).where(versions.c.key.not_in(several)))
    latest = func.row_number().over(partition_by=versions.c.key, order_by=(versions.c.fetched.desc(), versions.c.sha256))
    ranked = select(*FACTS, latest.label("place")).where(versions.c.key.in_(several)).subquery()
    facts = [ranked.c[column.name] for column in FACTS]
    _make_current(connection, select(*facts, literal("changed").label("state")).where(ranked.c.place == 1))
    blobs = select(versions.c.sha256, versions.c.size).distinct().subquery()
    for name, value in (
        ("archives", select(func.count()).select_from(archives)),
        ("archive_bytes", select(func.coalesce(func.sum(archives.c.size), 0))),
        ("blob_bytes", select(func.coalesce(func.sum(blobs.c.size), 0))),
    ):
        connection.execute(insert(counters).values(name=name, value=value.scalar_subquery()))
    recount(connection)


def _make_current(connection: Connection, chosen: Select[Any]) -> None:
    """Makes archives of versions, with their states."""
    known = chosen.subquery().c
    origin = func.substr(known.key, 1, func.instr(known.key, "/") - 1)
    row = [*known, origin.label("origin"), literal(0).label("hits"), known.fetched.label("used")]
    names = [*(column.name for column in known), "origin", "hits", "used"]
    connection.execute(insert(archives).from_select(names, select(*row)))


@contextmanager
def _indexed_at_the_end(connection: Connection, table: Table) -> Iterator[None]:
    """Sorting a million rows once is much faster than putting each into its place."""
    for index in table.indexes:
        index.drop(connection)
    yield
    for index in table.indexes:
        index.create(connection)


def _set_aside(place: Path) -> Path | None:
    """Moves a database, with its log, out of the way; nothing of it is deleted."""
    aside = place.with_name(f"{place.name}.aside-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}")
    there = [side for side in _SIDES if Path(f"{place}{side}").exists()]
    for side in there:
        Path(f"{place}{side}").rename(f"{aside}{side}")
    return aside if there else None


def _remove(database: Path) -> None:
    for side in _SIDES:
        Path(f"{database}{side}").unlink(missing_ok=True)
