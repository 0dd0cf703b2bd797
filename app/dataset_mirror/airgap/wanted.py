"""The wanted list as people see it: with URLs and the catalog's names, and as a file to carry to where there is a network."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from dataset_mirror.errors import UsageError
from dataset_mirror.origins.meaning import Meaning
from dataset_mirror.origins.table import Origins
from dataset_mirror.store.wanted import Wanted

CARRIED = "wanted.txt"
"""What the file is called in examples."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A wanted archive: its URL, its name in the catalog (empty if it has none), and who asked how often."""

    url: str
    name: str
    asked: Wanted


def wishes(wanted: Iterable[Wanted], origins: Origins) -> list[Wish]:
    """What the index says, in words of the present configuration; a host that is no origin any more is taken for https."""
    return [_wish(one, origins) for one in wanted]


def _wish(one: Wanted, origins: Origins) -> Wish:
    origin, entry = origins.get(one.archive.authority), origins.expected(one.archive)
    url = origin.url_of(one.archive) if origin else f"https://{one.archive}"
    return Wish(url, entry.name if entry else "", one)


def select(listed: Iterable[Wish], meant: Iterable[str]) -> list[Wish]:
    """Those that catalog names, URLs or globs of either mean; UsageError for one that means none."""
    listed = list(listed)
    found: dict[str, Wish] = {}
    for one in meant:
        meaning = Meaning(one)
        fitting = {wish.url: wish for wish in listed if meaning.fits_url(wish.url) or meaning.names(wish.name)}
        if not fitting:
            raise UsageError(f"Nothing is wanted that {one!r} means.", "See what is: dataset-mirror wanted")
        found |= fitting
    return list(found.values())


def as_list(listed: Iterable[Wish], now: float) -> Iterator[str]:
    """The lines of a file that `fetch --from` reads elsewhere; who asked stays here. `now` in seconds since the epoch."""
    listed = list(listed)
    yield f"# Wanted archives: {len(listed):,} ({_day(now)}). One URL or catalog name a line; # begins a comment."
    yield f"# Where there is a network: dataset-mirror fetch --from {CARRIED}"
    for wish in listed:
        times = "once" if wish.asked.count == 1 else f"{wish.asked.count:,} times"
        known = f"{wish.name}, " if wish.name else ""
        yield f"{wish.url}  # {known}asked for {times}, last {_day(wish.asked.last)}"


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d}"
