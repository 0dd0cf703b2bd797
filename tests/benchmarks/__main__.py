"""Runs rows of the benchmark, and prints one table."""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from tests.benchmarks import bundles, crowds, drawing, herd, hits, million, misses, pages, ranges
from tests.benchmarks.measure import Bench, Figures, missing, table

MODULES = (hits, ranges, misses, herd, crowds, million, pages, bundles)
ROWS = {name: row for module in MODULES for name, row in module.ROWS.items()}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description="Measures rows side by side, in turns, on this machine."
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"which rows (all by default): {', '.join(ROWS)}")
    parser.add_argument("--quick", action="store_true", help="short runs and smaller files: to see that it works, not for figures")
    parser.add_argument("--rounds", type=int, default=3, help="how often each contender has its turn (default 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to this file too")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw the first byte of each client of the herd into this file")
    asked = parser.parse_args()
    rows = [name.replace("_", "-") for name in asked.rows] or list(ROWS)
    if unknown := sorted(set(rows) - set(ROWS)):
        parser.error(f"there is no row {', '.join(unknown)}; there are {', '.join(ROWS)}")
    if lacking := missing("nginx", "wrk"):
        parser.exit(2, f"Not on this machine, install it first: {' and '.join(lacking)}.\n")
    results = []
    for name in rows:
        with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
            sys.stderr.write(f"{name} …\n")
            results.append(ROWS[name](Bench(name, Path(folder), rounds=asked.rounds, quick=asked.quick)))
    Console(width=max(Console().width, 120)).print(table(results))
    if asked.json:
        asked.json.write_text(json.dumps({"machine": _machine(), "rows": [result.facts for result in results]}, indent=2) + "\n")
    if asked.plot and (drawn := next((result.drawn for result in results if isinstance(result, Figures) and result.drawn), None)):
        asked.plot.write_text(drawing.strips(drawn), encoding="utf-8")
    return 0 if all(result.reached for result in results) else 1


def _machine() -> dict[str, str]:
    return {"system": platform.platform(), "python": platform.python_version()}


if __name__ == "__main__":
    sys.exit(main())
