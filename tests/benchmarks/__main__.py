"""Runs rows of the benchmark, and prints one table."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from tests.benchmarks import bundles, costs, crowds, drawing, herd, hits, machine, million, misses, others, pages, ranges, readme
from tests.benchmarks.measure import Bench, Figures, Result, missing, table

MODULES = (hits, ranges, misses, costs, herd, crowds, million, pages, bundles)
ROWS = {name: row for module in MODULES for name, row in module.ROWS.items()}
LONG = crowds.LONG
"""Rows that are measured only when they are named."""


def main() -> int:
    parser = _parser()
    asked = parser.parse_args()
    names = [name.replace("_", "-") for name in (*asked.rows, *asked.only.split(",")) if name]
    rows = names or [name for name in ROWS if name not in LONG]
    if unknown := sorted(set(rows) - set(ROWS)):
        parser.error(f"there is no row {', '.join(unknown)}; there are {', '.join(ROWS)}")
    if lacking := missing("nginx", "wrk", *(others.KNOWN[name][0] for name in asked.against)):
        parser.exit(2, f"Not on this machine, install it first: {' and '.join(lacking)}.\n")
    results = _measured(rows, asked)
    known = machine.described(asked.against)
    Console(width=max(Console().width, 120)).print(table(results))
    if asked.json:
        asked.json.write_text(json.dumps({"machine": known, "rows": [result.facts for result in results]}, indent=2) + "\n")
    if asked.plot and (drawn := next((result.drawn for result in results if isinstance(result, Figures) and result.drawn), None)):
        asked.plot.write_text(drawing.strips(drawn), encoding="utf-8")
    if asked.readme:
        readme.rewrite(results, known, asked.rounds, asked.readme)
    return 0 if all(result.reached for result in results) else 1


def _measured(rows: list[str], asked: argparse.Namespace) -> list[Result | Figures]:
    results: list[Result | Figures] = []
    shrink = 250 if asked.miniature else 16 if asked.quick else 1
    seconds = asked.seconds or (5 if shrink == 1 else 1)
    for name in rows:
        with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
            sys.stderr.write(f"{name} …\n")
            result = ROWS[name](Bench(name, Path(folder), asked.rounds, seconds, shrink, tuple(asked.against)))
        if result is None:
            sys.stderr.write(f"{name} was skipped: this mirror cannot do it.\n")
        else:
            results.append(result)
    return results


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description="Measures rows side by side, in turns, on this machine."
    )
    long = f"all by default, but for {', '.join(sorted(LONG))}"
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"which rows ({long}): {', '.join(ROWS)}")
    parser.add_argument("--only", default="", metavar="ROW,ROW", help="the same, in one word")
    parser.add_argument("--quick", action="store_true", help="short runs and smaller files: to see that it works, not for figures")
    parser.add_argument("--miniature", action="store_true", help="the same with files of a few MB")
    parser.add_argument("--rounds", type=int, default=3, help="how often each contender has its turn (default 3)")
    parser.add_argument("--seconds", type=int, help="how long a turn of a load lasts (default 5)")
    parser.add_argument(
        "--against", action="append", default=[], choices=sorted(others.KNOWN), help="measure these too, as far as they can do it"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to this file too")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw the first byte of each client of the herd into this file")
    parser.add_argument(
        "--readme",
        type=Path,
        nargs="?",
        const=readme.README,
        metavar="FILE",
        help="put the figures, the machine and the versions into README.md, or into this file",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
