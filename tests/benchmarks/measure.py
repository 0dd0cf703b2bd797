"""The common way to measure: contenders in turns, medians, and ratios to the one that is known."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table

from tests.origin import MIB

OURS = "mirror"
NOTHING = 1e-9
"""In place of 0, where something is divided by what a very short turn gave."""


@dataclass(frozen=True)
class Bench:
    """What a row is given: its name, an empty folder, how many rounds, how long a turn of a load lasts, and who else is compared.

    `shrink`: files have so much less than their size, which is good to see that all works, not for figures.
    """

    row: str
    folder: Path
    rounds: int
    seconds: int
    shrink: int = 1
    against: tuple[str, ...] = ()

    def size(self, mib: int) -> int:
        """Bytes of a file that has so many MiB if it is not shrunk."""
        return max(1, mib // self.shrink) * MIB

    def side_by_side(self, contenders: Mapping[str, Callable[[], float]], *, unit: str, target: float | None, baseline: str) -> Result:
        """Gives each contender its turn, A B C A B C …, and keeps what each turn measured (more is better)."""
        values: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(self.rounds):
            for name, turn in contenders.items():
                values[name].append(turn())
        return Result(self.row, unit, values, baseline, target)


@dataclass(frozen=True)
class Line:
    """One figure of a row, as its rounds gave it. `target` says what we want, and `reached` whether it is so."""

    who: str
    values: Sequence[float]
    unit: str
    what: str = ""
    compared: str = ""
    target: str = ""
    reached: bool = True

    @property
    def median(self) -> float:
        return median(self.values)

    def at_most(self, most: float) -> Line:
        """This figure, whose median is not to be more than that."""
        return replace(self, target=f"≤ {short(most)} {self.unit}", reached=self.median <= most)

    def against(self, other: Line, *, at_most: float) -> Line:
        """This figure, whose median is to be at most `at_most` more than that of the other."""
        more = self.median - other.median
        return replace(self, compared=f"{more:+.3g}", target=f"≤ {other.who} + {short(at_most)} {self.unit}", reached=more <= at_most)

    def times(self, other: Line, *, at_most: float | None = None) -> Line:
        """This figure as a multiple of the other, which may not be more than so much."""
        ratio = self.median / (other.median or NOTHING)
        line = replace(self, compared=f"{ratio:.2f} ×")
        return replace(line, target=f"≤ {at_most} × {other.who}", reached=ratio <= at_most) if at_most else line

    def faster_than(self, other: Line, *, at_least: float | None = None) -> Line:
        """This figure, a time, as a multiple of the other's speed, which may have to be at least so much."""
        ratio = other.median / (self.median or NOTHING)
        line = replace(self, compared=f"{ratio:.2f} × as fast")
        return replace(line, target=f"≥ {at_least} × {other.who}", reached=ratio >= at_least) if at_least else line


@dataclass(frozen=True)
class Figures:
    """What a row measured in several respects. `drawn` is what a plot of it shows: for each contender, a value per client."""

    row: str
    lines: Sequence[Line]
    drawn: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def reached(self) -> bool:
        return all(line.reached for line in self.lines)

    @property
    def facts(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {"row": self.row, "reached": self.reached, "lines": [asdict(line) for line in self.lines], "drawn": self.drawn}


@dataclass(frozen=True)
class Result:
    """What a row measured. `target` is the ratio of our median to that of `baseline` that we want to reach, if any."""

    row: str
    unit: str
    values: Mapping[str, list[float]]
    baseline: str
    target: float | None

    def ratio(self, name: str) -> float:
        """A contender's median, as a multiple of the baseline's."""
        return median(self.values[name]) / (median(self.values[self.baseline]) or NOTHING)

    @property
    def reached(self) -> bool:
        return self.target is None or self.ratio(OURS) >= self.target

    @property
    def facts(self) -> dict[str, Any]:
        """All of it, for JSON."""
        ratios = {name: round(self.ratio(name), 3) for name in self.values}
        return {
            "row": self.row,
            "unit": self.unit,
            "baseline": self.baseline,
            "target": self.target,
            "reached": self.reached,
            "ratios": ratios,
            "values": self.values,
        }

    @property
    def lines(self) -> Iterator[Line]:
        """A line per contender, ours with the target."""
        for name, values in self.values.items():
            line = Line(name, values, self.unit, compared=f"{self.ratio(name):.2f} ×")
            judged = name == OURS and self.target is not None
            yield replace(line, target=f"≥ {self.target} × {self.baseline}", reached=self.reached) if judged else line


def table(results: Sequence[Result | Figures]) -> Table:
    """A line per figure: median, spread (lowest to highest turn), what it is compared with, and target."""
    shown = Table()
    for heading in ("row", "who", "median", "spread", "unit", "compared", "target"):
        shown.add_column(heading, no_wrap=heading not in ("compared", "target"))
    for result in results:
        for line in result.lines:
            spread = f"{short(min(line.values))} to {short(max(line.values))}"
            mark = f"{line.target} {'✓' if line.reached else '✗'}" if line.target else ""
            shown.add_row(f"{result.row} {line.what}".strip(), line.who, short(line.median), spread, line.unit, line.compared, mark)
        shown.add_section()
    return shown


def short(value: float) -> str:
    """A number with three digits that count, or all those before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def percentile(values: Sequence[float], part: float) -> float:
    """The value that so many parts of 100 do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part / 100))]


def missing(*programs: str) -> list[str]:
    """Those of the programs that are not on this machine."""
    return [program for program in programs if shutil.which(program) is None]
