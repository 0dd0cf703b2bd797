"""A mirror with its origin, its disk and its archives; what is asked of it after each step."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from tests.faults import audit, disks
from tests.faults.clients import Client, whole
from tests.faults.origins import ROGUE_HOST, Rogue, put, rogue
from tests.faults.processes import command, status_of
from tests.faults.report import Report
from tests.faults.truth import Archive, Tag, versions
from tests.origin import MIB, Origin
from tests.serving import HOST, PATIENCE, Mirror

MENDS = 45.0
"""Seconds after its faults within which an archive has to be right again."""
KEPT = 4
MEMORY = 200 * MIB
DESCRIPTORS = 60
"""How many more than at first a mirror may have."""


def made(seed: int, *, large: bool) -> list[Archive]:
    """Archives of all kinds: small and large, with and without validators and digests, and some that the origin will lose."""
    found = []
    tags: tuple[Tag, ...] = ("strong", "strong", "strong", "weak", "none")
    for number in range(20):
        random_ = random.Random(f"{seed}/{number}")
        size = random_.choice([1, 500, 20_000, 65_536, 65_537, 200_000, 600_000, 1_500_000, 3_000_000])
        known, dated = random_.random() < 0.4, random_.random() < 0.5
        size = min(size, 1_500_000) if number < KEPT else size
        name = f"{'kept' if number < KEPT else 'set'}-{number}"
        archive = Archive(f"/sets/{name}.bin", versions(f"{seed}-{number}", size, 4, random_.choice(tags), dated), known=known)
        archive.kept = number < KEPT
        found.append(archive)
    if large:
        found.append(Archive("/sets/set-large.bin", versions(f"{seed}-large", 66 * MIB, 1, "strong", dated=False), {"rate": 40e6}))
    return found


class World:
    """Everything that a step works on."""

    def __init__(self, folder: Path, origin: Origin, wrong: Rogue, report: Report, *, large: bool) -> None:
        self.folder, self.origin, self.report = folder, origin, report
        self.archives = made(report.seed, large=large)
        self.rogues = wrong.archives
        self.settings = self._settings(origin, wrong, large=large)
        self.mirror = Mirror(folder / "data", **self.settings)
        self.mirror.may_log_traceback = True  # it is a finding
        self._port = 0
        self._logged = 0
        self._roomy = Lock()
        self._first: tuple[int, int] | None = None

    def _settings(self, origin: Origin, wrong: Rogue, *, large: bool) -> dict[str, Any]:
        known = [
            {"url": f"https://{HOST}{archive.path}", "sha256": [version.sha256 for version in archive.versions]}
            for archive in self.archives
            if archive.known
        ]
        return {
            "presets": [],
            "origins": [
                {"url": f"https://{HOST}", "paths": ["/sets/"], "freshness": "1s"},
                {"url": f"https://{ROGUE_HOST}", "paths": ["/r/"], "freshness": "1s"},
            ],
            "upstreams": {HOST: [origin.url], ROGUE_HOST: [wrong.url]},
            "archives": known,
            "idle_timeout": 2,
            "head_timeout": 5,
            "grace": 1,
            "min_free": 0,
            "max_size": (90 if large else 14) * MIB,
            "memory_cache": MIB,
        }

    # -- Its process

    def start(self, *options: str, program: str | None = None) -> None:
        """Starts the mirror at the port that it had before."""
        self.mirror.program = program
        self.mirror.start("--port", str(self._port), *options)
        self._port, self._first = self.mirror.port, None

    def stop(self) -> None:
        """SIGTERM: it has to end by itself, with 0."""
        try:
            self.mirror.stop()
        except (AssertionError, subprocess.TimeoutExpired) as error:
            self.report.finding(f"SIGTERM: {error!s:.3000}")
            self.end()

    def end(self) -> None:
        """However."""
        if self.mirror.process is not None:
            self.mirror.kill()

    def pause(self, seconds: float) -> None:
        """Lets a fault last."""
        time.sleep(seconds)

    def descriptors(self) -> int:
        return sum(1 for _ in Path(f"/proc/{self.mirror.pid}/fd").iterdir())

    # -- Its clients

    def client(self, random_: random.Random, *, tls: bool = True) -> Client:
        several = random_.random() < 0.9
        return Client(self._port, self.archives if several else self.rogues, random_, tls)

    # -- What is asked after each step

    def begin(self) -> None:
        """Has those fetched that are to be kept, which the origin loses then; the others, which may make room, come after them."""
        kept = [archive for archive in self.archives if archive.kept]
        for archive in self.archives:
            put(self.origin, archive)
        self.start()
        self.ask(["at first"], kept)
        for archive in kept:
            put(self.origin, archive, status=404)
        self.ask(["at first"])

    def ask(self, faults: list[str], archives: list[Archive] | None = None) -> None:
        """Every archive has to be right, soon."""
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda archive: self._mended(archive, faults), archives or self.archives))

    def _mended(self, archive: Archive, faults: list[str]) -> None:
        until = time.monotonic() + MENDS
        while True:
            try:
                _, verdict, why = next(whole(self.client(random.Random(0)), archive))
            except OSError as error:
                verdict, why = "cut", str(error)
            if verdict == "fine":
                self.report.count(faults, "mended")
                return
            if verdict == "wrong":
                self.report.count(faults, "wrong")
                self.report.finding(f"{archive.path}, afterwards: {why}")
                return
            if time.monotonic() > until:
                self.report.count(faults, "lost" if archive.kept else "hung")
                self.report.finding(f"{archive.path} is {'lost' if archive.kept else 'not mended'}: {verdict}, {why}")
                return
            if why.startswith("507"):
                self._make_room()
            time.sleep(0.3)

    def _make_room(self) -> None:
        """As an operator does it: what origins have changed meanwhile they do not confirm, so it does not go by itself."""
        if self._roomy.acquire(blocking=False):
            try:
                command(self, "gc")
                command(self, "rm", "--yes", f"https://{HOST}/sets/set-*", statuses=(0, 2))
            finally:
                self._roomy.release()

    def settled(self) -> None:
        """Nobody is there any more: no fill, no reader, and descriptors and memory as before."""
        until = time.monotonic() + PATIENCE
        while (left := self._left()) and time.monotonic() < until:
            time.sleep(0.2)
        if left:
            self.report.finding(f"it does not come to rest: {left}")
        first = self._first = self._first or (self.descriptors(), self.mirror.memory)
        if self.mirror.memory > first[1] + MEMORY:
            self.report.finding(f"memory grew from {first[1]:,} to {self.mirror.memory:,} bytes")
        self.look_into_log()

    def _left(self) -> str:
        try:
            said = status_of(self)
        except (OSError, ValueError) as error:
            return f"/status: {error!r}"
        if said.get("fills"):
            return f"fills {said['fills']}"
        now = self.descriptors()
        return f"{now} descriptors, {self._first[0]} at first" if self._first and now > self._first[0] + DESCRIPTORS else ""

    def look_into_log(self) -> None:
        """Nothing that a person could not read."""
        log = self.mirror.log
        new, self._logged = log[self._logged :], len(log)
        for bad in ("Traceback", "a bug", "unexpectedly", "Exception in", "never awaited", "never retrieved"):
            if bad in new:
                at = new.index(bad)
                self.report.finding(f"the log has “{bad}”: {new[max(0, at - 500) : at + 3000]}")
                return

    def audit(self) -> None:
        """Index and disk agree; and the mirror's own checks say so, too."""
        self.stop()
        if list(audit.disagreements(self.mirror.data)):
            self.start()  # what a fault cut off is completed by the next writer
            self.stop()
        for what in audit.disagreements(self.mirror.data):
            self.report.finding(what)
        self.start()


@contextmanager
def world(folder: Path, report: Report, *, large: bool) -> Iterator[World]:
    """A mirror that runs and has everything, on a small disk of its own where that can be."""
    with ExitStack() as ends:
        data = folder / "data"
        data.mkdir()
        why = disks.mounted(data, "200m" if large else "40m")
        if why is None:
            ends.callback(subprocess.run, ["umount", "--lazy", str(data)], check=False)
        for fault, reason in disks.impossible(why).items():
            report.skip(fault, reason)
        made_ = World(folder, ends.enter_context(Origin()), ends.enter_context(rogue()), report, large=large)
        ends.callback(made_.end)
        made_.begin()
        yield made_
