"""Runs the faults for a while, and prints the table; ends with 1 if the mirror did not keep its promise."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from tests.faults.driver import drive
from tests.faults.report import Report


def main() -> None:
    """`python -m tests.faults --seconds 60 --seed 1`."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=sys.modules["tests.faults"].__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long (default: 60)")
    parser.add_argument("--seed", type=int, default=1, help="what is planned; the same seed plans the same steps (default: 1)")
    parser.add_argument("--clients", type=int, default=64, help="clients at once (default: 64)")
    parser.add_argument("--large", action="store_true", help="with an archive that is resumed after a restart")
    parser.add_argument("--keep", action="store_true", help="keep the log of the mirror")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    report = Report(options.seed)
    try:
        drive(folder, report, seconds=options.seconds, clients=options.clients, large=options.large)
    finally:
        if options.keep:
            sys.stdout.write(f"The log is {folder / 'data.log'}\n")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    found = "\n".join(["", "Findings:", *report.findings]) if report.findings else "No findings."
    sys.stdout.write(f"\nSeed {options.seed}, {report.step} steps, {report.tried} answers.\n\n{report.table()}\n\n{found[:20000]}\n")
    sys.exit(1 if report.findings else 0)


if __name__ == "__main__":
    main()
