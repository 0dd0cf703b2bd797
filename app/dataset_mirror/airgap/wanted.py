"""The wanted list as people see it: with URLs and the catalog's names, and as a file to carry to where there is a network."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from dataset_mirror.airgap.proposals import MARK, Proposal
from dataset_mirror.errors import UsageError
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.origins.meaning import Meaning
from dataset_mirror.origins.model import Origin
from dataset_mirror.origins.table import Origins
from dataset_mirror.store.wanted import WHOLE_HOST, Wanted

CARRIED = "wanted.txt"
"""What the file is called in examples."""
Kind = Literal["offline", "refused", "404", "unlisted", "damaged"]
"""Why an archive is wanted: the mirror was offline or its origin out of reach; the origin refuses it, or does not have it; no origin
lists it; its bytes here are damaged."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A wanted archive: its URL, its name in the catalog (empty if it has none), who asked how often, and why it is wanted."""

    url: str
    name: str
    asked: Wanted
    kind: Kind = "offline"
    whole: str = ""
    """The name of the whole repository at a revision, if the archive tells what that has: whoever asks for it wants the rest, too."""

    @property
    def is_host(self) -> bool:
        """Whether it is a whole host, of which no URL is known: it was asked for through a tunnel."""
        return self.kind == "unlisted" and self.asked.archive.target == WHOLE_HOST


@dataclass(frozen=True, slots=True)
class Reasons:
    """What tells why an archive is wanted: which ones are damaged, and the latest failures' statuses by URL."""

    damaged: frozenset[ArchiveId] = frozenset()
    statuses: Mapping[str, int] = field(default_factory=dict)

    def of(self, archive: ArchiveId, url: str, origin: Origin | None) -> Kind:
        if archive in self.damaged:
            return "damaged"
        if origin is None or not origin.lists(archive.path):
            return "unlisted"
        status = self.statuses.get(url)
        return "404" if status in (404, 410) else "refused" if status in (401, 403, 451) else "offline"


def wishes(wanted: Iterable[Wanted], origins: Origins, reasons: Reasons | None = None) -> list[Wish]:
    """What the index says, in words of the present configuration; a host that is no origin any more is taken for https."""
    return [_wish(one, origins, reasons or Reasons()) for one in wanted]


def _wish(one: Wanted, origins: Origins, reasons: Reasons) -> Wish:
    origin = origins.get(one.archive.authority)
    url = origin.url_of(one.archive) if origin else f"https://{one.archive}"
    return Wish(url, origins.name_of(one.archive), one, reasons.of(one.archive, url, origin), origins.whole_of(one.archive))


def select(listed: Iterable[Wish], meant: Iterable[str]) -> list[Wish]:
    """Those that catalog names, URLs or globs of either mean; UsageError for one that means none."""
    listed = list(listed)
    found: dict[str, Wish] = {}
    for one in meant:
        meaning = Meaning(one)
        fitting = {wish.url: wish for wish in listed if _is_meant(wish, meaning)}
        if not fitting:
            raise UsageError(f"Nothing on the wanted list matches {one!r}.", "See the list: dataset-mirror wanted")
        found |= fitting
    return list(found.values())


def _is_meant(wish: Wish, meaning: Meaning) -> bool:
    return meaning.fits_url(wish.url) or meaning.fits_file(wish.url) or meaning.names(wish.name) or meaning.names(wish.whole)


def as_list(listed: Iterable[Wish], now: float, proposed: Iterable[Proposal] = ()) -> Iterator[str]:
    """The lines of a file that `fetch --from` reads elsewhere; who asked stays here. `now` in seconds since the epoch.

    The origins that it needs come first, as a proposal. Whole hosts are comments: only people know what they are wanted for.
    """
    listed = list(listed)
    yield f"# Wanted archives: {len(listed):,} ({_day(now)}). One URL or catalog name a line; # begins a comment."
    yield f"# Where there is a network: dataset-mirror fetch --from {CARRIED}"
    for proposal in proposed:
        yield MARK + proposal.to_line()
    for wish in listed:
        times = "once" if wish.asked.count == 1 else f"{wish.asked.count:,} times"
        known = f"{wish.name}, " if wish.name and not wish.whole else ""
        why = "" if wish.kind == "offline" else f"{wish.kind}, "
        before = "# A host, through a tunnel: " if wish.is_host else ""
        yield f"{before}{wish.whole or wish.url}  # {known}{why}asked for {times}, last {_day(wish.asked.last)}"


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d}"
