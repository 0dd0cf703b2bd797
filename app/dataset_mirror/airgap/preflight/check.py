"""Before a run: is all there that it will ask for?"""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from dataset_mirror.airgap.preflight import loaders
from dataset_mirror.airgap.preflight.loaders import Call, CannotTell
from dataset_mirror.airgap.preflight.presence import Known, Presence
from dataset_mirror.airgap.preflight.sources import Names
from dataset_mirror.airgap.preflight.subjects import Address, Ask, Beginning, Unclear, Whole

State = Literal["present", "fetching", "missing", "not listed", "cannot tell"]


@dataclass(frozen=True, slots=True)
class Row:
    """One archive that is asked for, or one place of which nobody can tell what it asks for; `size` in bytes."""

    state: State
    places: tuple[str, ...]
    url: str = ""
    name: str = ""
    verified: bool = False
    size: int | None = None
    get: str = ""
    """The command that gets it."""
    reason: str = ""
    """Why it cannot be told."""


@dataclass(slots=True)
class _Plan:
    """URLs that are certainly asked for, whole repositories, URLs that merely stand somewhere, and doubts; each with its places."""

    needed: dict[str, list[str]] = field(default_factory=dict)
    repositories: dict[str, list[str]] = field(default_factory=dict)
    mentioned: dict[str, list[str]] = field(default_factory=dict)
    beginnings: dict[str, list[str]] = field(default_factory=dict)
    doubts: dict[str, list[str]] = field(default_factory=dict)


def preflight(asks: Iterable[Ask], known: Known) -> list[Row]:
    """What a mirror has of all that is asked for, each archive once, in the order of asking; doubts last."""
    plan = _planned(asks, known.names)
    found = known.look(dict.fromkeys([*plan.needed, *plan.mentioned, *plan.beginnings]))
    _sort_out(plan, found)
    missing = [url for url in plan.needed if not found[url].present]
    ways = _Ways(known, missing)
    rows = [ways.row(found[url], tuple(dict.fromkeys(places))) for url, places in plan.needed.items()]
    for name, places in plan.repositories.items():
        rows += [ways.of_repository(name, presence, tuple(dict.fromkeys(places))) for presence in known.look([name]).values()]
    return rows + [Row("cannot tell", tuple(dict.fromkeys(places)), reason=reason) for reason, places in plan.doubts.items()]


def _planned(asks: Iterable[Ask], names: Names) -> _Plan:
    plan = _Plan()
    for ask in asks:
        match ask.subject:
            case Address(url, certain):
                (plan.needed if certain else plan.mentioned).setdefault(url, []).append(ask.place)
            case Whole(name):
                plan.repositories.setdefault(name, []).append(ask.place)
            case Beginning(url):
                plan.beginnings.setdefault(url, []).append(ask.place)
            case Unclear(reason):
                plan.doubts.setdefault(reason, []).append(ask.place)
            case Call() as call:
                try:
                    for url in loaders.archives(call, names):
                        plan.needed.setdefault(url, []).append(ask.place)
                except CannotTell as doubt:
                    plan.doubts.setdefault(str(doubt), []).append(ask.place)
    return plan


def _sort_out(plan: _Plan, found: Mapping[str, Presence]) -> None:
    """A URL that merely stands in a source is an archive if an origin lists it, a doubt if it leads to what one lists, else nothing."""
    for url, places in plan.mentioned.items():
        if found[url].listed and not url.endswith("/"):
            plan.needed.setdefault(url, []).extend(places)
        elif found[url].listed or found[url].leads:
            plan.beginnings[url] = [*plan.beginnings.get(url, []), *places]
    for url, places in plan.beginnings.items():
        if found[url].listed or found[url].leads:
            plan.doubts.setdefault(f"a URL that begins with {url}", []).extend(places)


class _Ways:
    """How to get what is missing."""

    def __init__(self, known: Known, missing: Iterable[str]) -> None:
        self._offline = known.offline
        self._names = {url: name for name, urls in known.names.items() for url in urls}
        gone = set(missing)
        self._whole = {name for name, urls in known.names.items() if set(urls) <= gone}
        """Names of which everything is missing: shorter than their URLs."""

    def of_repository(self, name: str, presence: Presence, places: tuple[str, ...]) -> Row:
        """One of the archives of a repository, or the repository of which nothing is known."""
        if presence.present:
            return Row("present", places, presence.url, name, presence.verified, presence.size)
        state: State = "fetching" if presence.fetching else "missing"
        return Row(state, places, presence.url, name, size=presence.size, get=f"dataset-mirror fetch {shlex.quote(name)}")

    def row(self, presence: Presence, places: tuple[str, ...]) -> Row:
        name = self._names.get(presence.url, "")
        if not presence.listed:
            return Row("not listed", places, presence.url, get=f"dataset-mirror add {shlex.quote(presence.url)}")
        if presence.present:
            return Row("present", places, presence.url, name, presence.verified, presence.size)
        what = shlex.quote(name if name in self._whole else presence.url)
        return Row(
            "fetching" if presence.fetching else "missing",
            places,
            presence.url,
            name,
            size=presence.size,
            get="" if presence.fetching else f"dataset-mirror fetch {what}",
        )
