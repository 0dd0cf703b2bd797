"""Real small disks for tests: a tmpfs of a few hundred KiB, which can be filled and made read-only. Skipped where that may not be done."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class Disk:
    """One that is mounted; `root` is the folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._ballast = root / "ballast"

    def fill(self, *, leave: int = 0) -> None:
        """Until nothing can be written, or but `leave` bytes."""
        with self._ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        os.truncate(self._ballast, max(0, self._ballast.stat().st_size - leave))

    def empty(self) -> None:
        """There is room again."""
        self._ballast.unlink(missing_ok=True)

    def read_only(self, really: bool = True) -> None:
        """Nobody may write, root neither."""
        subprocess.run(["mount", "-o", f"remount,{'ro' if really else 'rw'}", str(self.root)], check=True)


@contextmanager
def small_disk(root: Path, size: str = "1m") -> Iterator[Disk]:
    """A disk of this size at `root`, until the block ends."""
    root.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", str(root)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        yield Disk(root)
    finally:
        subprocess.run(["umount", "--lazy", str(root)], check=True)
