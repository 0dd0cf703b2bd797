"""The data folder: its layout, its fingerprint, and the lock of the one process that fills it."""

import contextlib
import errno
import fcntl
import json
import logging
import os
import shlex
import stat
import time
from pathlib import Path

from sqlalchemy import URL

from dataset_mirror.errors import DataFolderError
from dataset_mirror.store import durable
from dataset_mirror.store.locks import NoLocks, lock, started, ticks

log = logging.getLogger(__name__)

LAYOUT = 1
OTHERS = 0o027
"""Permissions that the data folder has not: for others, and for its group to write."""
_AS_IT_IS = (errno.EROFS, errno.ENOSPC, errno.EDQUOT)
_OWN = "Give one that you may write: --data DIR."
_ATTEMPTS, _PAUSE = 20, 0.05
_SAID = 512
"""Bytes that a lock's file has at least, whatever it says: so a full disk has room for it."""
NETWORK_FILE_SYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "afs")


class DataFolder:
    """The paths of everything in a data folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.blobs = root / "blobs"
        self.partial = root / "partial"
        self.tree = root / "tree"
        self.quarantine = root / "quarantine"
        self.unexplained = self.quarantine / "unexplained"
        """Blobs of which nothing says what they are: a rebuild puts them here, and nobody but people takes them away."""
        self.set_aside = root / "set-aside.ndjson"
        """Lines of the journal that could not be completed."""
        self.journal = root / "archives.ndjson"
        self.index = root / "index.db"
        self.pins = root / "pins.json"
        self.lock = root / "serve.lock"
        self.key = root / "api.key"
        self.ca = root / "ca" / "ca.pem"
        self.ca_key = root / "ca" / "key.pem"
        self.ca_earlier = root / "ca" / "earlier.pem"
        self._fingerprint = root / "layout.json"

    def prepare(self, index: Path | None = None) -> None:
        """Creates what is missing, with the mirror's permissions. DataFolderError if it cannot be used: nothing is ever wiped.

        One that is there and cannot be written now is used as it is. None is begun beside an `index` elsewhere that is there already.
        """
        try:
            if not self.exists:
                self._refuse_lost(index)
                self._make()
        except OSError as error:
            raise self._unusable(error) from None
        self.check()
        self._complete()

    def check(self) -> None:
        """DataFolderError if it is not there, or has a layout that is not ours; creates nothing."""
        try:
            layout = _layout(self._fingerprint.read_bytes())
        except OSError as error:
            raise self._unusable(error) from None
        if layout != LAYOUT:
            raise DataFolderError(
                f"The data folder {self.root} has layout {layout}; this program knows {LAYOUT}.",
                "Use the version of dataset-mirror that made it, or another folder: --data DIR.",
            )

    def _unusable(self, error: OSError) -> DataFolderError:
        return DataFolderError(f"The data folder {self.root} cannot be used: {_why(self.root, error)}.", _OWN)

    def _make(self) -> None:
        new = not self.root.exists()
        self.root.mkdir(parents=True, exist_ok=True)
        self._refuse_foreign()
        durable.replace(self._fingerprint, json.dumps({"program": "dataset-mirror", "layout": LAYOUT}).encode() + b"\n")
        if new:
            self.root.chmod(durable.FOLDER)

    def _complete(self) -> None:
        """The folder that is missing, and permissions that are too wide: those of the data folder keep others from all that is in it."""
        try:
            durable.make_folder(self.partial)
        except OSError as error:
            if error.errno not in _AS_IT_IS:
                raise self._unusable(error) from None
            log.warning("The data folder %s cannot be written: %s.", self.root, error.strerror)
        with contextlib.suppress(OSError):  # somebody else's, or a disk that has no permissions: `doctor` says it
            mode = stat.S_IMODE(self.root.stat().st_mode)
            if mode & OTHERS:
                self.root.chmod(mode & ~OTHERS)
                log.warning("The permissions of %s were too wide (%o): others on this machine have none now.", self.root, mode)

    @property
    def exists(self) -> bool:
        """Whether a mirror keeps its data here."""
        try:
            return self._fingerprint.exists()
        except OSError:  # a folder that may not be looked into
            return False

    def check_made(self) -> None:
        """DataFolderError, with the command that helps, if a folder that has a mirror's files does not say that a mirror made it."""
        if not self.exists:
            mark = json.dumps({"program": "dataset-mirror", "layout": LAYOUT})
            raise DataFolderError(
                f"The folder {self.root} has no {self._fingerprint.name}, which says that a mirror made it.",
                f"Restore it, too; or, if this is your backup: echo '{mark}' > {shlex.quote(str(self._fingerprint))}",
            )

    def _refuse_lost(self, index: Path | None) -> None:
        """An index elsewhere knows what was in this folder: another disk is mounted there now, or none."""
        if index is not None and index.is_file():
            raise DataFolderError(
                f"There is no mirror's data in {self.root}, though its index {index} is there.",
                "Mount the data folder's disk; or, to begin anew, move the index away.",
            )

    def _refuse_foreign(self) -> None:
        """A folder without a fingerprint is somebody else's if it has our names: `partial/` would be cleaned at the start."""
        ours = (self.blobs, self.partial, self.tree, self.quarantine, self.journal, self.index)
        foreign = [path.name for path in ours if path.exists()]
        if foreign:
            raise DataFolderError(
                f"The folder {self.root} has {', '.join(foreign)}, but was not made by dataset-mirror.", "Choose another: --data DIR."
            )

    def index_url(self, configured: str | None) -> str | URL:
        """The index' database URL. DataFolderError if it would lie on a network file system, where SQLite's WAL does not work."""
        kind = file_system(self.root)
        if configured is None and kind in NETWORK_FILE_SYSTEMS:
            raise DataFolderError(
                f"The data folder {self.root} is on {kind}, where the index' database cannot work.",
                'Keep the index on a local disk: database = "sqlite:////var/lib/dataset-mirror/index.db" in mirror.toml.',
            )
        return configured or URL.create("sqlite", database=str(self.index.absolute()))


def _layout(fingerprint: bytes) -> object:
    try:
        known = json.loads(fingerprint)
    except ValueError:
        known = None
    return known.get("layout", "unknown") if isinstance(known, dict) else "unknown"


def file_system(path: Path) -> str:
    """The kind of file system that `path` is on, such as `ext4`; `unknown` where the kernel does not tell."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return "unknown"
    device = path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    kinds = [line.partition(" - ")[2].split()[0] for line in mounts if line.split()[2] == number]
    return kinds[-1] if kinds else "unknown"


def _why(root: Path, error: OSError) -> str:
    return "It is a file" if root.is_file() else error.strerror or str(error)


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
            if error.errno not in _AS_IT_IS:
                raise DataFolderError(f"The lock {path} cannot be opened: {error.strerror}.", _OWN) from None
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
