"""Files that are there whole or not at all, and stay so when the power goes: bytes, fsync, rename, fsync of the folder."""

import ctypes
import errno
import logging
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

log = logging.getLogger(__name__)

FOLDER, FILE, SECRET = 0o750, 0o640, 0o600
"""Permissions of what the mirror keeps, whatever the umask: its group may read, nobody else."""
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.EACCES, errno.EISDIR)
_told: set[int] = set()


@contextmanager
def replacing(target: Path, mode: int = FILE) -> Iterator[int]:
    """A descriptor of a new file, which durably takes the place of `target` if the block ends well, and is gone otherwise.

    OSError if it cannot be written as a whole; `target` is then what it was.
    """
    descriptor, fresh = tempfile.mkstemp(prefix=f".{target.name[:100]}-", dir=target.parent)  # 0600 until it is whole
    try:
        try:
            yield descriptor
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        put(Path(fresh), target)
    finally:
        Path(fresh).unlink(missing_ok=True)


def replace(target: Path, content: bytes, mode: int = FILE) -> None:
    """Makes `content` what is in `target`, as `replacing` does. Blocks."""
    with replacing(target, mode) as descriptor:
        write_all(descriptor, content)


def put(fresh: Path, target: Path) -> None:
    """Renames a durable file to its place, durably."""
    fresh.replace(target)
    sync_folder(target.parent)


def write_all(descriptor: int, content: bytes | memoryview) -> None:
    """Writes all of it: one call may write less, at the end of a disk above all. OSError if it does not fit."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def make_folder(folder: Path) -> None:
    """Makes a folder, if it is missing, with the mirror's permissions; its parent must be there."""
    try:
        folder.mkdir(FOLDER)
    except FileExistsError:
        if not folder.is_dir():
            raise
    else:
        folder.chmod(FOLDER)


def tighten(file: Path) -> None:
    """Takes permissions away that a file of the mirror has too many, and gives those that it lacks, where that can be done."""
    with suppress(OSError):
        if stat.S_IMODE(file.stat().st_mode) != FILE:
            file.chmod(FILE)


def open_durable(file: Path, flags: int) -> int:
    """As `open_file`, for one that is made if it is missing: its name is then durable, too."""
    try:
        return open_file(file, flags)
    except FileNotFoundError:
        descriptor = open_file(file, flags | os.O_CREAT)
    try:
        sync_folder(file.parent)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def open_file(file: Path, flags: int) -> int:
    """The descriptor of a file, which is made with the mirror's permissions if `flags` say that it may be."""
    try:
        return os.open(file, flags & ~(os.O_CREAT | os.O_EXCL) | os.O_CLOEXEC) if not flags & os.O_EXCL else _made(file, flags)
    except FileNotFoundError:
        if not flags & os.O_CREAT:
            raise
        return _made(file, flags)


def _made(file: Path, flags: int) -> int:
    descriptor = os.open(file, flags | os.O_CLOEXEC, FILE)
    os.fchmod(descriptor, FILE)
    return descriptor


def sync_file(file: Path) -> None:
    """Makes the bytes of a file durable."""
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Makes what was renamed in a folder durable. SMB, vboxsf and others cannot do that for a folder: there all of the disk is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
        _sync_disk(folder, descriptor, error)
    finally:
        os.close(descriptor)


def _sync_disk(folder: Path, descriptor: int, error: OSError) -> None:
    device = os.fstat(descriptor).st_dev
    if device not in _told:
        _told.add(device)
        log.warning("The file system of %s cannot fsync folders (%s); the whole file system is synced instead.", folder, error.strerror)
    syncfs = getattr(ctypes.CDLL(None), "syncfs", None)
    if syncfs is None or syncfs(descriptor) != 0:
        os.sync()
