"""A large fill writes down what it has, so that the next run of the mirror can go on with it."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dataset_mirror.fetch.edition import Edition
from dataset_mirror.fetch.job import Job
from dataset_mirror.fetch.to_the_end import to_the_end
from dataset_mirror.store.resumable import Leftover

log = logging.getLogger(__name__)

LEAST = 64 * 1024 * 1024
"""Bytes of an archive that is worth it; a smaller one is fetched afresh."""
STEP, SECONDS = 64 * 1024 * 1024, 5.0
"""How many new bytes, and after how long fewer, are written down."""
_LOOK_SECONDS = 0.25


class Keeping:
    """Keeps the journal of one edition while its bytes arrive."""

    def __init__(self, edition: Edition, job: Job) -> None:
        self._edition, self._job = edition, job
        self._saved, self._saved_at = edition.partial.have.total, time.monotonic()
        self._over = asyncio.Event()
        self._saving = asyncio.create_task(self._save_as_it_grows())

    async def whole(self) -> None:
        """All is there: nothing more is written down. OSError if the disk has lost bytes meanwhile."""
        self._over.set()
        await asyncio.shield(self._saving)  # a thread may have the file

    async def stopped(self) -> None:
        """The mirror stops: what is there is written down, and the file stays. If that fails, it is as if nothing had been there.

        A publication that is under way at that moment takes the file away; the next start removes the journal then.
        """
        try:
            await self.whole()
            if self._edition.partial.have.total:
                await self._save()
                self._edition.stays = True
        except OSError as error:
            log.warning("The partial download of %s cannot be kept for the next start: %s.", self._job.url, error)

    async def close(self) -> None:
        """The fill ends, however; the file may be closed after this."""
        self._over.set()
        await to_the_end([self._saving])
        self._saving.exception()  # who could still do something about it has had it

    async def _save_as_it_grows(self) -> None:
        while not self._over.is_set():
            new = self._edition.partial.have.total - self._saved
            if new >= STEP or (new and time.monotonic() - self._saved_at >= SECONDS):
                await self._save()
            try:
                await asyncio.wait_for(self._over.wait(), _LOOK_SECONDS)
            except TimeoutError:
                continue

    async def _save(self) -> None:
        """What is there at this moment is made durable, and only then written down: bytes that arrive meanwhile do not count."""
        there = self._there()
        # Its error must end the fill: the system reports lost bytes only once, and the fsync at the end would be content.
        await asyncio.to_thread(self._edition.partial.sync_data)
        try:
            await asyncio.to_thread(there.save)
        except OSError as error:
            log.warning("The progress of %s could not be recorded: %s.", self._job.url, error)
        self._saved, self._saved_at = there.total, time.monotonic()

    def _there(self) -> Leftover:
        edition = self._edition
        assert edition.length is not None
        return Leftover(
            path=edition.partial.path,
            url=self._job.url,
            archive=self._job.archive,
            length=edition.length,
            upstream=edition.upstream,
            validators=edition.validators,
            fields=edition.fields,
            have=tuple(edition.partial.have),
            private=self._job.is_with_credentials,
        )


@asynccontextmanager
async def keeping(edition: Edition, job: Job) -> AsyncIterator[Keeping | None]:
    """Keeps the journal of an edition while its bytes arrive; None if the next run could not go on with it, or it is too small."""
    if not _is_worth_it(edition, job):
        yield None
        return
    kept = Keeping(edition, job)
    try:
        yield kept
    except asyncio.CancelledError:
        await kept.stopped()
        raise
    finally:
        await kept.close()


def _is_worth_it(edition: Edition, job: Job) -> bool:
    """A check is none: it asks for the whole again."""
    if job.known or edition.encoding or edition.validators.strong is None:
        return False
    return edition.length is not None and edition.length >= LEAST
