"""What came of it: a table of faults, and each finding as it happens."""

from __future__ import annotations

import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from threading import Lock
from typing import TextIO

COLUMNS = ("fine", "refused", "cut", "mended", "wrong", "lost", "hung")


@dataclass
class Report:
    """Counts per fault; `findings` is empty if the mirror kept its promise."""

    seed: int
    out: TextIO | None = field(default_factory=lambda: sys.stdout)
    rows: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    findings: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    refusals: Counter[str] = field(default_factory=Counter)
    step: int = 0
    _began: float = field(default_factory=time.monotonic)
    _lock: Lock = field(default_factory=Lock)

    def count(self, faults: list[str], verdict: str) -> None:
        with self._lock:
            for fault in faults:
                self.rows[fault][verdict] += 1

    def finding(self, what: str) -> None:
        """Something that may not be."""
        with self._lock:
            self.findings.append(f"seed {self.seed}, step {self.step}: {what}")
        self.say(f"!! {self.findings[-1]}")

    def skip(self, fault: str, why: str) -> None:
        self.skipped[fault] = why

    def say(self, line: str) -> None:
        if self.out:
            self.out.write(f"{time.monotonic() - self._began:7.1f} s  {line}\n")
            self.out.flush()

    @property
    def tried(self) -> int:
        return sum(row.total() for name, row in self.rows.items() if name.startswith("client: "))

    def table(self) -> str:
        """The fault matrix, as Markdown."""
        lines = [f"| fault | tried | {' | '.join(COLUMNS)} |", f"|---|{'---:|' * (len(COLUMNS) + 1)}"]
        for name in sorted(self.rows):
            row = self.rows[name]
            asked = sum(row[column] for column in COLUMNS)
            lines.append(f"| {name} | {asked} | {' | '.join(str(row[column]) for column in COLUMNS)} |")
        lines += [f"| {name} | skipped: {why} |{' |' * len(COLUMNS)}" for name, why in sorted(self.skipped.items())]
        return "\n".join(lines)
