"""A bundle as a tar, read in order, from a file or a pipe. Nothing is unpacked: names are only told."""

import contextlib
import fcntl
import os
import struct
import tarfile
from collections.abc import Iterator

from dataset_mirror.airgap.bundle.member import Member
from dataset_mirror.errors import BundleError
from dataset_mirror.rules.counted import counted

_MOST_HEAD = 1024 * 1024
"""Bytes of what describes one member (a long name, pax keys): a tar can claim any number."""
_PIPE = 1024 * 1024
_BROKEN = (tarfile.TarError, ValueError, ArithmeticError, LookupError, TypeError, RecursionError, struct.error)
"""What the standard library raises at tars that were made to break it."""
_KINDS = {tarfile.SYMTYPE: "symbolic link", tarfile.LNKTYPE: "hard link", tarfile.FIFOTYPE: "pipe"} | dict.fromkeys(
    (tarfile.CHRTYPE, tarfile.BLKTYPE), "device"
)


def members(descriptor: int) -> Iterator[Member]:
    """The files of a tar; folders are passed over. BundleError, at the place where that is seen, if it cannot be read further."""
    stream = _Stream(descriptor)
    try:
        with tarfile.TarFile(fileobj=stream, mode="r", errors="surrogateescape") as tar:  # type: ignore[arg-type]
            while (entry := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # else each one stays in memory
                stream.head = 0
                if not entry.isdir():
                    yield _member(entry, stream)
    except _BROKEN as error:
        raise BundleError(f"It is not a readable tar file, or it is cut short: {error}.", "Copy it again.") from None
    except OSError as error:
        raise _unreadable(error) from None
    stream.drain()


def _unreadable(error: OSError) -> BundleError:
    return BundleError(f"The bundle cannot be read: {error.strerror}.", "Copy it again, or look at its disk.")


def _member(entry: tarfile.TarInfo, stream: "_Stream") -> Member:
    if entry.size < 0:
        raise ValueError(f"{entry.name[:80]!r} has {counted(entry.size, 'byte')}")
    plain = entry.isreg() and not entry.issparse()
    kind = "sparse file" if entry.issparse() else _KINDS.get(entry.type, "file of another kind")
    return Member(entry.name, entry.size, stream if plain else None, "file" if plain else kind)


class _Stream:
    """What `tarfile` needs to see of a file that may be a pipe: it reads heads; bodies are read here without its buffers."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._at = 0
        self.head = 0
        """Bytes read for the member at hand."""
        try:
            os.lseek(descriptor, 0, os.SEEK_CUR)
            self._seekable = True
        except OSError:
            self._seekable = False
            with contextlib.suppress(AttributeError, OSError):  # one wake-up for a whole step, where the system can
                fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE)

    def tell(self) -> int:
        return self._at

    def read(self, size: int) -> bytes:
        """Parts of heads; ValueError if they become absurdly long."""
        self.head += size
        if not 0 <= self.head <= _MOST_HEAD:
            raise ValueError("a member's header is too long")
        buffer = bytearray(size)
        return bytes(buffer[: self.readinto(memoryview(buffer))])

    def readinto(self, buffer: memoryview) -> int:
        """Fills the buffer, as far as there is something. BundleError if the disk cannot read it."""
        done = 0
        try:
            while done < len(buffer) and (read := os.readv(self._descriptor, [buffer[done:]])):
                done += read
        except OSError as error:
            raise _unreadable(error) from None
        self._at += done
        return done

    def seek(self, offset: int) -> None:
        """Goes on at a later place; ValueError for one before."""
        if offset < self._at:
            raise ValueError("a member would begin before the end of the one before it")
        if self._seekable:
            os.lseek(self._descriptor, offset - self._at, os.SEEK_CUR)
            self._at = offset
        buffer = memoryview(bytearray(min(_PIPE, offset - self._at)))
        while self._at < offset and self.readinto(buffer[: offset - self._at]):
            pass

    def drain(self) -> None:
        """Whoever writes into a pipe may write its end, too."""
        buffer = memoryview(bytearray(tarfile.RECORDSIZE))
        while not self._seekable and self.readinto(buffer):
            pass
