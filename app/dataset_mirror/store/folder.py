"""The data folder: its layout, its fingerprint, and the lock of the one process that fills it."""

import fcntl
import json
import os
import time
from pathlib import Path

from sqlalchemy import URL

from dataset_mirror.errors import DataFolderError

LAYOUT = 1
_ATTEMPTS, _PAUSE = 20, 0.05
NETWORK_FILE_SYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "afs")


class DataFolder:
    """The paths of everything in a data folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.blobs = root / "blobs"
        self.partial = root / "partial"
        self.tree = root / "tree"
        self.quarantine = root / "quarantine"
        self.journal = root / "archives.ndjson"
        self.index = root / "index.db"
        self.lock = root / "serve.lock"
        self.ca = root / "ca" / "ca.pem"
        self.ca_key = root / "ca" / "key.pem"
        self.ca_earlier = root / "ca" / "earlier.pem"
        self._fingerprint = root / "layout.json"

    def prepare(self) -> None:
        """Creates what is missing. DataFolderError if it cannot be written, or has another layout: nothing is ever wiped."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            if not self._fingerprint.exists():
                self._refuse_foreign()
                fresh = self._fingerprint.with_suffix(f".{os.getpid()}")
                fresh.write_text(json.dumps({"program": "dataset-mirror", "layout": LAYOUT}) + "\n")
                fresh.replace(self._fingerprint)
            layout = _layout(self._fingerprint.read_bytes())
            if layout == LAYOUT:
                self.partial.mkdir(exist_ok=True)
        except OSError as error:
            raise DataFolderError(
                f"The data folder {self.root} cannot be used: {error.strerror}.", "Give one that you may write: --data DIR."
            ) from None
        if layout != LAYOUT:
            raise DataFolderError(
                f"The data folder {self.root} has layout {layout}; this program knows {LAYOUT}.",
                "Use the version of dataset-mirror that made it, or another folder: --data DIR.",
            )

    @property
    def exists(self) -> bool:
        """Whether a mirror keeps its data here."""
        return self._fingerprint.exists()

    def _refuse_foreign(self) -> None:
        """A folder without a fingerprint is somebody else's if it has our names: `partial/` would be cleaned at the start."""
        ours = (self.blobs, self.partial, self.tree, self.quarantine, self.journal, self.index)
        foreign = [path.name for path in ours if path.exists()]
        if foreign:
            raise DataFolderError(
                f"The folder {self.root} has {', '.join(foreign)}, but was not made by dataset-mirror.", "Give another one: --data DIR."
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


class FillLock:
    """Held by the one process that fills a data folder; says who it is."""

    def __init__(self, path: Path) -> None:
        """Takes the lock. DataFolderError, naming the holder, if another process has it."""
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
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
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if _read(self._fd):
                    return False
                time.sleep(_PAUSE)  # a holder without a name only looks (`server_of`), or is about to write its name
            else:
                return True
        return False

    def announce(self, url: str | None) -> None:
        """Writes who holds the lock and, for a server, the URL at which other commands can ask it."""
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, json.dumps({"pid": os.getpid(), "url": url}).encode(), 0)

    def release(self) -> None:
        os.ftruncate(self._fd, 0)
        os.close(self._fd)


def server_of(folder: DataFolder) -> str | None:
    """The URL of the live server that holds the folder's lock, or None."""
    try:
        descriptor = os.open(folder.lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(descriptor).get("url")
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
