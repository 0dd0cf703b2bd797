"""Room on the disk and under `max_size`: accounted, not allocated."""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dataset_mirror.errors import StoreFull
from dataset_mirror.rules.counted import counted

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def of_disk(error: OSError, what: str) -> StoreFull | None:
    """The error of a disk that takes no more, or that may only be read, when `what` was to be written; None for any other."""
    if error.errno in _NO_ROOM:
        return StoreFull(f"The disk became full while {what} was being written.", "Make room on that disk; then ask again.")
    if error.errno == errno.EROFS:
        return StoreFull(f"{what} cannot be kept: the data folder's disk is read-only.", "Mount it for writing, or give another folder.")
    return None


class Limits(Protocol):
    """How much may be kept, in bytes. The settings are such limits."""

    @property
    def min_free(self) -> int: ...
    @property
    def max_size(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Fixed:
    """Limits that stay as they are."""

    min_free: int = 0
    max_size: int | None = None


class Space:
    """What is kept and what fills under way will still write, against what the disk has free and what the mirror may use."""

    def __init__(self, folder: Path, min_free: int, max_size: int | None, kept: Callable[[], int]) -> None:
        """`kept` tells the bytes of all blobs."""
        self._folder = folder
        self._kept = kept
        self.limits: Callable[[], Limits] = lambda: Fixed(min_free, max_size)
        """Asked whenever they are needed: a reload changes them."""
        self._outstanding: set[Reservation] = set()
        """Of fills, in their own thread; figures are read in others, too, from a copy."""

    @property
    def min_free(self) -> int:
        """Bytes of the disk that are to stay free."""
        return self.limits().min_free

    @property
    def max_size(self) -> int | None:
        """Bytes that all blobs may take together; None without a limit."""
        return self.limits().max_size

    @property
    def free(self) -> int:
        """Bytes that an unprivileged user may still write."""
        disk = os.statvfs(self._folder)
        return disk.f_bavail * disk.f_frsize

    @property
    def kept(self) -> int:
        """Bytes of all blobs."""
        return self._kept()

    @property
    def promised(self) -> int:
        """Bytes that fills under way will still write."""
        return sum(reservation.left for reservation in tuple(self._outstanding))

    def missing(self, size: int) -> int:
        """Bytes that must go before `size` more have room; 0 if they have."""
        on_disk = size - (self.free - self.promised - self.min_free)
        in_limit = size + self.kept + self._growing - self.max_size if self.max_size is not None else 0
        return max(0, on_disk, in_limit)

    @property
    def _growing(self) -> int:
        """Bytes of fills under way, those that are written included: they are no blobs yet."""
        return sum(reservation.size for reservation in tuple(self._outstanding))

    def hold(self, reservation: "Reservation") -> None:
        """From now on the reservation counts."""
        self._outstanding.add(reservation)

    def let_go(self, reservation: "Reservation") -> None:
        self._outstanding.discard(reservation)

    def full(self, size: int, what: str, why: str = "") -> StoreFull:
        """The error for `size` bytes of the archive `what` that have no room, with figures, and why nothing else goes for it."""
        parts = [f"the disk has {self.free:,} free, {self.promised:,} of them promised to other downloads"]
        parts.append(f"{self.min_free:,} are to stay free (min_free)")
        if self.max_size is not None:
            parts.append(f"{self.kept + self._growing:,} of {self.max_size:,} (max_size) are in use")
        return StoreFull(
            f"{what} needs {counted(size, 'byte')} more, but {', '.join(parts)}.{why and ' ' + why}",
            "Look at what could go: dataset-mirror gc --dry-run; or remove archives (dataset-mirror rm), or change max_size or min_free.",
            needed=size,
            free=self.free,
            missing=self.missing(size),
        )


class Reservation:
    """The bytes that one fill writes; it counts from its first `grow` or `found` to its release."""

    def __init__(self, what: str, space: Space) -> None:
        self.what, self._space = what, space
        self.size = 0
        """Bytes in all, those that are written included."""
        self.left = 0
        """Bytes that are still to be written."""

    def grow(self, size: int) -> None:
        """Reserves more; StoreFull, with figures, if it is not there."""
        if self._space.missing(size) > 0:
            raise self._space.full(size, self.what)
        self.size += size
        self.left += size
        self._space.hold(self)

    def found(self, size: int) -> None:
        """So many bytes were on the disk before."""
        self.size += size
        self._space.hold(self)

    def written(self, size: int) -> None:
        """So many of the bytes are on the disk now, where statvfs counts them."""
        self.left = max(0, self.left - size)

    def release(self) -> None:
        self._space.let_go(self)
