"""A plot without a plotting library: one SVG that is readable on light and on dark pages."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from xml.sax.saxutils import escape

from tests.benchmarks.measure import OURS, short

WIDTH, LEFT, RIGHT, TOP, STRIP, BOTTOM = 720, 150, 34, 56, 92, 54
DOT, STACK = 6, 12
"""The width of a dot, and how many stand one above the other."""
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328; } .title { font-weight: 600; font-size: 15px; } .quiet { fill: #59636e; }
  line { stroke: #d1d9e0; } circle { fill-opacity: .85; } .ours { fill: #1a7f37; } .other { fill: #bc4c00; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; } .quiet { fill: #9198a1; } line { stroke: #3d444d; } .ours { fill: #3fb950; } .other { fill: #f0883e; }
  }
"""


def strips(drawn: Mapping[str, Sequence[float]]) -> str:
    """An SVG of seconds until the first byte: a strip for each contender, a dot for each of its clients, on a logarithmic axis."""
    low, high = _decades([value for values in drawn.values() for value in values])
    bottom = TOP + STRIP * len(drawn)

    def x(seconds: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (math.log10(seconds) - low) / (high - low)

    parts = [_text(LEFT, 26, "First byte of a cold archive, each client of the herd", "title")]
    for decade in range(low, high + 1):
        at = x(10.0**decade)
        parts.append(f'<line x1="{at:.1f}" y1="{TOP - 8}" x2="{at:.1f}" y2="{bottom}"/>')
        parts.append(_text(at, bottom + 18, f"{10.0**decade:g} s", "quiet", "middle"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, bottom + 40, "seconds after asking (logarithmic)", "quiet", "middle"))
    for row, (name, values) in enumerate(drawn.items()):
        ordered = sorted(values)
        parts += _strip(name, ordered, [x(value) for value in ordered], TOP + STRIP * row)
    body = "\n  ".join(parts)
    height = bottom + BOTTOM
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">\n'
        f"  <style>{STYLE}  </style>\n  {body}\n</svg>\n"
    )


def _strip(name: str, values: Sequence[float], spots: Sequence[float], top: int) -> list[str]:
    """A contender's name, its median, and its dots."""
    kind = "ours" if name == OURS else "other"
    parts = [_text(LEFT - 20, top + 34, name, "", "end"), _text(LEFT - 20, top + 52, f"median {short(median(values))} s", "quiet", "end")]
    for value, (x, y) in zip(values, _apart(spots), strict=True):
        said = f"<title>{escape(name)}: {short(value)} s</title>"
        parts.append(f'<circle class="{kind}" cx="{x:.1f}" cy="{top + 14 + y}" r="{DOT / 2 - 0.5}">{said}</circle>')
    return parts


def _apart(spots: Sequence[float]) -> Iterator[tuple[float, int]]:
    """Places for dots at these x, in order: those that would cover each other are stacked, and stacks go on to the right."""
    taken: list[tuple[float, int]] = []
    for spot in spots:
        while True:
            free = [y for y in range(0, STACK * DOT, DOT) if not any(y == other and abs(spot - x) < DOT for x, other in taken)]
            if free:
                break
            spot += DOT
        taken.append((spot, free[0]))
        yield taken[-1]


def _decades(values: Sequence[float]) -> tuple[int, int]:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def _text(x: float, y: float, said: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y}" class="{kind}" text-anchor="{anchor}">{escape(said)}</text>'
