"""Whether all is well: one list of checks, behind the page, /status, /readyz, /metrics and `dataset-mirror status`."""

import os
from collections.abc import Callable, Iterator
from tempfile import TemporaryFile

from sqlalchemy.exc import SQLAlchemyError

from dataset_mirror.errors import IndexDamaged, StoreFull
from dataset_mirror.mirror import Mirror
from dataset_mirror.rules.counted import are
from dataset_mirror.status.models import Check, HealthStatus
from dataset_mirror.status.wording import count, plain, size
from dataset_mirror.store import damaged
from dataset_mirror.store.store import Store

CLOCK_SECONDS = 300.0
"""A clock that is further off makes validators and certificates wrong."""
READING = frozenset({"index"})
"""Checks without which nothing can be served."""
WRITING = READING | {"disk", "room", "journal"}
"""Checks without which nothing new can be kept."""
_PROBE = b"\0" * 4096

Failing = tuple[str, str] | None
"""What is wrong, and what to do about it."""


async def health_of(mirror: Mirror) -> HealthStatus:
    """All checks, and what they come to. Nothing is asked of the network."""
    found = [*await mirror.store.in_worker(lambda: list(_of_store(mirror.store))), *_of_surroundings(mirror)]
    return HealthStatus(state=_state(found), checks=found)


def can(health: HealthStatus, needed: frozenset[str]) -> bool:
    """Whether all of these checks are well."""
    return all(check.ok for check in health.checks if check.name in needed)


def _state(checks: list[Check]) -> str:
    failing = {check.name for check in checks if not check.ok}
    return "ok" if not failing else "failing" if failing & READING else "degraded"


def _of_store(store: Store) -> Iterator[Check]:
    """What has to be read from, or written to, the disk. Blocks."""
    probes: tuple[tuple[str, str, Callable[[Store], Failing]], ...] = (
        ("disk", "The data folder can be written.", _disk),
        ("room", "There is room for new archives.", _room),
        ("index", "The index answers.", _index),
        ("journal", "archives.ndjson can be written.", _journal),
        ("archives", "No archive is known to be damaged.", _archives),
    )
    for name, good, probe in probes:
        yield _check(name, good, _wrong(probe, store))


def _of_surroundings(mirror: Mirror) -> Iterator[Check]:
    yield _check("upstreams", "No upstream is on hold.", _upstreams(mirror))
    yield _check("configuration", "The last reload succeeded.", _configuration(mirror))
    yield _check("clock", "The clock agrees with the upstreams', as far as they were asked.", _clock(mirror))


def _check(name: str, good: str, wrong: Failing) -> Check:
    detail, hint = wrong or (good, "")
    return Check(name=name, ok=wrong is None, detail=plain(detail), hint=plain(hint))


def _wrong(probe: Callable[[Store], Failing], store: Store) -> Failing:
    try:
        return probe(store)
    except (IndexDamaged, StoreFull) as error:
        return error.detail, error.hint
    except SQLAlchemyError as error:
        reason = getattr(error, "orig", None) or error
        return f"The index does not answer: {reason}.", "Check its disk; if it is damaged: dataset-mirror doctor --rebuild"


def _disk(store: Store) -> Failing:
    try:
        with TemporaryFile(dir=store.folder.partial, buffering=0) as file:
            file.write(_PROBE)
            os.fsync(file.fileno())
    except OSError as error:
        return f"The data folder {store.folder.root} cannot be written: {error.strerror}.", "Free some room, or check its permissions."
    return None


def _room(store: Store) -> Failing:
    space, hint = store.space, "See what could be removed: dataset-mirror gc --dry-run; or change max_size or min_free."
    try:
        free = space.free
    except OSError as error:
        return f"The data folder's disk does not answer: {error.strerror}.", "Check that it is mounted."
    if free - space.promised <= space.min_free:
        return f"The disk is full: {size(free)} free, of which {size(space.min_free)} must stay free (min_free).", hint
    if space.max_size is not None and space.kept > space.max_size:
        return f"{size(space.kept)} are stored, more than {size(space.max_size)} (max_size).", hint
    return None


def _index(store: Store) -> Failing:
    store.index.counters()
    if store.index.damage:
        return store.index.damage.detail, store.index.damage.hint
    return None


def _journal(store: Store) -> Failing:
    path = store.folder.journal
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC))
    except FileNotFoundError:
        if store.index.total("archives"):
            return f"{path} is missing.", "Restore it from a backup: the index cannot be rebuilt without it."
    except OSError as error:
        return f"{path} cannot be written: {error.strerror}.", "Check its permissions and its disk."
    return None


def _archives(store: Store) -> Failing:
    number = store.index.number_damaged()
    (first,) = store.index.look(lambda connection: damaged.every(connection, 1)) if number else (None,)
    if first is None:
        return None
    return (
        f"{count(number, 'archive')} {are(number)} damaged and not served, such as {first.url}.",
        "Fetch again: dataset-mirror verify; or bring from where there is a network: dataset-mirror wanted --export wanted.txt",
    )


def _upstreams(mirror: Mirror) -> Failing:
    resting = [(place, health.last_error) for place, health in mirror.upstream.health.by_place.items() if health.resting]
    if mirror.settings.offline or not resting:
        return None
    place, why = resting[0]
    more = f", and {count(len(resting) - 1)} more" if len(resting) > 1 else ""
    return f"On hold after failures: {place} ({why}){more}.", "It is asked again soon; to see why: dataset-mirror doctor"


def _configuration(mirror: Mirror) -> Failing:
    refused = mirror.configuration.refused
    if refused is None:
        return None
    return (
        f"The last reload was refused; the previous configuration stays in force: {refused.detail}",
        refused.hint or "Fix it, and reload.",
    )


def _clock(mirror: Mirror) -> Failing:
    ahead = sorted(mirror.upstream.health.clocks.values())
    middle = ahead[len(ahead) // 2] if ahead else 0.0
    if abs(middle) <= CLOCK_SECONDS:
        return None
    direction = "ahead of" if middle > 0 else "behind"
    return f"This machine's clock is {abs(middle):,.0f} s {direction} the upstreams'.", "Set it: timedatectl set-ntp true"
