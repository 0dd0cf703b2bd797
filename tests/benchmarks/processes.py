"""What servers take of the machine: seconds of its cores, and memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """A server that runs, of one process or of one with children."""

    url: str
    pid: int

    @property
    def cpu_seconds(self) -> float:
        """Of all its processes and the kernel on their behalf, since they started."""
        return sum(_cpu_seconds(pid) for pid in self._pids())

    @property
    def memory(self) -> int:
        """Bytes of memory that its processes have now; what they share counts in each."""
        return sum(_status(pid, "VmRSS:") for pid in self._pids())

    @property
    def high_water(self) -> int:
        """Bytes that they had at most, since they started or since their marks were reset."""
        return sum(_status(pid, "VmHWM:") for pid in self._pids())

    def reset_high_water(self) -> None:
        for pid in self._pids():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def _pids(self) -> Iterator[int]:
        yield self.pid
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            yield from map(int, (task / "children").read_text().split())


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _status(pid: int, name: str) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition(name)[2].split()[0]) * 1024
