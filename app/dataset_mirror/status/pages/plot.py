"""Traffic as an SVG: shapes only, in a box of 1000 by 100 that is stretched; words stand beside it, as HTML."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from dataset_mirror.status.figures import Point, TrafficStatus

WIDTH, HEIGHT = 1000, 100


@dataclass(frozen=True, slots=True)
class Plot:
    """Two areas over the same time and the same scale."""

    points: Sequence[Point]
    step: float
    """Seconds of one step."""

    @classmethod
    def of(cls, traffic: TrafficStatus) -> Self:
        return cls(traffic.points, traffic.step)

    @property
    def top(self) -> int:
        """Bytes at the upper edge: what is not zero reaches it."""
        return max((max(point.served, point.fetched) for point in self.points), default=0)

    @property
    def rate(self) -> float:
        """Bytes per second at the upper edge."""
        return self.top / self.step

    @property
    def served_path(self) -> str:
        return self._area([point.served for point in self.points])

    @property
    def fetched_path(self) -> str:
        return self._area([point.fetched for point in self.points])

    def _area(self, values: Sequence[int]) -> str:
        """Steps, not slopes: each is what it was in that time."""
        if not values or not self.top:
            return ""
        width = WIDTH / len(values)
        parts = [f"M0 {HEIGHT}"]
        parts += [f"V{HEIGHT - HEIGHT * value / self.top:.1f}H{(number + 1) * width:.1f}" for number, value in enumerate(values)]
        return "".join(parts) + f"V{HEIGHT}Z"
