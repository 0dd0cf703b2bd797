"""One fill: the one download in progress for an archive. It belongs to the mirror; clients come and go.

It reads as it happens: ask the source until it answers → let readers follow once its first bytes look right → transfer,
resuming where a connection broke → verify → publish.
"""

import asyncio
import logging
import time
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path

from dataset_mirror.errors import DamagedTransfer, FillFailed, MirrorError, Stopping
from dataset_mirror.fetch.beginning import check_for_keeping
from dataset_mirror.fetch.continuing import Rest, first_or_next
from dataset_mirror.fetch.digests import Hasher
from dataset_mirror.fetch.edition import HOLD, Edition
from dataset_mirror.fetch.intake import Intake
from dataset_mirror.fetch.job import Job
from dataset_mirror.fetch.keeping import keeping
from dataset_mirror.fetch.limits import Limits, Place
from dataset_mirror.fetch.opening import first_reply
from dataset_mirror.fetch.pace import Pace
from dataset_mirror.fetch.promises import Promises
from dataset_mirror.fetch.publishing import algorithms, published
from dataset_mirror.fetch.reply import Reply
from dataset_mirror.fetch.resume import StartOver
from dataset_mirror.fetch.source import Source
from dataset_mirror.fetch.transfer import Transfer
from dataset_mirror.rules.fields import refreshed
from dataset_mirror.rules.freshness import conditions
from dataset_mirror.store.digests import Digests
from dataset_mirror.store.record import Record
from dataset_mirror.store.space import of_disk
from dataset_mirror.store.store import Store

log = logging.getLogger(__name__)

MOST_EDITIONS = 5
"""How often a fill may start over: an origin that changes its archive all the time is never whole."""


class Fill:
    """The download of one archive, and what its readers wait for."""

    def __init__(
        self, job: Job, source: Source, intake: Intake, store: Store, limits: Limits, digesting: Executor, promises: Promises
    ) -> None:
        self._asked_for = job
        self.began = time.time()
        self.running = False
        """Whether it has its place among the fills; before, it waits in line."""
        self.readers = 0
        self.record: Record | None = None
        """What was published at the end."""
        self._source, self._intake, self._store, self._limits, self._digesting = source, intake, store, limits, digesting
        self._promises = promises
        self._transfer: Transfer | None = None
        self._place: Place | None = None
        self._task: asyncio.Task[object] | None = None
        self._cancelled: MirrorError | None = None

    # What others see

    @property
    def source(self) -> Source:
        """Where it asks."""
        return self._source

    @property
    def job(self) -> Job:
        """What it fetches, with what is known of it by now."""
        return self._intake.job

    @property
    def error(self) -> MirrorError | None:
        """What it failed with."""
        return self._intake.error

    @property
    def over(self) -> bool:
        return self.record is not None or self.error is not None

    @property
    def upstream(self) -> str:
        """Scheme and authority of the upstream that its bytes come from; empty until one has answered."""
        return self._intake.edition.upstream if self._intake.edition else ""

    @property
    def pace(self) -> Pace:
        return self._intake.pace

    @property
    def slow(self) -> bool:
        """Whether it brought too little, and goes on beside those that have its place now."""
        return self._place is not None and self._place.is_beside

    @property
    def connections(self) -> int:
        """How many connections bring its bytes now."""
        return self._transfer.connections if self._transfer else 0

    @property
    def received(self) -> int:
        """Bytes that are there."""
        edition = self._intake.edition
        return edition.partial.have.total if edition else 0

    @property
    def total(self) -> int | None:
        """Bytes of the whole archive, as soon as the upstream told."""
        return self._intake.edition.length if self._intake.edition else None

    @property
    def file(self) -> Path | None:
        """Where its bytes are while it runs."""
        return self._intake.edition.partial.path if self._intake.edition else None

    async def opened(self) -> Edition | Record:
        """What the origin sends, once its beginning looks right; the published record if that is earlier. Raises its error."""
        while True:
            if self.error:
                raise self.error
            if found := self.record or self._intake.shown:
                return found
            await self.grown()

    async def readable(self, edition: Edition, offset: int, end: int | None, *, hold: bool) -> int:
        """How far a reader at `offset`, whose answer ends at `end`, may go; waits until that is further. At the end: `offset`.

        Raises the fill's error, and Superseded if the origin started over with other bytes.
        """
        while (limit := self._intake.limit(edition, offset, end, hold=hold)) is None:
            if self._transfer and end is not None:
                self._transfer.want(edition, offset, end - HOLD if hold else end)
            await self.grown()
        return limit

    async def grown(self) -> None:
        """Waits until more bytes are there, or anything else changed."""
        await self._intake.wait()

    async def ended(self) -> None:
        """Waits until it is over, well or not."""
        while not self.over:
            await self.grown()

    def cancel(self, error: MirrorError) -> None:
        """Ends it, unless it has ended or is about to: its readers get this error."""
        if self.over or self._cancelled:
            return
        self._cancelled = error
        if self._task:
            self._task.cancel()

    def stop(self) -> None:
        """The mirror stops: it ends, and what is there of a large archive stays for the next run."""
        self.cancel(self._stopping)

    @property
    def _stopping(self) -> Stopping:
        return Stopping(f"The mirror was stopped while {self.job.url} was being fetched.", "Ask again when it is back.")

    # The story

    async def run(self) -> None:
        """Fetches, verifies and publishes; ends with `record` or `error` set, whatever happens."""
        self._task = asyncio.current_task()
        try:
            if self._cancelled:  # before it began
                raise self._cancelled
            async with self._limits.one_fill(self._source, self.pace) as self._place:
                self.running, self.began = True, time.time()
                self._intake.wake()
                self.record = await self._fetched()
        except MirrorError as error:
            self._intake.error = error
        except asyncio.CancelledError:
            self._intake.error = self._cancelled or self._stopping
        except OSError as error:
            self._intake.error = self._disk_error(error)
        except Exception as error:  # a bug must not leave its readers waiting for ever
            log.exception("The fill of %s failed unexpectedly.", self.job.url)
            self._intake.error = FillFailed(f"The fill of {self.job.url} failed inside the mirror: {error!r}.", "Report this as a bug.")
        finally:
            self._intake.close()

    async def _fetched(self) -> Record:
        self._intake.job = self._asked_for = await self._promises.of(self._asked_for)
        known, rest = self.job.known, None
        if known:
            reply = await first_reply(self._source, conditions(known.validators))
            if reply.status == 304 or self.job.origin.on_change == "keep":
                await reply.close()
                check_for_keeping(self.job, reply)
                return await self._confirmed(known, reply)
        else:
            reply, rest = await first_or_next(self._source, self._store.leftovers, self.job)
        damaged = False
        for attempt in range(MOST_EDITIONS):
            try:
                # Servers that disagree about its validator must not make it start over for ever: then it has one connection.
                return await self._edition_from(reply, rest, pieces=attempt == 0)
            except StartOver as again:
                log.info("Starting over with %s: %s.", self.job.url, again)
                rest = None
                reply = again.reply or await first_reply(self._source)
            except DamagedTransfer as damage:
                if damaged:
                    raise
                log.warning("Fetching %s once more: %s", self.job.url, damage.detail)
                if self.job.shared:
                    await self._source.distrust()
                damaged, rest = True, None
                reply = await first_reply(self._source)
        await reply.close()
        raise FillFailed(f"{self.job.url} changed at its origin again and again while it was being fetched.", "Try later.")

    async def _confirmed(self, known: Record, reply: Reply) -> Record:
        """What is there stays, and is not checked again for a while; a 304 refreshes what is known of it (RFC 9111 4.3.4)."""
        confirmed = replace(known, checked=max(1.0, time.time() - reply.age))
        if reply.status == 304:
            fields, validators = refreshed(known.fields, self.job.fields_of(reply)), known.validators.refreshed_by(reply.validators)
            confirmed = replace(confirmed, fields=fields, validators=validators)
        else:
            log.warning("%s changed at its origin; its first bytes are kept (on_change).", self.job.url)
        return await self._store.in_worker(lambda: self._store.refresh(confirmed))

    async def _edition_from(self, reply: Reply, rest: Rest | None, *, pieces: bool) -> Record:
        """One edition from its first answer, to its publication. StartOver if the origin's bytes are others now."""
        try:
            self._intake.job = self._asked_for.promised(reply)
            edition = await (self._intake.go_on(rest, reply) if rest else self._intake.begin(reply))
        except BaseException:
            await reply.close()
            raise
        hashing = asyncio.create_task(self._hashed(edition))
        transfer = Transfer(self._source, self._limits, self._intake, edition, known_digest=self.job.has_digest, pieces=pieces)
        self._transfer = transfer
        try:
            async with keeping(edition, self.job) as kept:
                last = await transfer.run(reply)
                self._intake.whole()
                if kept:
                    await kept.whole()
                proven = edition.length is not None or not last.ends_by_close
                return await published(self.job, self._store, self._intake, await hashing, began=self.began, proven=proven)
        finally:
            self._transfer = None
            hashing.cancel()
            await asyncio.wait([hashing])

    async def _hashed(self, edition: Edition) -> Digests:
        hasher = Hasher(edition.partial, self._digesting, algorithms(self.job, edition.claims))
        return await hasher.follow(self.grown, lambda: edition.whole)

    def _disk_error(self, error: OSError) -> MirrorError:
        full = of_disk(error, self.job.url)
        return full or FillFailed(f"{self.job.url} cannot be written: {error}.", "Look at the data folder's disk and permissions.")
