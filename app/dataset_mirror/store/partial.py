"""The file of a fill while it grows. Written at any offset, read by offset; never seeks, since a reader may be sending it."""

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from dataset_mirror.store.durable import open_file
from dataset_mirror.store.intervals import Intervals
from dataset_mirror.store.locks import hold, is_held


def journal_of(partial: Path) -> Path:
    """Where the journal of a partial file is, if it has one: see `resumable.py`."""
    return partial.with_name(f"{partial.name}.json")


def remove_unheld(path: Path) -> int:
    """Removes a file of `partial/` unless some process is writing it; returns the bytes that were freed. Blocks for a moment."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    except OSError:  # a link, a socket: nobody writes that
        path.unlink(missing_ok=True)
        return 0
    try:
        if is_held(descriptor, path):
            return 0
        path.unlink(missing_ok=True)
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


class PartialFile:
    """A growing file and the set of byte intervals that are in it.

    It is held (flock) until it is closed, and its readers' duplicates are: `import` writes beside a server that starts and
    clears `partial/`, and that must know what still grows.

    Only `pread` and `pwrite` are used: asyncio seeks a file that it sends, so a shared position would be wrong.
    """

    def __init__(self, path: Path, have: Iterable[tuple[int, int]] | None = None) -> None:
        """A new file, FileExistsError if there is one; with `have` the one that is there, of which these intervals are right."""
        self.path = path
        self.have = Intervals()
        for start, end in have or ():
            self.have.add(start, end)
        new = os.O_CREAT | os.O_EXCL if have is None else os.O_NOFOLLOW
        self._fd = open_file(path, os.O_RDWR | new)
        hold(self._fd)
        if os.fstat(self._fd).st_nlink == 0:  # cleared between its making and the lock
            os.close(self._fd)
            raise FileNotFoundError(errno.ENOENT, "the file was cleared away", str(path))

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Puts `data` at `offset`. Raises OSError (ENOSPC) with nothing recorded of what did not get there."""
        view = memoryview(data)
        while view:
            written = os.pwrite(self._fd, view, offset)
            self.have.add(offset, offset + written)
            view, offset = view[written:], offset + written

    def read(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes at `offset`, as far as the file goes."""
        return os.pread(self._fd, count, offset)

    @property
    def prefix(self) -> int:
        """Bytes that are there without a gap from the beginning."""
        return self.have.end_of(0)

    def duplicate(self) -> BinaryIO:
        """The same file for a reader that may outlive the fill; the caller closes it. Read it by offset only."""
        return os.fdopen(os.dup(self._fd), "rb", buffering=0)

    def sync(self) -> None:
        """Makes the bytes durable; blocks."""
        os.fsync(self._fd)

    def sync_data(self) -> None:
        """Makes the bytes durable, but not what the system notes beside them; blocks."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Closes the writer's descriptor; readers have their own."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def discard(self) -> None:
        """Closes and removes the file, its journal first: never is there a journal of other bytes."""
        self.close()
        journal_of(self.path).unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)
