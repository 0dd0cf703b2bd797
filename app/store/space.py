"""Room on the disk: accounted, not allocated."""

import os
from collections.abc import Callable
from pathlib import Path

from app.errors import StoreFull


class Space:
    """What fills under way will still write, against what the disk has free."""

    def __init__(self, folder: Path, min_free: int) -> None:
        self._folder = folder
        self.min_free = min_free
        self._outstanding: set[Reservation] = set()

    @property
    def free(self) -> int:
        """Bytes that an unprivileged user may still write."""
        disk = os.statvfs(self._folder)
        return disk.f_bavail * disk.f_frsize

    def reserve(self, size: int, what: str) -> "Reservation":
        """Reserves `size` bytes for the archive `what`; StoreFull, with figures, if they are not there."""
        reservation = Reservation(what, self._check, self._outstanding.discard)
        reservation.grow(size)
        self._outstanding.add(reservation)
        return reservation

    def _check(self, size: int, what: str) -> None:
        promised = sum(reservation.left for reservation in self._outstanding)
        free = self.free
        if size > free - promised - self.min_free:
            raise StoreFull(
                f"{what} needs {size:,} bytes more; the disk has {free:,} free, {promised:,} are promised to other downloads, "
                f"and {self.min_free:,} are to stay free (min_free).",
                "Make room on that disk, or lower min_free.",
                needed=size,
                free=free,
            )


class Reservation:
    """The bytes that one fill will still write."""

    def __init__(self, what: str, check: Callable[[int, str], None], release: Callable[["Reservation"], None]) -> None:
        self._what, self._check, self._release = what, check, release
        self.left = 0

    def grow(self, size: int) -> None:
        """Reserves more; StoreFull if it is not there."""
        self._check(size, self._what)
        self.left += size

    def written(self, size: int) -> None:
        """So many of the bytes are on the disk now, where statvfs counts them."""
        self.left = max(0, self.left - size)

    def release(self) -> None:
        self._release(self)
