"""Rounds: clients of several mirrors ask for something new, and in the middle of it something dies, stops, or is cut off.

No client may take wrong or short bytes for the whole; what was fetched once may not be lost; and the origin is asked as rarely as
can be. What a client may get is a broken connection or an error, after which it asks again.
"""

from __future__ import annotations

import http.client
import random
import shutil
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Self

from tests.origin import Origin, body
from tests.serving import Mirror
from tests.shared.cluster import Cluster
from tests.shared.postgres import Postgres
from tests.shared.relay import Relay
from tests.waiting import until
from tests.warm import PATIENCE

MIRRORS, CLIENTS = 3, 6
CUT_OFF = ("restart the database", "silence the database", "cut the mirrors")
ON_HOLDER = ("kill the holder", "stop the holder")
ON_BUCKET = ("bucket 503", "bucket slow", "bucket silent")
FAULTS = (
    *("nothing", "kill the holder", "kill the holder", "stop the holder", "kill a follower", "kill any", "kill all"),
    *("restart the database", "silence the database", *ON_BUCKET, "cut the mirrors"),
)
QUICK = tuple(fault for fault in FAULTS if fault not in ("stop the holder", "silence the database"))
PATIENT = 2 * PATIENCE
"""Seconds within which a client has its bytes, however often it must ask."""


@dataclass
class Tally:
    """What was seen."""

    rounds: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    stops: int = 0
    right: int = 0
    broken: int = 0
    """Answers that broke off, or were errors, as they may."""
    wrong: int = 0
    short: int = 0
    lost: int = 0
    never: int = 0
    """Clients that never got it."""
    ratios: dict[str, list[float]] = field(
        default_factory=lambda: {"undisturbed": [], "holder hit": [], "cut off": [], "without the bucket": []}
    )
    """Bytes that the origin sent, by the archive's size; by what was hit. Who is cut off from the others fetches for itself."""

    def mean(self, hit: str) -> float:
        """The ratio on average."""
        return sum(self.ratios[hit]) / len(self.ratios[hit]) if self.ratios[hit] else 0.0

    def __str__(self) -> str:
        means = ", ".join(f"{self.mean(hit):.2f} x {hit} ({len(self.ratios[hit])})" for hit in self.ratios)
        return (
            f"{self.rounds} rounds, {self.kills} kills, {self.stops} stops: {self.right} right answers, {self.broken} broken;"
            f" wrong {self.wrong}, short {self.short}, lost {self.lost}, never {self.never};"
            f" origin bytes {means}; {dict(self.faults)}"
        )

    @property
    def is_clean(self) -> bool:
        return not (self.wrong or self.short or self.lost or self.never)


class Rounds:
    """Three mirrors, and all that is between them."""

    def __init__(self, cluster: Cluster, postgres: Postgres, seed: int, *, short: bool = False) -> None:
        """`short`: without the faults that take seconds until they are noticed, small archives, and all of it three times as fast."""
        self._faults, self._largest, self._pace = (QUICK, 600_000, 3) if short else (FAULTS, 3_000_000, 1)
        self.cluster, self.postgres, self.random, self.tally = cluster, postgres, random.Random(seed), Tally()
        self.origin: Origin = cluster.origin
        self._ends = ExitStack()
        self._bodies: dict[str, bytes] = {}

    def __enter__(self) -> Self:
        self.gateway = self._ends.enter_context(Relay(int(self.cluster.bucket["endpoint"].rpartition(":")[2])))
        bucket = {**self.cluster.bucket, "endpoint": self.gateway.url}
        self.ways = [self._ends.enter_context(Relay()) for _ in range(MIRRORS)]
        self.mirrors = [self.cluster.mirror(bucket=bucket, advertise_url=way.url) for way in self.ways]
        for number in range(MIRRORS):
            self._start(number)
        return self

    def __exit__(self, *_: object) -> None:
        for mirror in self.mirrors:
            mirror.may_log_traceback = False
            mirror.close()
        self._ends.close()

    def _start(self, number: int) -> None:
        mirror = self.mirrors[number]
        if mirror.process is None:
            mirror.start()
            self.ways[number].target = mirror.port

    # One round

    def round(self) -> None:
        """One more."""
        fault, name = self.random.choice(self._faults), f"/sets/{self.tally.rounds}.bin"
        content = body(self.random.randrange(200_000, self._largest), self.random.randrange(1 << 30))
        self._bodies[name] = content
        self.origin.add(name, content, rate=self._pace * self.random.choice((800_000, 2_000_000, 8_000_000)), etag=f'"{self.tally.rounds}"')
        waits = [self.random.uniform(0, 0.5) / self._pace for _ in range(CLIENTS)]
        with ThreadPoolExecutor(CLIENTS) as clients:
            asking = [clients.submit(self._client, name, number, wait) for number, wait in enumerate(waits)]
            time.sleep(self.random.uniform(0.05, 1.2) / self._pace)
            with suppress(ProcessLookupError):
                self._do(fault, name)
            for client in asking:
                client.result()
        for number in range(MIRRORS):
            self._start(number)
            until(lambda number=number: self.mirrors[number].status["shared"]["joined"], "it has joined")  # type: ignore[misc]
        self.tally.rounds += 1
        self.tally.faults[fault] += 1
        self.tally.ratios[_hit(fault)].append(self.origin.bytes_sent_for(name) / len(content))

    def _client(self, name: str, number: int, wait: float) -> None:
        time.sleep(wait)
        until = time.monotonic() + PATIENT
        while time.monotonic() < until:
            got = self._asked(self.mirrors[(number + self.random.randrange(2)) % MIRRORS], name)
            if got is None:
                self.tally.broken += 1
                time.sleep(0.2)
                continue
            if got == self._bodies[name]:
                self.tally.right += 1
            elif len(got) < len(self._bodies[name]):
                self.tally.short += 1
            else:
                self.tally.wrong += 1
            return
        self.tally.never += 1

    def _asked(self, mirror: Mirror, name: str) -> bytes | None:
        """A body that looks complete; None if the connection broke or there was an error."""
        try:
            answer = mirror.archive(name)
        except (OSError, http.client.HTTPException, ValueError):
            return None
        return answer.body if answer.status == 200 else None

    # What goes wrong

    def _do(self, fault: str, name: str) -> None:
        if fault == "kill all":
            for number in range(MIRRORS):
                self._kill(number)
        elif fault.startswith("kill"):
            self._kill(self._whom(fault, name))
        elif fault == "stop the holder":
            self._stop(self._whom(fault, name))
        elif fault == "restart the database":
            self.postgres.stop()
            self.postgres.start()
        elif fault == "silence the database":
            self.postgres.silence()
            time.sleep(self.random.uniform(0.5, 5))
            self.postgres.resume()
        elif fault.startswith("bucket"):
            self._for_a_while([self.gateway], fault.removeprefix("bucket "))
        elif fault == "cut the mirrors":
            self._for_a_while(self.ways, self.random.choice(("refuse", "silent")))

    def _whom(self, fault: str, name: str) -> int:
        rows = self.cluster.rows(f"SELECT url FROM leases JOIN mirrors ON id = holder WHERE key LIKE '%{name}'")
        holder = next((number for number, way in enumerate(self.ways) if rows and rows[0][0] == way.url), None)
        if fault.endswith("holder") and holder is not None:
            return holder
        return self.random.choice([number for number in range(MIRRORS) if number != holder])

    def _kill(self, number: int) -> None:
        if self.mirrors[number].process is not None:
            self.mirrors[number].kill()
            self.tally.kills += 1
            time.sleep(self.random.uniform(0, 0.5) / self._pace)
            self._start(number)

    def _stop(self, number: int) -> None:
        self.mirrors[number].signal(signal.SIGSTOP)
        self.tally.stops += 1
        time.sleep(self.random.uniform(1, 7))
        self.mirrors[number].signal(signal.SIGCONT)

    def _for_a_while(self, ways: list[Relay], mode: str) -> None:
        for way in ways:
            way.become(mode)  # type: ignore[arg-type]
        time.sleep(self.random.uniform(0.5, 3) / self._pace)
        for way in ways:
            way.become("pass")

    # The end

    def settle(self) -> None:
        """Whatever was fetched is in the bucket, and every mirror has it without the origin; one of them has lost its folder before."""
        for mirror in self.mirrors:
            until(lambda mirror=mirror: not mirror.status["shared"]["outbox"], "all is told")  # type: ignore[misc]
        self.origin.stop()
        self.mirrors[0].kill()
        shutil.rmtree(self.mirrors[0].data)
        self._start(0)
        for name, content in self._bodies.items():
            for mirror in self.mirrors:
                if self._asked(mirror, name) != content:
                    self.tally.lost += 1


def _hit(fault: str) -> str:
    """What a fault takes away."""
    if fault in ON_HOLDER or fault.startswith("kill a"):
        return "holder hit"
    return "cut off" if fault in CUT_OFF else "without the bucket" if fault in ON_BUCKET else "undisturbed"
