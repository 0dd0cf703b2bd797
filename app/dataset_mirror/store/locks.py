"""Locks on files. Where the file system has none (Lustre without `flock`), a holder is known by the process that it names."""

import errno
import fcntl
import logging
import os
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)
_told: set[int] = set()


class NoLocks(OSError):
    """The file system of this file has no locks; the log has said so once."""


def lock(descriptor: int, how: int) -> None:
    """`flock`; NoLocks where the file system has none, BlockingIOError if somebody has it and `how` says not to wait."""
    try:
        fcntl.flock(descriptor, how)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        device = os.fstat(descriptor).st_dev
        if device not in _told:
            _told.add(device)
            log.warning("The data folder's file system has no locks (%s); processes are told apart by their names there.", error.strerror)
        raise NoLocks(error.errno, error.strerror) from None


def hold(descriptor: int) -> None:
    """Waits for the lock; where there are none nothing is held."""
    with suppress(NoLocks):
        lock(descriptor, fcntl.LOCK_EX)


def is_held(descriptor: int, path: Path) -> bool:
    """Whether some process writes the file: without locks, the one whose number its name begins with, if it ran when it was written."""
    try:
        lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except NoLocks:
        number = path.name.removeprefix("in-").partition("-")[0]
        began = started(int(number)) if number.isdecimal() else None
        return began is not None and began <= os.fstat(descriptor).st_mtime + 1
    return False


def started(process: int) -> float | None:
    """When a process of this machine began, in seconds since the epoch, within a second or so; None if there is no such one."""
    try:
        since_boot = ticks(process)
        boot = next(line for line in Path("/proc/stat").read_text(encoding="latin-1").splitlines() if line.startswith("btime"))
    except (OSError, StopIteration):
        return _is_alive(process)
    return int(boot.split()[1]) + since_boot / os.sysconf("SC_CLK_TCK")


def ticks(process: int) -> int:
    """When a process began, by a clock that nobody sets; OSError if there is no such one, or no /proc."""
    return int(Path(f"/proc/{process}/stat").read_text(encoding="latin-1").rpartition(")")[2].split()[19])


def _is_alive(process: int) -> float | None:
    """Where there is no /proc: as if it had run for ever."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return 0.0
