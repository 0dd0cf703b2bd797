"""Where the bytes of one fill arrive: the edition that grows, its partial file and its room, and the readers that wait for more."""

import logging

from dataset_mirror.errors import MirrorError, Stopping, Superseded
from dataset_mirror.fetch.beginning import check_beginning, check_for_keeping, check_head
from dataset_mirror.fetch.continuing import Rest
from dataset_mirror.fetch.edition import Beginning, Edition
from dataset_mirror.fetch.eviction import Eviction
from dataset_mirror.fetch.job import Job
from dataset_mirror.fetch.network.body import Remainder
from dataset_mirror.fetch.pace import Pace
from dataset_mirror.fetch.reply import Reply
from dataset_mirror.fetch.resume import StartOver
from dataset_mirror.fetch.traffic import Traffic
from dataset_mirror.fetch.waking import Bell
from dataset_mirror.rules.content import LOOK, encoding_is_the_file
from dataset_mirror.rules.counted import counted
from dataset_mirror.rules.fields import kept
from dataset_mirror.store.store import Store

log = logging.getLogger(__name__)

ROOM_STEP = 16 * 1024 * 1024
"""Bytes reserved at a time while the length is unknown."""


class Intake:
    """Takes bytes in, whoever brings them, and tells how far readers may go. Of its editions only the last one grows."""

    def __init__(self, job: Job, store: Store, eviction: Eviction, traffic: Traffic) -> None:
        self.pace = Pace()
        self.edition: Edition | None = None
        """The one that grows."""
        self.error: MirrorError | None = None
        """Why nothing more will come."""
        self.job = job
        """What is fetched, with what is known of it at the moment."""
        self.is_inside = False
        """Whether its bytes come from another mirror or from their bucket at the moment, and no origin sends them."""
        self._store, self._eviction, self._traffic = store, eviction, traffic
        self._bell = Bell()

    # The edition

    async def begin(self, reply: Reply) -> Edition:
        """A new edition, of what this answer sends from its first byte on; readers of the former one are told.

        NotAnArchive, NotForKeeping or FillFailed if it cannot be the archive; StoreFull if there is no room for it.
        """
        check_head(self.job, reply)
        self.is_inside = reply.shared is not None
        self._abandon()  # first: its room is free then
        room = await self._eviction.reserve(reply.length or ROOM_STEP, self.job.url)
        try:
            partial = self._store.new_partial()
        except BaseException:
            room.release()  # only an edition would
            raise
        head = (reply.length, reply.validators, reply.fields)
        shown = self.job.fields_of(reply)
        self.edition = Edition(*head, partial, room, reply.upstream, reply.encoding, reply.age, shown, reply.digest)
        return self.edition

    async def go_on(self, rest: Rest, reply: Reply) -> Edition:
        """The edition that a former run left; readers may follow what is there. StoreFull or NotForKeeping: what is there waits on."""
        left = rest.left
        try:
            check_for_keeping(self.job, reply)
            room = await self._eviction.reserve(left.length, left.url, there=left.total)
        except BaseException:
            rest.partial.close()
            self._store.leftovers.give_back(left)
            raise
        log.info("Going on with %s: %s of %s are there from before the restart.", left.url, f"{left.total:,}", counted(left.length, "byte"))
        shown = kept(left.fields, self.job.redirect_fields)
        self.edition = Edition(left.length, left.validators, left.fields, rest.partial, room, left.upstream, shown=shown)
        self._look(LOOK)
        return self.edition

    def whole(self) -> None:
        """All bytes of the edition are there."""
        assert self.edition is not None
        self._look(0)
        self.edition.whole = True
        self.wake()

    def close(self) -> None:
        """Nothing more comes: what was not published is given up, unless the mirror stops, and it stays for the next run."""
        if self.edition:
            self.edition.stays &= isinstance(self.error, Stopping)
            self.edition.drop()
        self.wake()

    def _abandon(self) -> None:
        """Readers of the former edition are told; those that have sent nothing yet take the new one."""
        if self.edition:
            self.edition.abandoned = True
            self.edition.drop()
        self.edition = None
        self._bell.begin()

    # Bytes

    async def put(self, offset: int, chunk: bytes) -> None:
        """Keeps bytes of the edition. StartOver if they differ from what is there; StoreFull, NotAnArchive or OSError."""
        assert self.edition is not None
        if self.edition.length is None and self.edition.room.left < len(chunk):
            await self._eviction.grow(self.edition.room, ROOM_STEP)
        self._write(self.edition, offset, chunk)
        await self._arrived(self.edition, len(chunk))

    async def pour(self, offset: int, remainder: Remainder, most: int) -> int:
        """Keeps up to `most` bytes of the rest of a body, none of which is there yet; how many. As above, or httpx.HTTPError."""
        assert self.edition is not None
        edition = self.edition
        size = await edition.pour(remainder, offset, most)
        await self._arrived(edition, size)
        return size

    async def _arrived(self, edition: Edition, size: int) -> None:
        if self.is_inside:
            self._traffic.receive_inside(size)
        else:
            self._traffic.receive(self.job.archive, size)
        self.pace.arrived(size)
        self._bell.arrived(edition.partial.have.total)
        self._look(LOOK)
        if not self.is_inside:
            await self._traffic.throttle.spent(self.job.archive, size)

    async def more_room(self, edition: Edition, size: int) -> None:
        """Room for bytes that are made of those of the edition, and are about to be written, too. StoreFull."""
        if edition.room.left < size:
            await self._eviction.grow(edition.room, size)
        edition.room.written(size)

    def _write(self, edition: Edition, offset: int, chunk: bytes) -> None:
        known = min(edition.partial.have.end_of(offset) - offset, len(chunk))
        if known and edition.partial.read(offset, known) != chunk[:known]:
            raise StartOver("its bytes differ from those that came before", None)
        if known < len(chunk):
            edition.write(offset + known, chunk[known:])

    def _look(self, least: int) -> None:
        """Lets readers follow as soon as `least` bytes are there that may be the archive's beginning; NotAnArchive if they are not.

        An encoded body stays hidden until it is decoded.
        """
        edition = self.edition
        if edition is None or edition.beginning is not Beginning.UNSEEN or edition.partial.prefix < least:
            return
        beginning = edition.partial.read(0, LOOK)
        if edition.encoding and not encoding_is_the_file(self.job.archive.name, beginning):
            edition.beginning = Beginning.HIDDEN
            return
        check_beginning(self.job, edition, beginning)
        edition.beginning = Beginning.SHOWN
        self.wake()

    # Readers

    @property
    def shown(self) -> Edition | None:
        """What readers may follow; None until the first bytes were judged."""
        return self.edition if self.edition and self.edition.beginning is Beginning.SHOWN else None

    def limit(self, edition: Edition, offset: int, end: int | None, *, hold: bool) -> int | None:
        """How far a reader at `offset`, whose answer ends at `end`, may go; None if it has to wait. At the end: `offset`.

        Raises the fill's error, and Superseded if the origin started over with other bytes.
        """
        if edition.complete or (offset == end and end > 0):  # an answer without a byte has its end still to come
            return edition.partial_end if end is None else end
        if self.error:
            raise self.error
        if edition.abandoned:
            raise Superseded(f"{self.job.url} changed at its origin while it was being sent.", "Ask again.")
        limit = edition.limit(offset, end, hold=hold)
        return limit if limit > offset else None

    async def wait(self) -> None:
        """Waits until more bytes are there, or anything else changed."""
        await self._bell.wait()

    def wake(self) -> None:
        """Something changed: everybody looks again."""
        self._bell.ring()
