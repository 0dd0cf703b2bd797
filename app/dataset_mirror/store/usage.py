"""What is asked for, gathered in memory and written in batches: a request never waits for a write."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.store import history
from dataset_mirror.store.history import HOUR, Counts, Of
from dataset_mirror.store.store import Store

_TOTALS = ("hits", "misses", "served", "fetched")


@dataclass(slots=True)
class Asked(Counts):
    """What was asked for of one archive."""

    uses: int = 0
    """How often somebody got it from the store."""
    used: float = 0.0
    """When last, in seconds since the epoch."""

    def also(self, more: "Asked") -> None:
        self.add(more)
        self.uses += more.uses
        self.used = max(self.used, more.used)


@dataclass(slots=True)
class Gathered:
    """What was asked for since the last flush."""

    archives: dict[ArchiveId, Asked] = field(default_factory=dict)
    clients: dict[str, Counts] = field(default_factory=dict)
    """By network."""

    def sums(self, dataset_of: Callable[[ArchiveId], str]) -> dict[tuple[Of, str], Counts]:
        """The same in all, by origin, by dataset and by network."""
        found: dict[tuple[Of, str], Counts] = {}
        for archive, asked in self.archives.items():
            if asked:
                for key in (("all", ""), ("origin", archive.authority), ("dataset", dataset_of(archive))):
                    found.setdefault(key, Counts()).add(asked)
        return found | {("client", network): counts for network, counts in self.clients.items()}

    def also(self, more: "Gathered") -> None:
        for archive, asked in more.archives.items():
            self.archives.setdefault(archive, Asked()).also(asked)
        for network, counts in more.clients.items():
            self.clients.setdefault(network, Counts()).add(counts)


class Usage:
    """What was asked for since the last flush, and its way into the index."""

    def __init__(self, store: Store, dataset_of: Callable[[ArchiveId], str], clients: Callable[[], Mapping[str, Counts]] = dict) -> None:
        """`dataset_of` names an archive's dataset; `clients` gives what each network asked for since it was called last."""
        self._store, self._dataset_of, self._clients = store, dataset_of, clients
        self._gathered, self._being_written = Gathered(), Gathered()
        self._flushing = asyncio.Lock()
        self._tidied = 0.0

    def of(self, archive: ArchiveId) -> Asked:
        """What was asked for of an archive since the last flush, to be counted up."""
        asked = self._gathered.archives.get(archive)
        if asked is None:
            asked = self._gathered.archives[archive] = Asked()
        return asked

    def note(self, archive: ArchiveId) -> Asked:
        """Somebody asked for the archive, and gets it."""
        asked = self.of(archive)
        asked.uses += 1
        asked.used = time.time()
        return asked

    def take(self) -> Gathered:
        """What was noted, which is somebody else's to write down."""
        taken, self._gathered = self._gathered, Gathered()
        return taken

    def add(self, more: Gathered) -> None:
        """Adds what was noted elsewhere, or could not be written."""
        self._gathered.also(more)

    @property
    def pending(self) -> dict[str, int]:
        """What the totals of the index lack yet, for whoever has just read them in the store's worker, where they are written, too."""
        noted, being_written = _totals(self._gathered), _totals(self._being_written)
        return {name: noted[name] + being_written[name] for name in _TOTALS}

    def unwritten(self, of: Of, name: str) -> Counts:
        """What the history of one name lacks yet."""
        found = Counts()
        for gathered in (self._gathered, self._being_written):
            found.add(gathered.sums(self._dataset_of).get((of, name), Counts()))
        return found

    async def flush(self) -> None:
        """Writes what was noted. If that fails it is kept, for the next time; being cancelled does not stop it half-way.

        The worker would go on with a write that was cancelled here, and a second flush would count the same again.
        """
        await asyncio.shield(asyncio.create_task(self._flush()))

    async def _flush(self) -> None:
        async with self._flushing:
            await self._flush_now()

    async def _flush_now(self) -> None:
        gathered = self.take()
        for network, counts in self._clients().items():
            gathered.clients.setdefault(network, Counts()).add(counts)
        if not (gathered.archives or gathered.clients):
            return
        self._being_written = gathered
        try:
            await self._store.in_worker(lambda: self._write(gathered))
        except BaseException:
            self.add(gathered)
            raise
        finally:
            self._being_written = Gathered()

    def _write(self, gathered: Gathered) -> None:
        now = time.time()
        with self._store.transaction("The counts of hits") as writing:
            writing.use({archive: (asked.uses, asked.used) for archive, asked in gathered.archives.items() if asked.uses})
            for name, value in _totals(gathered).items():
                writing.count(name, value)
            history.add(writing.connection, gathered.sums(self._dataset_of), now)
            if not self._tidied or now - self._tidied >= HOUR:
                history.tidy(writing.connection, now, self._tidied)
        if now - self._tidied >= HOUR:
            self._tidied = now


def _totals(gathered: Gathered) -> dict[str, int]:
    return {name: sum(getattr(asked, name) for asked in gathered.archives.values()) for name in _TOTALS}
