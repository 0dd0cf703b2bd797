"""One fill: the one download in progress for an archive. It belongs to the mirror; clients come and go.

It reads as it happens: ask the origin until it answers → let readers follow once its first bytes look right → receive,
resuming where a connection broke → verify → publish.
"""

import asyncio
import logging
import time
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

from dataset_mirror.errors import FillFailed, MirrorError, NotAnArchive, Stopping, Superseded
from dataset_mirror.fetch.connections import Connections
from dataset_mirror.fetch.continuing import first_or_next
from dataset_mirror.fetch.digests import Hasher
from dataset_mirror.fetch.edition import HOLD, Edition
from dataset_mirror.fetch.keeping import keeping
from dataset_mirror.fetch.opening import first_reply
from dataset_mirror.fetch.pace import Pace
from dataset_mirror.fetch.resume import StartOver, resumed
from dataset_mirror.fetch.retry import Backoff
from dataset_mirror.fetch.settling import decoded, verdict
from dataset_mirror.fetch.shared import Shared
from dataset_mirror.fetch.upstream import Broken, Reply
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.origins.model import CatalogEntry, Origin
from dataset_mirror.rules.conditions import Validators
from dataset_mirror.rules.content import LOOK, encoding_is_the_file, page_instead, wrong_magic
from dataset_mirror.rules.freshness import conditions
from dataset_mirror.store.digests import Digests
from dataset_mirror.store.partial import PartialFile
from dataset_mirror.store.record import Record
from dataset_mirror.store.space import Reservation, of_disk

log = logging.getLogger(__name__)

WAKE_BYTES = 256 * 1024
WAKE_SECONDS = 0.01
ROOM_STEP = 16 * 1024 * 1024
"""Bytes reserved at a time while the length is unknown."""
MOST_EDITIONS = 5
"""How often a fill may start over: an origin that changes its archive all the time is never whole."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be fetched, and what is expected of it."""

    archive: ArchiveId
    origin: Origin
    expected: CatalogEntry | None
    known: Record | None = None
    """What is there already, if this only checks whether the origin still has the same."""

    @property
    def url(self) -> str:
        return self.origin.url_of(self.archive)

    @property
    def private(self) -> bool:
        """Whether it is fetched with the operator's credentials."""
        return bool(self.origin.headers)


class Fill:
    """The download of one archive, and what its readers wait for."""

    def __init__(self, job: Job, shared: Shared) -> None:
        self.job = job
        self.began = time.time()
        self.running = False
        """Whether it has its place among the fills; before, it waits in line."""
        self.readers = 0
        self.pace = Pace()
        self.edition: Edition | None = None
        """What readers may follow; None until the first bytes were judged."""
        self.record: Record | None = None
        """What was published at the end."""
        self.error: MirrorError | None = None
        self._shared = shared
        self._receiving: Edition | None = None
        self._connections: Connections | None = None
        self._ended = False
        self._grown = asyncio.Event()
        self._woken_at = 0
        self._timer: asyncio.TimerHandle | None = None

    # What readers see

    @property
    def over(self) -> bool:
        return self.record is not None or self.error is not None

    @property
    def received(self) -> int:
        """Bytes that are there."""
        return self._receiving.partial.have.total if self._receiving else 0

    @property
    def total(self) -> int | None:
        """Bytes of the whole archive, as soon as the upstream told."""
        return self._receiving.length if self._receiving else None

    @property
    def file(self) -> Path | None:
        """Where its bytes are while it runs."""
        return self._receiving.partial.path if self._receiving else None

    async def opened(self) -> Edition | Record:
        """What the origin sends, once its beginning looks right; the published record if that is earlier. Raises its error."""
        while True:
            if self.error:
                raise self.error
            if self.record:
                return self.record
            if self.edition:
                return self.edition
            await self.grown()

    async def readable(self, edition: Edition, offset: int, end: int | None, *, hold: bool) -> int:
        """How far a reader at `offset`, whose answer ends at `end`, may go; waits until that is further. At the end: `offset`.

        Raises the fill's error, and Superseded if the origin began anew with other bytes.
        """
        while True:
            if edition.complete or offset == end:
                return edition.partial_end if end is None else end
            if self.error:
                raise self.error
            if edition.abandoned:
                raise Superseded(f"{self.job.url} changed at its origin while it was being sent.", "Ask again.")
            if (limit := edition.limit(offset, end, hold=hold)) > offset:
                return limit
            if self._connections and edition is self._receiving and end is not None:
                self._connections.want(offset, end - HOLD if hold else end)
            await self.grown()

    async def grown(self) -> None:
        """Waits until more bytes are there, or anything else changed."""
        await self._grown.wait()

    async def ended(self) -> None:
        """Waits until it is over, well or not."""
        while not self.over:
            await self.grown()

    # The story

    async def run(self) -> None:
        """Fetches, verifies and publishes; ends with `record` or `error` set, whatever happens."""
        try:
            async with self._shared.limits.one_fill(self.job.origin):
                self.running, self.began = True, time.time()
                self._wake()
                self.record = await self._fetched()
        except MirrorError as error:
            self.error = error
        except asyncio.CancelledError:
            self.error = Stopping(f"The mirror was stopped while {self.job.url} was being fetched.", "Ask again when it is back.")
        except OSError as error:
            self.error = self._disk_error(error)
        except Exception as error:  # a bug must not leave its readers waiting for ever
            log.exception("The fill of %s failed unexpectedly.", self.job.url)
            self.error = FillFailed(f"The fill of {self.job.url} failed inside the mirror: {error!r}.", "Report this as a bug.")
        finally:
            if self._receiving:
                self._receiving.drop()
            self._wake()

    async def _fetched(self) -> Record:
        upstream, known, left = self._shared.upstream, self.job.known, None
        if known:
            reply = await first_reply(upstream, self.job.origin, self.job.archive, conditions(known.validators))
        else:
            reply, left = await first_or_next(self._shared, self.job.origin, self.job.archive, self.job.expected)
        if known and (reply.status == 304 or self.job.origin.on_change == "keep"):
            await reply.close()
            return await self._confirmed(known, changed=reply.status != 304)
        for attempt in range(MOST_EDITIONS):
            try:
                # Servers that disagree about its validator must not make it start over for ever: then it has one connection.
                return await self._edition_from(reply, left, pieces=attempt == 0)
            except StartOver as again:
                log.info("Starting over with %s: %s.", self.job.url, again)
                left = None
                reply = again.reply or await first_reply(upstream, self.job.origin, self.job.archive)
        await reply.close()
        raise FillFailed(f"{self.job.url} changed at its origin again and again while it was being fetched.", "Try later.")

    async def _confirmed(self, known: Record, *, changed: bool) -> Record:
        """What is there stays, and is not checked again for a while."""
        if changed:
            log.warning("%s changed at its origin; its first bytes are kept (on_change).", self.job.url)
        confirmed = replace(known, checked=time.time())
        return await self._shared.store.in_worker(lambda: self._shared.store.refresh(confirmed))

    async def _edition_from(self, reply: Reply, left: Edition | None, *, pieces: bool) -> Record:
        try:
            edition = self._go_on(left) if left else await self._begin(reply)
        except MirrorError:
            await reply.close()
            raise
        hasher = Hasher(edition.partial, self._shared.executor, md5=bool(self.job.expected and self.job.expected.md5))
        hashing = asyncio.create_task(hasher.follow(self.grown, lambda: self._ended))
        way = (self._shared, self.job.origin, self.job.archive)
        connections = self._connections = Connections(*way, edition, lambda *bytes_at: self._arrived(edition, *bytes_at), pieces=pieces)
        try:
            possible = self.job.known is None and not reply.encoding  # a check asks for the whole again
            async with keeping(edition, self.job.url, self.job.archive, private=self.job.private, possible=possible) as kept:
                last = await self._receive(edition, reply, connections)
                self._ended = True
                self._wake()
                if kept:
                    await kept.whole()
                proven = edition.length is not None or not last.ends_by_close
                return await self._settle(edition, reply.encoding, await hashing, proven=proven)
        finally:
            self._connections = None
            await connections.close()
            hashing.cancel()
            await asyncio.wait([hashing])

    async def _begin(self, reply: Reply) -> Edition:
        job, expected = self.job, self.job.expected
        if (page := page_instead(job.archive.name, reply.field("content-type"))) is not None:
            raise NotAnArchive(f"{job.url} cannot be mirrored now: {page}.", "Look at it with a browser; it may ask for a login.")
        length = reply.length
        if expected and expected.size is not None and length not in (None, expected.size) and not reply.encoding:
            raise FillFailed(
                f"{job.url} has {length:,} bytes at its origin, but the catalog expects {expected.size:,}.", _override(job.url)
            )
        if length == 0:
            raise NotAnArchive(f"{job.url} is empty at its origin.", "Try later, or tell the origin's owner.")
        room = await self._shared.eviction.reserve(length or ROOM_STEP, job.url)
        self._abandon()
        self._ended, self._woken_at = False, 0
        self._receiving = Edition(length, reply.validators, reply.fields, self._shared.store.new_partial(), room, reply.upstream)
        return self._receiving

    def _go_on(self, left: Edition) -> Edition:
        """What a former run left is taken up, and readers may follow what is there."""
        self._receiving = left
        if left.partial.prefix >= LOOK:
            self._open(left, None)
        return left

    def _abandon(self) -> None:
        """Readers of the former edition are told; those that have sent nothing yet take the new one."""
        if self._receiving:
            self._receiving.abandoned = True
            self._receiving.drop()
        self.edition, self._receiving = None, None
        self._wake()

    async def _receive(self, edition: Edition, reply: Reply, connections: Connections) -> Reply:
        """Receives to the end, resuming after each break; the answer with the end. StartOver if the origin's bytes are others now."""
        backoff, offset = Backoff(attempts=5), edition.next_offset if reply.status == 206 else 0
        while True:
            before, cause = edition.partial.have.total, None
            try:
                await self._copy(reply, edition, offset, connections)
            except Broken as broken:
                cause = broken
            if await connections.finish(met=cause is None):
                return reply
            cause = cause or connections.cause
            if edition.partial.have.total > before:  # the same bytes again are no progress
                backoff.progress()
            self._shared.upstream.health.failed(edition.upstream, str(cause))
            known = self.job.expected is not None and self.job.expected.has_digest
            way = (self._shared.upstream, self.job.origin, self.job.archive)
            reply, offset = await resumed(*way, edition, backoff, cause, known_digest=known)

    async def _copy(self, reply: Reply, edition: Edition, offset: int, connections: Connections) -> None:
        """Takes in a body from `offset` to its end, or to where it meets bytes of other connections.

        A whole answer after a break is compared with what is there: StartOver if it differs.
        """
        opened, met = edition is self.edition, False
        piece = connections.begin(reply, offset)
        try:
            async with aclosing(reply.bytes()) as chunks:
                async for chunk in chunks:
                    if edition.length is None and edition.room.left < len(chunk):
                        await self._shared.eviction.grow(edition.room, ROOM_STEP)
                    met = connections.take_in(piece, chunk)
                    if not opened and edition.partial.prefix >= LOOK:
                        opened = self._open(edition, reply.encoding)
                    if opened:
                        connections.more()
                    if met:
                        break
        finally:
            connections.end(piece)
            await reply.close()
        if not met and edition.length is not None and piece.at != edition.length:
            raise Broken(f"{reply.place} sent {piece.at:,} bytes instead of {edition.length:,}", reached=True)
        if not opened:
            self._open(edition, reply.encoding)

    def _arrived(self, edition: Edition, offset: int, chunk: bytes) -> None:
        """Keeps bytes that came over any connection."""
        self._put(edition, offset, chunk)
        self._shared.traffic.receive(self.job.archive.authority, len(chunk))
        self.pace.arrived(len(chunk))
        self._tell()

    def _put(self, edition: Edition, offset: int, chunk: bytes) -> None:
        known = min(edition.partial.have.end_of(offset) - offset, len(chunk))
        if known and edition.partial.read(offset, known) != chunk[:known]:
            raise StartOver("its bytes differ from those that came before", None)
        if known < len(chunk):
            edition.write(offset + known, chunk[known:])

    def _open(self, edition: Edition, encoding: str | None) -> bool:
        """Lets readers follow, if the first bytes may be the archive. An encoded body stays private until it is decoded."""
        beginning = edition.partial.read(0, LOOK)
        if encoding and not encoding_is_the_file(self.job.archive.name, beginning):
            return True
        self._judge(beginning)
        self.edition = edition
        self._wake()
        return True

    def _judge(self, beginning: bytes) -> None:
        """NotAnArchive if an archive of this name cannot begin like this."""
        trusted = self.job.expected is not None and self.job.expected.has_digest
        if not beginning:
            raise NotAnArchive(f"{self.job.url} is empty at its origin.", "Try later, or tell the origin's owner.")
        if not trusted and (contradiction := wrong_magic(self.job.archive.name, beginning)) is not None:
            raise NotAnArchive(f"{self.job.url} cannot be what it is called: {contradiction}.", "Look at it with curl.")

    async def _settle(self, edition: Edition, encoding: str | None, digests: Digests, *, proven: bool) -> Record:
        """Verifies the whole and publishes it. `proven`: the framing of what came last showed its end."""
        room = Reservation(self.job.url, self._shared.store.space)
        try:
            return await self._published(edition, encoding, digests, room, proven=proven)
        finally:
            room.release()

    async def _published(self, edition: Edition, encoding: str | None, digests: Digests, room: Reservation, *, proven: bool) -> Record:
        partial = edition.partial
        if encoding and edition is not self.edition:
            partial, digests = await self._without_encoding(partial, encoding, digests, room)
        source = verdict(self.job.url, self.job.expected, digests, partial.prefix, proven=proven)
        record = Record(
            archive=self.job.archive,
            scheme=self.job.origin.scheme,
            sha256=digests.sha256,
            md5=digests.md5,
            size=partial.prefix,
            validators=self._lasting(digests.sha256) or edition.validators,
            fields=edition.fields,
            source=source,
            fetched=self._shared.store.moment_after(self.job.archive, self.began),
            checked=time.time(),
            private=self.job.private,
        )
        await asyncio.to_thread(partial.sync)
        published = await self._shared.store.in_worker(lambda: self._shared.store.publish(partial.path, record))
        if partial is not edition.partial:
            partial.close()
        edition.complete = True
        return published

    def _lasting(self, sha256: str) -> Validators | None:
        """The validators under which these very bytes were served before: an entity tag, once sent, stays (`curl -C -`)."""
        known = self._shared.store.find(self.job.archive)
        return known.validators if known and known.sha256 == sha256 else None

    async def _without_encoding(self, wire: PartialFile, encoding: str, digests: Digests, room: Reservation) -> tuple[PartialFile, Digests]:
        """The wire bytes if they are what the catalog expects, else what they decode to, which is judged like any other beginning.

        StoreFull if there is no `room` for all that they decode to.
        """
        loop = asyncio.get_running_loop()

        def make_room(size: int) -> None:
            asyncio.run_coroutine_threadsafe(self._shared.eviction.grow(room, size), loop).result()
            room.written(size)

        expected = self.job.expected
        if expected and (digests.has_any((*expected.sha256, *expected.md5))):
            return wire, digests
        plain = self._shared.store.new_partial()
        try:
            digests = await asyncio.to_thread(decoded, self.job.url, wire, plain, encoding, make_room)
            self._judge(plain.read(0, LOOK))
            return plain, digests
        except BaseException:
            plain.discard()
            raise

    # Waking readers: per 256 KiB or 10 ms, not per packet, since each costs a call per reader

    def _tell(self) -> None:
        there = self.received
        if there - self._woken_at >= WAKE_BYTES:
            self._woken_at = there
            self._wake()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(WAKE_SECONDS, self._wake)

    def _wake(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()

    def _disk_error(self, error: OSError) -> MirrorError:
        return of_disk(error, self.job.url) or FillFailed(
            f"{self.job.url} cannot be written: {error}.", "Look at the data folder's disk and permissions."
        )


def _override(url: str) -> str:
    return f'If the origin republished it, write into mirror.toml: [[archives]] url = "{url}" sha256 = "…"'
