"""The lock of the one process that fills a data folder, which says who that is and at which URL it is asked."""

import contextlib
import fcntl
import json
import os
import time
from pathlib import Path

from dataset_mirror.errors import DataFolderError
from dataset_mirror.store import durable
from dataset_mirror.store.folder import AS_IT_IS, OWN, DataFolder
from dataset_mirror.store.locks import NoLocks, lock, started, ticks

_ATTEMPTS, _PAUSE = 20, 0.05
_SAID = 512
"""Bytes that a lock's file has at least, whatever it says: so a full disk has room for it."""


class FillLock:
    """Held by the one process that fills a data folder; says who it is. On a disk that is read-only nobody fills, and there is none."""

    def __init__(self, path: Path) -> None:
        """Takes the lock. DataFolderError, naming the holder, if another process has it."""
        self._path = path
        self._named: Path | None = None
        self._said = b""
        """What stands in the file, if it could be written."""
        try:
            self._fd = durable.open_file(path, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            if error.errno not in AS_IT_IS:
                raise DataFolderError(f"The lock {path} cannot be opened: {error.strerror}.", OWN) from None
            self._fd = -1
            return
        if not self._taken():
            holder = _read(self._fd)
            os.close(self._fd)
            where = f" at {holder['url']}" if holder.get("url") else ""
            raise DataFolderError(
                f"The data folder {path.parent} is in use by process {holder.get('pid', 'unknown')}{where}.",
                "Stop that one, or give another folder: --data DIR.",
            )
        self.announce(None)

    def _taken(self) -> bool:
        for _ in range(_ATTEMPTS):
            try:
                lock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if _read(self._fd):
                    return False
                time.sleep(_PAUSE)  # a holder without a name only looks (`server_of`), or is about to write its name
            except NoLocks:
                return self._taken_by_name()
            else:
                return True
        return False

    def _taken_by_name(self) -> bool:
        """A file that only one process can make; one that was left by a process that is no more is taken over."""
        named = _beside(self._path)
        for _ in range(_ATTEMPTS):
            try:
                os.close(os.open(named, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, durable.FILE))
            except FileExistsError:
                if _is_alive(named, self._fd):
                    return False
                named.unlink(missing_ok=True)
            else:
                self._named = named
                return True
        return False

    def announce(self, url: str | None) -> None:
        """Writes who holds the lock and, for a server, the URL at which other commands can ask it."""
        self._said = json.dumps({"pid": os.getpid(), "url": url, "began": _ticks(os.getpid())}).encode().ljust(_SAID)
        self.renew()

    def renew(self) -> None:
        """Writes it again if it is not there: a disk that was full may have room by now."""
        with contextlib.suppress(OSError):
            if self._fd >= 0 and os.pread(self._fd, len(self._said) + 1, 0) != self._said:
                os.pwrite(self._fd, self._said, 0)
                os.ftruncate(self._fd, len(self._said))

    def release(self) -> None:
        if self._fd < 0:
            return
        self._said = b" " * _SAID  # its place on the disk stays, for the next holder's name
        self.renew()
        if self._named:
            self._named.unlink(missing_ok=True)
        os.close(self._fd)
        self._fd = -1


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.held")


def _is_alive(named: Path, descriptor: int) -> bool:
    """Whether the process that the lock names runs, since before it took it; one that has not written its name yet, does."""
    holder = _read(descriptor)
    try:
        at = named.stat().st_mtime
    except FileNotFoundError:
        return False
    if "pid" not in holder:
        return time.time() - at < _ATTEMPTS * _PAUSE
    if "began" in holder:  # without it a clock that is set meanwhile would make another process of it
        return holder["began"] == str(_ticks(int(holder["pid"])))
    began = started(int(holder["pid"]))
    return began is not None and began <= at + 1


def _ticks(process: int) -> int | None:
    try:
        return ticks(process)
    except OSError:
        return None


def server_of(folder: DataFolder) -> str | None:
    """The URL of the live server that holds the folder's lock, or None."""
    try:
        descriptor = os.open(folder.lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        lock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(descriptor).get("url")
    except NoLocks:
        named = _beside(folder.lock)
        return _read(descriptor).get("url") if named.exists() and _is_alive(named, descriptor) else None
    else:
        return None
    finally:
        os.close(descriptor)


def _read(descriptor: int) -> dict[str, str]:
    try:
        known = json.loads(os.pread(descriptor, 4096, 0))
    except ValueError:
        return {}
    return {key: str(value) for key, value in known.items() if value is not None}
