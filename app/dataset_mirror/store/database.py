"""The index' SQLite database: how it is opened, for reading only where nothing can be written, and what its errors mean."""

import errno
import logging
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.engine import ExceptionContext, make_url
from sqlalchemy.pool import QueuePool

from dataset_mirror.errors import DataFolderError, IndexDamaged, MirrorError, StoreFull
from dataset_mirror.store import durable

log = logging.getLogger(__name__)

REBUILD = "The archives are safe; rebuild the index from archives.ndjson: dataset-mirror doctor --rebuild."
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_UNREADABLE = (sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ)
_UNWRITABLE = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR)
WRITING = "writing"
"""Key in a connection's `info` during a write transaction."""
_PROBE = 64 * 1024

Failed = Callable[[MirrorError], None]
"""Is told each error of the database that has a meaning for people."""


def meaning(error: BaseException | None, place: object) -> MirrorError | None:
    """What an error of SQLite means for the mirror: IndexDamaged, StoreFull if nothing can be written, or nothing of these.

    `place` is the database's file, or in words what was to be written.
    """
    code: int = getattr(error, "sqlite_errorcode", 0)
    if code & 0xFF in _DAMAGED or code in _UNREADABLE or "Could not decode" in str(error):
        return damaged(place, error)
    if code & 0xFF in _UNWRITABLE:
        what = place if isinstance(place, str) else f"The index {place}"
        return StoreFull(f"{what} cannot be written: {error}.", "Make room on its disk, or make it writable; then ask again.")
    return None


def damaged(place: object, why: object) -> IndexDamaged:
    """The error of an index of which something cannot be read."""
    which = "" if isinstance(place, str) else f" {place}"
    return IndexDamaged(f"The index{which} is damaged: {why}.", REBUILD)


def place_of(url: str | URL) -> Path:
    """The database's file."""
    return Path(make_url(url).database or "")


def for_writing(url: str | URL, failed: Failed, *, creates: bool = True) -> Engine:
    """Explicit BEGIN and COMMIT: the driver's own begin late, and a reader would keep an old snapshot.

    One that `creates` nothing has no connection if the file is missing.
    """
    place, settings = place_of(url), {"check_same_thread": False, "timeout": 30}
    if creates:
        with suppress(OSError):  # SQLite says better what cannot be; its log has the permissions of the file that is there
            os.close(durable.open_file(place, os.O_RDWR | os.O_CREAT))
    else:
        url = URL.create("sqlite", database=f"file:{quote(str(place.absolute()))}", query={"mode": "rw", "uri": "true"})
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=QueuePool, connect_args=settings)

    @event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _: object) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    _translate(engine, place, failed)
    return engine


class ForReading:
    """A database on a disk that takes no more bytes, which it would need to be read together with others. `close` when done."""

    def __init__(self, url: str | URL, failed: Failed) -> None:
        """DataFolderError if it has a log, and there is no place where both can be copied to."""
        place, self._copied = place_of(url), None
        log_file = Path(f"{place}-wal")
        if log_file.is_file() and log_file.stat().st_size:
            self._copied = _copy(place, log_file)
            target = f"file:{quote(str(Path(self._copied.name) / place.name))}"
        else:
            target = f"file:{quote(str(place))}?immutable=1"
        self.engine = create_engine(
            "sqlite://",
            isolation_level="AUTOCOMMIT",
            poolclass=QueuePool,
            creator=lambda: sqlite3.connect(target, uri=True, check_same_thread=False),
        )
        _translate(self.engine, place, failed)

    def close(self) -> None:
        self.engine.dispose()
        if self._copied:
            self._copied.cleanup()


def _copy(*files: Path) -> "tempfile.TemporaryDirectory[str]":
    """The files in a folder of their own, on another disk."""
    for folder in dict.fromkeys((tempfile.gettempdir(), "/dev/shm")):
        with suppress(OSError):
            copied = tempfile.TemporaryDirectory(prefix="dataset-mirror-", dir=folder)
            try:
                for file in files:
                    shutil.copyfile(file, Path(copied.name) / file.name)
            except OSError:
                copied.cleanup()
                continue
            return copied
    raise DataFolderError(
        f"The index {files[0]} can neither be opened nor copied: no disk has room.", "Make room, or set TMPDIR to a folder that has some."
    )


def _translate(engine: Engine, place: Path, failed: Failed) -> None:
    """Errors come out as what they mean; but of a write that found no room: what was to be written is for the store to say."""

    @event.listens_for(engine, "handle_error")
    def _said(context: ExceptionContext) -> None:
        said = meaning(context.original_exception, place)
        if said and not (isinstance(said, StoreFull) and context.connection and context.connection.info.get(WRITING)):
            failed(said)
            raise said from context.original_exception


def why_unwritable(folder: Path) -> str | None:
    """Why nothing at all can be written there, if the disk is full or read-only; None if it is not that."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=".probe-", dir=folder)
    except OSError as error:
        return _of_disk(error)
    try:
        os.posix_fallocate(descriptor, 0, _PROBE)
    except OSError as error:
        return _of_disk(error)
    finally:
        os.close(descriptor)
        Path(name).unlink(missing_ok=True)
    return None


def _of_disk(error: OSError) -> str | None:
    return error.strerror if error.errno in (errno.EROFS, errno.ENOSPC, errno.EDQUOT) else None
