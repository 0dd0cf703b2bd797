"""The data folder: its layout, its fingerprint, and what it is on."""

import contextlib
import errno
import json
import logging
import os
import shlex
import stat
from pathlib import Path

from sqlalchemy import URL

from dataset_mirror.errors import DataFolderError
from dataset_mirror.store import durable

log = logging.getLogger(__name__)

LAYOUT = 1
OTHERS = 0o027
"""Permissions that the data folder has not: for others, and for its group to write."""
AS_IT_IS = (errno.EROFS, errno.ENOSPC, errno.EDQUOT)
"""Errors of a disk that cannot be written now: a data folder on it is used as it is."""
OWN = "Give one that you may write: --data DIR."
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
        return DataFolderError(f"The data folder {self.root} cannot be used: {_why(self.root, error)}.", OWN)

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
            if error.errno not in AS_IT_IS:
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
                "Mount the data folder's disk. To start again with nothing, move the index away.",
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
