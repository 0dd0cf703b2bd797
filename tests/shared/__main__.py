"""The long rounds: `python -m tests.shared --rounds 500 --seed 1`. Ends with 1 if anything was wrong, short or lost.

`python -m tests.shared --figures` prints figures instead, and `--archives 1000000` those of a store of so many archives.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import psycopg

from tests.origin import Origin
from tests.shared.cluster import Cluster, fresh_bucket, fresh_database
from tests.shared.figures import figures
from tests.shared.many import many
from tests.shared.rounds import Rounds, Tally
from tests.shared.services import own_postgres


def run(rounds: int, seed: int, folder: Path, *, loud: bool = False, short: bool = False) -> Tally:
    """So many rounds, and what was seen."""
    with own_postgres() as postgres, Origin() as origin:
        with psycopg.connect(postgres.url(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE mirrors")
        with (
            Cluster(origin, folder, postgres.url("mirrors"), fresh_bucket()) as cluster,
            Rounds(cluster, postgres, seed, short=short) as running,
        ):
            for _ in range(rounds):
                running.round()
                if loud:
                    print(running.tally, flush=True)  # noqa: T201
            running.settle()
            return running.tally


def measure(folder: Path, archives: int | None) -> None:
    """Prints them as they come."""
    with Origin() as origin, Cluster(origin, folder, fresh_database(), fresh_bucket()) as cluster:
        for line in many(cluster, archives) if archives else figures(cluster):
            print(line, flush=True)  # noqa: T201


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.shared")
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--figures", action="store_true", help="hits, takeovers and throughput beside what they are held against")
    parser.add_argument("--archives", type=int, help="start, feed and lists of a mirror where the others have so many archives")
    parser.add_argument("--keep", action="store_true", help="leave the folder with data and logs")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="dataset-mirror-rounds-"))
    if given.figures or given.archives:
        measure(folder, given.archives)
        return
    print(f"seed {given.seed}, {folder}, process {os.getpid()}", flush=True)  # noqa: T201
    tally = run(given.rounds, given.seed, folder, loud=True)
    print(tally)  # noqa: T201
    sys.exit(0 if tally.is_clean else 1)


if __name__ == "__main__":
    main()
