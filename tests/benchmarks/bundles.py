"""Bundles, beside what a person would do with tar and sha256sum on the same disk."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.store.record import Record
from dataset_mirror.store.store import Store
from tests.benchmarks.measure import OURS, Bench, Figures, Line
from tests.origin import MIB
from tests.serving import HOST, PROGRAM, URL, environment

ARCHIVES, EACH = 200, 10 * MIB
SETTINGS = {"origins": [{"url": URL, "paths": ["/sets/"]}], "min_free": 0}
PLAIN = "tar, sha256sum"
WATCHING = """
import resource, subprocess, sys
subprocess.run(["bash", "-ec", sys.argv[1]], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""A small process in between: the high-water mark of a child begins with what its parent has at the fork."""


def _bundles(bench: Bench) -> Figures:
    """2 GB in 200 archives, out and in. What is written is made durable by both. The disk's cache is warm for both."""
    each = EACH // bench.shrink
    made = _made(bench.folder / "outside", ARCHIVES, each)
    _made(bench.folder / "one", 1, 1000)
    file, plain, inside, unpacked = (bench.folder / name for name in ("bundle.tar", "plain.tar", "inside", "unpacked"))
    times: dict[str, dict[str, list[float]]] = {what: {OURS: [], PLAIN: []} for what in ("export to a pipe", "export", "import")}
    grown: dict[str, list[float]] = {"export": [], "import": []}
    for _ in range(bench.rounds):
        _run(times["export to a pipe"][PLAIN], f"tar cf - -C {made / 'blobs'} . | sha256sum")
        _run(times["export to a pipe"][OURS], f"{PROGRAM} export - --all --data {made} 2>/dev/null | cat >/dev/null")
        _run(times["export"][PLAIN], f"tar cf - -C {made / 'blobs'} . | tee {plain} | sha256sum && sync {plain}")
        used = _run(times["export"][OURS], f"{PROGRAM} export {file} --all --data {made}")
        grown["export"].append(used - _run([], f"{PROGRAM} export {plain} --all --data {bench.folder / 'one'}"))
        for folder in (inside, unpacked):
            shutil.rmtree(folder, ignore_errors=True)
        unpacked.mkdir()
        _run(times["import"][PLAIN], f"cd {unpacked} && tar xf {file} && cd * && sha256sum -c --quiet manifest-sha256.txt && sync -f .")
        used = _run(times["import"][OURS], f"{PROGRAM} import {file} --data {inside}")
        grown["import"].append(used - _run([], f"{PROGRAM} import {plain} --data {inside}"))
    lines = [line for what, values in times.items() for line in _compared(what, values)]
    memory = [Line(OURS, values, "MiB", f"memory of {what}", "over one of 1 kB").at_most(40) for what, values in grown.items()]
    return Figures(bench.row, [*lines, *memory])


def _compared(what: str, values: dict[str, list[float]]) -> Sequence[Line]:
    plain = Line(PLAIN, values[PLAIN], "s", what)
    return plain, Line(OURS, values[OURS], "s", what).faster_than(plain, at_least=0.7)


def _run(times: list[float], script: str) -> float:
    """Runs it, notes how many seconds that took, and returns the MiB that the largest of its processes had at most."""
    os.sync()  # what the one before has left to write is not this one's
    began = time.perf_counter()
    watched = [sys.executable, "-SE", "-c", WATCHING, f"set -o pipefail; {script}"]
    run = subprocess.run(watched, stdout=subprocess.PIPE, env=environment(Path.home(), SETTINGS), check=False)
    times.append(time.perf_counter() - began)
    if run.returncode:
        raise SystemExit(f"{script} ended with {run.returncode}.")
    return int(run.stdout) / 1024


def _made(folder: Path, archives: int, size: int) -> Path:
    """A data folder with that many archives of that many bytes."""
    store = Store(folder)
    for number in range(archives):
        data = os.urandom(size)
        with store.incoming() as partial:
            partial.write(0, data)
            known = Record(ArchiveId(HOST, f"/sets/{number:04}.npz"), hashlib.sha256(data).hexdigest(), size, 1e9)
            store.publish(partial.path, known)
    store.close()
    return folder


ROWS: dict[str, Callable[[Bench], Figures]] = {"bundles": _bundles}
