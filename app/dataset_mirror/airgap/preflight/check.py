"""Before a run: is all there that it will ask for?"""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
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


Places = dict[str, list[str]]


@dataclass(slots=True)
class _Plan:
    """What is certainly asked for, by URL or as a whole repository, what merely stands somewhere, and doubts; each with its places."""

    needed: Places = field(default_factory=dict)
    repositories: Places = field(default_factory=dict)
    mentioned: Places = field(default_factory=dict)
    beginnings: Places = field(default_factory=dict)
    doubts: Places = field(default_factory=dict)


def preflight(asks: Iterable[Ask], known: Known) -> list[Row]:
    """What a mirror has of all that is asked for, each archive once, in the order of asking; doubts last."""
    plan = _planned(asks, known.names)
    found = known.look(dict.fromkeys([*plan.needed, *plan.mentioned, *plan.beginnings]))
    _sort_out(plan, found)
    names = {url: name for name, urls in known.names.items() for url in urls}
    missing = {url for url in plan.needed if not found[url].present}
    rows = []
    for url, places in plan.needed.items():
        name = names.get(url, "")
        is_whole = name != "" and missing.issuperset(known.names[name])  # then the name is shorter than its URLs
        rows.append(_row(found[url], places, name, name if is_whole else url))
    for name, places in plan.repositories.items():
        rows += [_row(presence, places, name, name) for presence in known.look([name]).values()]
    return rows + [Row("cannot tell", _each(places), reason=reason) for reason, places in plan.doubts.items()]


def _planned(asks: Iterable[Ask], names: Names) -> _Plan:
    plan = _Plan()
    for place, subject in ((ask.place, ask.subject) for ask in asks):
        match subject:
            case Address(url, certain):
                (plan.needed if certain else plan.mentioned).setdefault(url, []).append(place)
            case Whole(name):
                plan.repositories.setdefault(name, []).append(place)
            case Beginning(url):
                plan.beginnings.setdefault(url, []).append(place)
            case Unclear(reason):
                plan.doubts.setdefault(reason, []).append(place)
            case Call():
                try:
                    for url in loaders.archives(subject, names):
                        plan.needed.setdefault(url, []).append(place)
                except CannotTell as doubt:
                    plan.doubts.setdefault(str(doubt), []).append(place)
    return plan


def _sort_out(plan: _Plan, found: Mapping[str, Presence]) -> None:
    """A URL that merely stands in a source is an archive if an origin lists it, a doubt if it leads to what one lists, else nothing."""
    for url, places in plan.mentioned.items():
        is_archive = found[url].listed and not url.endswith("/")
        (plan.needed if is_archive else plan.beginnings).setdefault(url, []).extend(places)
    for url, places in plan.beginnings.items():
        if found[url].listed or found[url].leads:
            plan.doubts.setdefault(f"a URL that begins with {url}", []).extend(places)


def _row(presence: Presence, places: Iterable[str], name: str, what: str) -> Row:
    """`what` gets it, if it is missing."""
    row = Row("missing", _each(places), presence.url, name, presence.verified, presence.size)
    if not presence.listed:
        return replace(row, state="not listed", get=f"dataset-mirror add {shlex.quote(presence.url)}")
    if presence.present or presence.fetching:
        return replace(row, state="present" if presence.present else "fetching")
    return replace(row, get=f"dataset-mirror fetch {shlex.quote(what)}")


def _each(places: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(places))
