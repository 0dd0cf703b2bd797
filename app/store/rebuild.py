"""The index made anew, from `archives.ndjson` and the blobs: a lost or damaged database is not a lost mirror."""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, case, delete, func, insert, literal, select
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.engine import make_url

from app.errors import DataFolderError
from app.settings import Settings
from app.store.blobs import Blobs, sync_folder
from app.store.folder import DataFolder, FillLock
from app.store.index import Index, values_of
from app.store.journal import Entry, Removal, entry_of
from app.store.record import Record, archive_of
from app.store.schema import archives, counters, versions

_BATCH = 10_000
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
    lost: list[str] = field(default_factory=list)
    """Archives, of which some bytes are not there any more, or not all of them: URLs, with the digest."""
    aside: Path | None = None
    """Where the database of before was put."""


def rebuild(settings: Settings, report: Report = lambda done, total: None) -> Rebuilt:
    """Makes the index anew; nothing is changed if that fails. Hits, last uses and the wanted list begin afresh. Blocks.

    DataFolderError if another process fills the folder, or if there is nothing to make an index from. A kill at any moment is
    harmless: either the database of before is in its place, or none is, and the next start says what to do.
    """
    folder = DataFolder(settings.data.absolute())
    if not folder.exists or not folder.journal.exists():
        raise DataFolderError(f"There is no {folder.journal}, from which an index could be made.", "Give the mirror's folder: --data DIR.")
    place = Path(make_url(folder.index_url(settings.database)).database or folder.index)
    lock = FillLock(folder.lock)
    fresh = place.with_name(f"{place.name}.new")
    try:
        _remove(fresh)
        found = _made(fresh, folder, report)
        found.aside = _set_aside(place)
        fresh.rename(place)
        sync_folder(place.parent)
        return found
    finally:
        _remove(fresh)
        lock.release()


def _made(fresh: Path, folder: DataFolder, report: Report) -> Rebuilt:
    found = Rebuilt()
    index = Index(f"sqlite:///{fresh}")
    try:
        with index.transaction() as writing:
            _replay(writing.connection, folder.journal, found, report)
            _drop_lost(writing.connection, Blobs(folder.blobs), found)
            _settle(writing.connection)
        found.archives = index.total("archives")
    finally:
        index.close()  # the last connection: SQLite moves the log into the database then, and removes it
    return found


def _replay(connection: Connection, journal: Path, found: Rebuilt, report: Report) -> None:
    """Every publication and removal, in the order in which they happened."""
    total, done = journal.stat().st_size, 0
    batch: list[dict[str, Any]] = []
    for size, entry in _entries(journal):
        done += size
        found.lines += 1
        if isinstance(entry, Record):
            batch.append(values_of(entry))
        elif entry is None:
            found.torn += 1
        if isinstance(entry, Removal) or len(batch) >= _BATCH:
            _publish(connection, batch)
            report(done, total)
        if isinstance(entry, Removal):
            _forget(connection, entry)
    _publish(connection, batch)
    report(total, total)


def _entries(journal: Path) -> Iterator[tuple[int, Entry | None]]:
    """Bytes and meaning of each line."""
    with journal.open("rb") as file:
        for line in file:
            if line.strip():
                yield len(line), entry_of(line)


def _publish(connection: Connection, batch: list[dict[str, Any]]) -> None:
    """Adds versions as `Writing.publish` does."""
    if batch:
        add = upsert(versions)
        newer = {name: func.max(versions.c[name], add.excluded[name]) for name in ("fetched", "checked")}
        connection.execute(add.on_conflict_do_update(["key", "sha256"], set_=newer | {"private": add.excluded.private}), batch)
        batch.clear()


def _forget(connection: Connection, removal: Removal) -> None:
    which = versions.c.key == str(removal.archive)
    if removal.sha256 is not None:
        which &= versions.c.sha256 == removal.sha256
    connection.execute(delete(versions).where(which))


def _drop_lost(connection: Connection, blobs: Blobs, found: Rebuilt) -> None:
    """Versions whose blob is not there, or has another size: whether its bytes are right is for `verify` to say."""
    known = connection.execute(select(versions.c.sha256, versions.c.size).distinct()).yield_per(_BATCH)
    for sha256, size in [(sha256, size) for sha256, size in known if blobs.size(sha256) != size or not blobs.has(sha256)]:
        which = (versions.c.sha256 == sha256) & (versions.c.size == size)
        for row in connection.execute(select(versions.c.key, versions.c.scheme).where(which)).all():
            found.lost.append(f"{row.scheme}://{archive_of(row.key)} ({sha256[:8]})")
        connection.execute(delete(versions).where(which))


def _settle(connection: Connection) -> None:
    """What is current, and the totals, follow from the versions, as in `Writing.publish`."""
    facts = [column for column in versions.c if column.name != "id"]
    by_archive = func.row_number().over(partition_by=versions.c.key, order_by=(versions.c.fetched.desc(), versions.c.sha256))
    number = func.count().over(partition_by=versions.c.key)
    ranked = select(*facts, by_archive.label("place"), number.label("number")).subquery()
    known = ranked.c
    row = {
        **{column.name: known[column.name] for column in facts},
        "origin": func.substr(known.key, 1, func.instr(known.key, "/") - 1),
        "hits": literal(0),
        "used": known.fetched,
        "state": case((known.number > 1, "changed"), (known.source == "catalog", "verified"), else_="computed"),
    }
    current = select(*(value.label(name) for name, value in row.items())).where(known.place == 1)
    with _indexed_at_the_end(connection, archives):
        connection.execute(insert(archives).from_select(list(row), current))
    blobs = select(versions.c.sha256, versions.c.size).distinct().subquery()
    for name, value in (
        ("archives", select(func.count()).select_from(archives)),
        ("archive_bytes", select(func.coalesce(func.sum(archives.c.size), 0))),
        ("blob_bytes", select(func.coalesce(func.sum(blobs.c.size), 0))),
    ):
        connection.execute(insert(counters).values(name=name, value=value.scalar_subquery()))


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
