"""Files copied and hashed in one go: sharing the blocks of the original where the file system can (reflink).

Never by a hard link between the store and a place where somebody may write: Keras writes a file that it fetches again in
place, and that would be the blob.
"""

import fcntl
import os
import sys
from collections.abc import Iterator

from dataset_mirror.store.digests import Digests, Hashing

STEP = 1024 * 1024
_FICLONE = 0x40049409
"""Linux's request to share the blocks of another file: btrfs, XFS, bcachefs, NFS 4.2 and others can."""


class Copying:
    """Bytes on their way into the empty file `target`, a descriptor for reading and writing; blocks. `done` in bytes."""

    def __init__(self, target: int, *, md5: bool = False) -> None:
        self._target = target
        self._hashing = Hashing(md5=md5)

    @property
    def done(self) -> int:
        return self._hashing.size

    def file(self, source: int) -> Iterator[int]:
        """All of the file `source`, another descriptor; tells how far it is. What is hashed is what was copied."""
        if clone(source, self._target):
            for data in contents(self._target):
                self._hashing.update(data)
                yield self.done
        else:
            for data in contents(source):
                self.add(data)
                yield self.done

    def add(self, data: bytes) -> None:
        """The bytes that come next. OSError if there is no room."""
        view, at = memoryview(data), self.done
        while view:
            written = os.pwrite(self._target, view, at)
            view, at = view[written:], at + written
        self._hashing.update(data)

    @property
    def digests(self) -> Digests:
        """SHA-256, and MD5 if it was asked for."""
        return self._hashing.digests


def contents(file: int) -> Iterator[bytes]:
    """The bytes of the file `file`, a descriptor, by offset; blocks."""
    at = 0
    while data := os.pread(file, STEP, at):
        yield data
        at += len(data)


def clone(source: int, target: int) -> bool:
    """Makes `target` share all blocks of `source`; False, and nothing happened, where that cannot be done."""
    if sys.platform != "linux":
        return False
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True
