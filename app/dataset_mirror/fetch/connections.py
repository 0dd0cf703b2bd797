"""The connections of one fill beyond its first: they bring pieces of a large archive, and what readers wait for.

None of them can do harm: one that is answered with anything but its piece of the same archive is dropped, and the fill goes
on with one connection. Only the first one, resuming at missing bytes, may find that the origin has another archive now.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import aclosing

from dataset_mirror.errors import MirrorError
from dataset_mirror.fetch.edition import Edition
from dataset_mirror.fetch.pieces import Piece, Plan
from dataset_mirror.fetch.resume import fits
from dataset_mirror.fetch.retry import Backoff
from dataset_mirror.fetch.shared import Shared
from dataset_mirror.fetch.upstream import Broken, Reply
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.origins.model import Origin

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.1
"""Between looks at whether more connections would help."""


class _Refused(Exception):
    """The origin does not send this piece of the same archive."""


class Connections:
    """Brings pieces of one edition over extra connections; `arrived` takes their bytes with their offset."""

    def __init__(
        self,
        shared: Shared,
        origin: Origin,
        archive: ArchiveId,
        edition: Edition,
        arrived: Callable[[int, bytes], None],
        *,
        pieces: bool,
    ) -> None:
        self.plan = Plan(edition.length, edition.partial.have)
        self.cause = Broken("no connection brought the rest", reached=True)
        """Why the last one ended."""
        self._shared, self._origin, self._archive, self._edition, self._arrived = shared, origin, archive, edition, arrived
        self._possible = (
            pieces
            and origin.connections > 1
            and edition.length is not None
            and edition.validators.strong is not None
            and shared.upstream.has_one(origin, archive)
        )
        self._announced = False
        """The origin says that it knows ranges."""
        self._proven = False
        """It has sent one."""
        self._alone = False
        """It has refused one, or there were too many breaks: from now on one connection at a time."""
        self._first_runs = False
        self._broken = False
        """The first one broke, and is about to ask for the missing bytes: nobody else may."""
        self._bringing: dict[asyncio.Task[None], Piece] = {}
        self._failure: BaseException | None = None
        self._backoff = Backoff(attempts=5)
        self._paused_until = self._next_look = 0.0

    # The first connection

    def begin(self, reply: Reply, offset: int) -> Piece:
        """The piece of its answer, which begins at `offset`."""
        again = reply.status == 200 and self._edition.partial.have.total > 0  # bytes that are there are compared, by one connection
        self._alone |= again
        self._proven |= reply.status == 206
        self._announced = reply.encoding is None and (reply.status == 206 or "bytes" in (reply.field("accept-ranges") or "").lower())
        self._first_runs, self._broken = True, False
        return self.plan.run_on(offset, time.monotonic(), through=again)

    def take_in(self, piece: Piece, chunk: bytes) -> bool:
        """Keeps bytes as far as they belong to the piece; whether it has met others: then the rest of its answer is not wanted."""
        part = chunk[: self.plan.stop(piece) - piece.at]
        self._arrived(piece.at, part)
        self.plan.advance(piece, len(part), time.monotonic())
        return len(part) < len(chunk) or piece.at == self.plan.stop(piece) < piece.asked

    def end(self, piece: Piece) -> None:
        """The first connection brings no more of it."""
        self._first_runs = False
        self.plan.give_back(piece)

    def more(self) -> None:
        """Opens more connections if they would help. Raises what an extra connection failed with, such as a full disk."""
        if self._failure:
            raise self._failure
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_SECONDS
        while self._may_open and self.plan.worth(now) and (piece := self.plan.take(now)):
            self._begin(piece, self._lent(piece))

    def want(self, offset: int, end: int) -> None:
        """A reader waits for [offset, end): one more connection brings it at once, or the next that is free, if nobody soon will."""
        now = time.monotonic()
        if not self._possible or self._alone or not self.plan.want(offset, end, now):
            return
        if self._may_open and (piece := self.plan.take_wanted(now)):
            self._begin(piece, self._lent(piece, for_reader=True))

    async def finish(self, *, met: bool) -> bool:
        """What the first connection left is brought piece by piece; whether all is there. False: nobody goes on with the rest.

        `met` tells that the first one was closed because it met bytes of others: then its place is used for pieces too.
        """
        if self._edition.length is None:
            return met
        own: asyncio.Task[None] | None = None
        while not self.plan.done:
            now = time.monotonic()
            free = own is None if self._alone else (own is None or own.done()) and now >= self._paused_until
            if free and (met or self._bringing) and (piece := self.plan.take(now)):
                own = self._begin(piece, self._work(piece))
            if met or self._bringing:
                self.more()
            if not self._bringing:
                self._broken = True
                return False
            await asyncio.wait(self._bringing, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        return True

    async def close(self) -> None:
        """Ends every extra connection."""
        for task in self._bringing:
            task.cancel()
        if self._bringing:
            await asyncio.wait(self._bringing)

    # The others

    @property
    def _may_open(self) -> bool:
        if not self._possible or not self._announced or self._alone or self._broken or time.monotonic() < self._paused_until:
            return False
        open_now = len(self._bringing) + self._first_runs
        most = self._origin.connections if self._proven else 2  # the first range is a trial
        return open_now < most and self._shared.limits.may_lend(self._origin)

    def _begin(self, piece: Piece, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._bringing[task] = piece
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.plan.give_back(self._bringing.pop(task))
        if not task.cancelled() and (failure := task.exception()):
            self._failure = failure

    async def _lent(self, piece: Piece, *, for_reader: bool = False) -> None:
        async with self._shared.limits.lent(self._origin) as there:
            if there:
                await self._work(piece, for_reader=for_reader)

    async def _work(self, piece: Piece | None, *, for_reader: bool = False) -> None:
        """Brings pieces until there is none, or the connection is not needed any more, or fails."""
        task = asyncio.current_task()
        assert task is not None
        while piece:
            self._bringing[task], start = piece, piece.at
            try:
                await self._bring(piece)
            except Broken as cause:
                return self._pause(cause, progress=piece.at > start)
            except (_Refused, MirrorError) as cause:
                return self._give_up(cause)
            self._backoff.progress()
            self.plan.give_back(piece)
            piece = self._next(piece, for_reader=for_reader)

    def _next(self, last: Piece, *, for_reader: bool) -> Piece | None:
        now = time.monotonic()
        if self._alone and len(self._bringing) + self._first_runs > 1:
            return None
        if for_reader and not self.plan.worth(now):
            return self.plan.take_wanted(now, last.speed)
        return self.plan.take(now, last.speed)

    def _pause(self, cause: Broken, *, progress: bool) -> None:
        """Its bytes are free again, so others take them; a new connection comes a little later."""
        if progress:
            self._backoff.progress()
        self.cause, wait = cause, self._backoff.next_wait()
        if wait is None:
            self._alone = True
        else:
            self._paused_until = time.monotonic() + wait

    def _give_up(self, cause: Exception) -> None:
        log.info("One connection for %s: %s", self._origin.url_of(self._archive), cause)
        self.cause, self._alone = Broken(str(cause), reached=True), True

    async def _bring(self, piece: Piece) -> None:
        """Asks for a piece and takes it in. Broken if not all of it came; _Refused or MirrorError if it is not sent at all."""
        start, end = piece.at, piece.end
        fields = {"range": f"bytes={start}-{end - 1}", "if-range": self._edition.validators.strong or ""}
        reply = await self._shared.upstream.ask(self._origin, self._archive, lambda _: fields, first=self._edition.upstream)
        try:
            if reply.status != 206 or reply.encoding or not fits(reply, self._edition, start):
                raise _Refused(f"{reply.place} answered {reply.status}, but not with a part of the same archive")
            if not self._proven:
                self._next_look = 0.0
            self._proven = piece.answered = True
            async with aclosing(reply.bytes()) as chunks:
                async for chunk in chunks:  # to the end, so that the connection can serve again, unless others took the rest
                    if self.take_in(piece, chunk):
                        break
        finally:
            await reply.close()
        if piece.at < piece.end:
            raise Broken(f"{reply.place} sent {piece.at - start:,} bytes instead of {end - start:,}", reached=True)
