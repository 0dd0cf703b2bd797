"""Steps of faults, planned by random numbers, one after the other until the time is over."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.disks import AROUND, NEEDS_DISK
from tests.faults.origins import FAULTS, PROVEN, put
from tests.faults.processes import ENDS_PROCESS, SUDDEN
from tests.faults.report import Report
from tests.faults.truth import Archive
from tests.faults.world import World, world

_AUDIT_EVERY = 8
_LEAST = 2


@dataclass
class Plan:
    """What fails in a step: it follows from the seed and the step's number."""

    random: random.Random
    origins: dict[str, tuple[str, dict[str, object]]] = field(default_factory=dict)
    """By path: the fault's name, and how the origin behaves."""
    changed: set[str] = field(default_factory=set)
    """Paths whose origin has the next version from this step on."""
    sudden: str | None = None
    around: str | None = None


def planned(seed: int, step: int, archives: list[Archive], skipped: dict[str, str], *, brief: bool) -> Plan:
    """The plan of a step; a brief one has only faults that are over soon."""
    plan = Plan(random.Random(f"{seed}:{step}"))
    choose = plan.random
    for archive in archives:
        if archive.kept or choose.random() < 0.4:
            continue
        faults = FAULTS | (PROVEN if archive.known else {})
        name = choose.choice(list(faults))
        times = 1 if brief else choose.choice([1, 2, 3, None])
        plan.origins[archive.path] = name, {**faults[name](choose, archive), "times": times}
        if choose.random() < 0.3:
            plan.changed.add(archive.path)
    if choose.random() < 0.5:
        plan.sudden = choose.choice(list(SUDDEN))
    if choose.random() < 0.5:
        plan.around = choose.choice(list(AROUND))
    if plan.around in skipped or (plan.around and brief and choose.random() < 0.5):
        plan.around = None
    if plan.around and plan.sudden in ENDS_PROCESS:
        plan.sudden = None  # the disk's fault has its own processes
    if plan.around in NEEDS_DISK and plan.sudden in ("SIGHUP", "second serve"):
        plan.sudden = None  # its file cannot be written; a disk that nobody can write may have several servers
    return plan


def take(place: World, plan: Plan, clients: int) -> None:
    """One step: everything fails at once; then nothing does, and all has to be well."""
    report = place.report
    for archive in place.archives:
        if archive.path in plan.changed:
            archive.now = (archive.now + 1) % len(archive.versions)
        if archive.path in plan.origins:
            put(place.origin, archive, **plan.origins[archive.path][1])
    others = [f"process: {plan.sudden}"] if plan.sudden else []
    others += [f"disk: {plan.around}"] if plan.around else []
    with ExitStack() as ends:
        try:
            ends.enter_context(AROUND[plan.around](place, plan.random) if plan.around else nullcontext())
            _together(place, plan, clients, others)
        except Exception as error:  # noqa: BLE001 — whatever it is, the next steps go on
            report.finding(f"{plan.around} {plan.sudden}: {type(error).__name__}: {error!s:.2000}")
    for archive in place.archives:
        if archive.path in plan.origins:
            put(place.origin, archive)
    if place.mirror.process is None or place.mirror.process.poll() is not None:
        report.finding(f"the mirror's process is not there any more ({others}): {place.mirror.log[-2000:]}")
        place.end()
        place.start()
    place.ask([*others, *sorted({f"origin: {name}" for name, _ in plan.origins.values()})])
    place.settled()


def _together(place: World, plan: Plan, clients: int, others: list[str]) -> None:
    """Clients ask while something happens to the process."""
    tls = plan.sudden not in ENDS_PROCESS and plan.around != "few descriptors"
    randoms = [random.Random(f"{plan.random.random()}") for _ in range(clients)]
    delay, own = plan.random.random(), random.Random(plan.random.random())
    with ThreadPoolExecutor(clients + 1) as pool:
        asked = [pool.submit(_ask, place, plan, random_, others, tls) for random_ in randoms]
        if plan.sudden:
            place.pause(delay)
            SUDDEN[plan.sudden](place, own)
        for each in asked:
            each.result()


def _ask(place: World, plan: Plan, random_: random.Random, others: list[str], tls: bool) -> None:
    """One client, and what is counted of it."""
    for kind, (archive, verdict, why) in place.client(random_, tls=tls).results():
        name, _ = plan.origins.get(archive.path, ("", {})) if archive else ("", {})
        name = name or ("" if archive is None or archive.versions else f"rogue, {archive.path.rpartition('/')[2].removesuffix('.bin')}")
        place.report.count([f"client: {kind}", *others, *([f"origin: {name}"] if name else [])], verdict)
        if verdict in ("wrong", "hung"):
            place.report.finding(f"{kind} of {archive.path if archive else '-'} ({name}; {others}): {verdict}, {why:.1500}")
        if verdict == "refused":
            place.report.refusals[why[:60]] += 1


def drive(folder: Path, report: Report, *, seconds: float, clients: int, large: bool, brief: bool = False) -> Report:
    """Takes steps until the time is over, and looks at all again at the end."""
    until = time.monotonic() + seconds
    with world(folder, report, large=large) as place:
        report.say(f"began with {len(place.archives)} archives")
        while time.monotonic() < until or report.step < _LEAST:
            report.step += 1
            plan = planned(report.seed, report.step, place.archives, report.skipped, brief=brief)
            began = time.monotonic()
            take(place, plan, clients)
            took = time.monotonic() - began
            report.say(f"step {report.step}: {plan.around or '-'}, {plan.sudden or '-'}, {len(plan.origins)} origins ({took:.1f} s)")
            if report.step % _AUDIT_EVERY == 0:
                place.audit()
        place.audit()
        place.settled()
        place.stop()
    return report
