"""What commands want of a mirror, wherever it is: `Local` works on the data folder, `Remote` asks a mirror over HTTP."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from dataset_mirror.airgap.preflight.presence import Known
from dataset_mirror.cli import live
from dataset_mirror.cli.options import configured, mirror_option, mirror_url
from dataset_mirror.settings import ENV_PREFIX, Configuration
from dataset_mirror.store.folder import DataFolder
from dataset_mirror.store.key import known_key

if TYPE_CHECKING:
    from dataset_mirror.airgap.proposals import Proposal
    from dataset_mirror.airgap.wanted import Wish
    from dataset_mirror.cli.steps import Step
    from dataset_mirror.fetch.tracing import Trace
    from dataset_mirror.origins.identity import ArchiveId
    from dataset_mirror.status.contents import ArchiveSummary, Explanation
    from dataset_mirror.status.figures import By, ReportStatus, UsageStatus
    from dataset_mirror.status.models import ClientStatus, LogLine, PinStatus
    from dataset_mirror.status.orders import Collection
    from dataset_mirror.store.listing import Query

R = TypeVar("R")


class Port(Known, Protocol):
    """A mirror. Names are the catalog's, those of repositories, URLs, or globs of any; UsageError for one that means nothing."""

    @property
    def url(self) -> str | None:
        """Where it answers; None if this process works on its data folder."""

    @property
    def elsewhere(self) -> bool:
        """Whether it was named, and is not that of the data folder."""

    def select(self, wanted: str) -> list[ArchiveId]:
        """The archives that a name of the catalog, a glob of names, or a URL means, stored or not."""

    def repository(self, word: str) -> object:
        """UsageError if it is like the name of a repository, and can name none, as far as that is known here."""

    def unlisted(self, archives: Sequence[ArchiveId]) -> list[ArchiveId]:
        """Those of selected archives that no origin lists: a mirror elsewhere knows its origins alone."""

    def size_of(self, archive: ArchiveId) -> int | None:
        """Its bytes as the catalog has them; None if it does not, or the catalog is elsewhere."""

    def status(self) -> dict[str, Any]:
        """What GET /status says."""

    def explain(self, url: str) -> Explanation: ...

    def stored(self, names: Sequence[str], query: Query) -> Iterator[ArchiveSummary]:
        """What is stored of these names, all if there are none, filtered and in the order of the query."""

    def digests(self) -> Iterator[str]:
        """The SHA-256 of everything stored, sorted."""

    def fetch(self, archives: Iterable[ArchiveId], repositories: Iterable[str] = ()) -> Iterator[Step]:
        """Fetches archives, and whole repositories of hubs by name; of these what is to come is told first, as waiting."""

    def verify(self, names: Sequence[str]) -> Iterator[Step]: ...

    def remove(self, urls: Sequence[str]) -> int:
        """Removes stored archives; returns the bytes that this freed."""

    def collect(self, *, dry_run: bool, last_copies: bool) -> Collection: ...

    def pins(self) -> list[PinStatus]:
        """What is pinned, and how much of it is there."""

    def pin(self, names: Sequence[str]) -> list[str]:
        """Pins names; returns those that were not pinned."""

    def unpin(self, names: Sequence[str]) -> list[str]:
        """Takes pins away; returns them."""

    def clients(self) -> list[ClientStatus]:
        """Who asked for archives since the mirror's start. DataFolderError if none is running."""

    def log(self, since: float, limit: int) -> list[LogLine]:
        """The latest requests of the last `since` seconds. DataFolderError if no mirror is running."""

    def usage(self, by: By) -> UsageStatus:
        """What takes the room."""

    def report(self, since: float) -> ReportStatus:
        """What the mirror did since then (seconds since the epoch)."""

    def wanted(self) -> list[Wish]:
        """The whole wanted list."""

    def proposals(self, archives: Iterable[ArchiveId]) -> list[Proposal]:
        """The origins' blocks that these archives need elsewhere, as far as they are known here."""

    def unwant(self, archives: Sequence[ArchiveId]) -> int:
        """Takes archives off the wanted list; returns how many were on it."""

    def trace(self, url: str) -> Trace:
        """Where a URL leads, as the mirror sees it."""

    def reload(self) -> None:
        """Lets a live server read its configuration again."""


@contextmanager
def opened(configuration: Configuration, mirror: str | None) -> Iterator[Port]:
    """The mirror that was named, else the live server of the data folder, else the folder itself."""
    running = live.found(configuration.settings) if mirror is None else None
    if mirror is None and running is None:
        from dataset_mirror.cli.local import Local

        yield Local(configuration)
        return
    from dataset_mirror.cli.remote import Remote

    url = mirror or running or ""
    with live.server(url, secret_for(configuration, url)) as client:
        yield Remote(client, url, configuration.origins if mirror is None else None)


def secret_for(configuration: Configuration, url: str) -> str | None:
    """What lets a command change the mirror at `url`; the data folder's key and its settings' token go to no other mirror."""
    if url == live.found(configuration.settings):
        return known_key(DataFolder(configuration.settings.data.absolute())) or configuration.settings.token
    return os.environ.get(f"{ENV_PREFIX}TOKEN")


def ported(command: Callable[..., R]) -> Callable[..., R]:
    """Adds --mirror, --config and --data, and hands the mirror to the command as its first argument."""

    @wraps(command)
    def through(configuration: Configuration, *, mirror: str | None, **options: Any) -> R:
        with opened(configuration, mirror_url(mirror) if mirror else None) as port:
            return command(port, **options)

    return mirror_option()(configured(through))
