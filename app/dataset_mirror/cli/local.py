"""The mirror of a data folder, in this process: nobody serves it at the moment."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, TypeVar

from dataset_mirror.airgap.preflight.presence import Presence, names_of, presences, put_on_list, with_bucket
from dataset_mirror.airgap.proposals import Proposal, proposals
from dataset_mirror.airgap.wanted import Reasons, Wish, wishes
from dataset_mirror.cli.here import listing_of, mirror_of, shared_of, store_of
from dataset_mirror.cli.steps import Step
from dataset_mirror.errors import DataFolderError
from dataset_mirror.fetch.tracing import Trace, origin_for, trace
from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.settings import Configuration
from dataset_mirror.status.contents import ArchiveSummary, Explanation
from dataset_mirror.status.figures import By, ReportStatus, UsageStatus
from dataset_mirror.status.models import ClientStatus, LogLine, PinStatus, Status
from dataset_mirror.status.orders import Collection
from dataset_mirror.status.summary import summaries, summary_of
from dataset_mirror.store.listing import Query

T = TypeVar("T")


class Local:
    """A data folder without a server. Each call opens it, and what fetches or removes has its lock meanwhile."""

    url = None
    elsewhere = False

    def __init__(self, configuration: Configuration) -> None:
        self._configuration, self._origins = configuration, configuration.origins
        self.offline = configuration.settings.offline
        self.names: Mapping[str, list[str]] = names_of(self._origins)

    # What it knows

    def select(self, wanted: str) -> list[ArchiveId]:
        return self._origins.select(wanted)

    def repository(self, word: str) -> object:
        return self._origins.repository(word)

    def unlisted(self, archives: Sequence[ArchiveId]) -> list[ArchiveId]:
        return []  # whoever selected one was told

    def size_of(self, archive: ArchiveId) -> int | None:
        entry = self._origins.expected(archive)
        return entry.size if entry else None

    def look(self, urls: Iterable[str]) -> Mapping[str, Presence]:
        with store_of(self._configuration) as store:
            found = [one for url in urls for one in presences(store, self._origins, url)]
            if self._configuration.settings.shared is not None:
                with shared_of(self._configuration, store) as shared:
                    found = with_bucket(found, shared.everywhere().known_of)
            return {one.url: one for one in found}

    def status(self) -> dict[str, Any]:
        from dataset_mirror.mirror import Mirror
        from dataset_mirror.status.state import status_of

        with store_of(self._configuration) as store:
            return asyncio.run(status_of(Mirror(self._configuration, store))).model_dump(mode="json")

    def explain(self, url: str) -> Explanation:
        from dataset_mirror.mirror import Mirror
        from dataset_mirror.status.app import own
        from dataset_mirror.status.explain import explain

        with store_of(self._configuration) as store:
            mirror = Mirror(self._configuration, store)
            with mirror.shared.asking() if mirror.shared else nullcontext():
                return asyncio.run(explain(mirror, url, own(mirror)))

    def stored(self, names: Sequence[str], query: Query) -> Iterator[ArchiveSummary]:
        with store_of(self._configuration) as store:
            if names:
                with listing_of(self._configuration, store) as listing:
                    yield from summaries(listing, self._origins, names, query)
                return
            yield from summaries(store.index, self._origins, (), query)
            if self._configuration.settings.shared is not None:
                with shared_of(self._configuration, store) as shared:
                    yield from (summary_of(self._origins, line) for line in shared.everywhere().elsewhere.every(query))

    def digests(self) -> Iterator[str]:
        with store_of(self._configuration) as store:
            yield from store.index.digests()

    def wanted(self) -> list[Wish]:
        with store_of(self._configuration) as store:
            damaged = frozenset(one.archive for one in store.index.damaged())
            reasons = Reasons(damaged, {one.url: one.status for one in store.index.failures()})
            return wishes(store.index.all_wanted(), self._origins, reasons)

    def proposals(self, archives: Iterable[ArchiveId]) -> list[Proposal]:
        return proposals(archives, self._origins)

    def pins(self) -> list[PinStatus]:
        return Status.model_validate(self.status()).pins

    def clients(self) -> list[ClientStatus]:
        raise self._nobody()

    def log(self, since: float, limit: int) -> list[LogLine]:
        raise self._nobody()

    def usage(self, by: By) -> UsageStatus:
        from dataset_mirror.mirror import Mirror
        from dataset_mirror.status.usage import MOST, usage

        with store_of(self._configuration) as store:
            return usage(Mirror(self._configuration, store), by, MOST)

    def report(self, since: float) -> ReportStatus:
        from dataset_mirror.mirror import Mirror
        from dataset_mirror.status.report import report

        with store_of(self._configuration) as store:
            return report(Mirror(self._configuration, store), since)

    def _nobody(self) -> DataFolderError:
        root = self._configuration.settings.data.absolute()
        return DataFolderError(
            f"No mirror is running on {root}: who asked for what is known while it runs.",
            "Start it: dataset-mirror serve; or name another one: --mirror URL",
        )

    # What it does

    def fetch(self, archives: Iterable[ArchiveId], repositories: Iterable[str] = ()) -> Iterator[Step]:
        from dataset_mirror.upkeep import snapshots

        _, meant = snapshots.meant(self._origins, repositories)

        async def steps() -> AsyncGenerator[Step]:
            async with mirror_of(self._configuration, new=True) as mirror:
                async for one in snapshots.fetch(mirror, archives, meant):
                    yield Step(one.url, one.state, one.received, one.total, one.error, one.over)

        return stepwise(steps)

    def verify(self, names: Sequence[str]) -> Iterator[Step]:
        from dataset_mirror.upkeep.verify import OVER, verify

        async def steps() -> AsyncGenerator[Step]:
            async with mirror_of(self._configuration) as mirror:
                async for one in verify(mirror, names):
                    yield Step(one.url, one.state, one.checked, one.total, one.error, one.state in OVER)

        return stepwise(steps)

    def remove(self, urls: Sequence[str]) -> int:
        from dataset_mirror.upkeep.stored import remove

        async def removing() -> int:
            async with mirror_of(self._configuration) as mirror:
                return sum(one.freed for one in await remove(mirror, urls))

        return asyncio.run(removing())

    def collect(self, *, dry_run: bool, last_copies: bool) -> Collection:
        from dataset_mirror.status.garbage import collected

        async def collecting() -> Collection:
            async with mirror_of(self._configuration, repair=False) as mirror:
                return await collected(mirror, dry_run=dry_run, last_copies=last_copies)

        return asyncio.run(collecting())

    def want(self, urls: Iterable[str]) -> list[str]:
        with store_of(self._configuration) as store:
            return put_on_list(store, self._origins, urls)

    def unwant(self, archives: Sequence[ArchiveId]) -> int:
        with store_of(self._configuration) as store:
            return store.unwant(archives)

    def trace(self, url: str) -> Trace:
        from dataset_mirror.fetch.upstream import Upstream

        async def tracing() -> Trace:
            upstream, archive = Upstream(self._configuration), parse_url(url)
            try:
                return await trace(upstream, origin_for(self._origins, archive, "http" if url.startswith("http://") else "https"), archive)
            finally:
                await upstream.close()

        return asyncio.run(tracing())

    def pin(self, names: Sequence[str]) -> list[str]:
        from dataset_mirror.upkeep.pinned import pin

        with store_of(self._configuration, new=True) as store:
            return [one.name for one in pin(store, self._origins, names)]

    def unpin(self, names: Sequence[str]) -> list[str]:
        from dataset_mirror.upkeep.pinned import unpin

        with store_of(self._configuration) as store:
            return [one.name for one in unpin(store, names)]

    def reload(self) -> None:
        """Nothing: whoever opens the folder next reads the configuration."""


def stepwise(steps: Callable[[], AsyncGenerator[T]]) -> Iterator[T]:
    """What an asynchronous iterator gives, one after the other; its loop runs while the next one is waited for."""

    async def following(items: AsyncGenerator[T]) -> tuple[T, ...]:
        async for item in items:
            return (item,)
        return ()

    with asyncio.Runner() as runner:
        items = steps()
        try:
            while some := runner.run(following(items)):
                yield from some
        except asyncio.CancelledError:  # Ctrl-C just before a step begins: its Runner forgets that it was one
            raise KeyboardInterrupt from None
        except KeyboardInterrupt:
            loop = runner.get_loop()  # if it came when the step had just ended, the loop still has the order to stop before it
            loop.call_soon(loop.stop)
            loop.run_forever()
            raise
        finally:
            runner.run(items.aclose())
