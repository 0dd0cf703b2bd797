"""The connections of one fill, which bring its bytes: at first one answer from the front, then pieces, and what readers wait for.

None beside the only one can do harm: one that is answered with anything but its piece of the same archive is dropped, and the
fill goes on with one connection. Only when nobody brings anything any more, and the missing bytes are asked for, may it turn
out that the origin has another archive now.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine
from contextlib import aclosing
from enum import Enum, auto

import httpx

from dataset_mirror.errors import MirrorError
from dataset_mirror.fetch.edition import Beginning, Edition
from dataset_mirror.fetch.intake import Intake
from dataset_mirror.fetch.limits import Limits
from dataset_mirror.fetch.network.body import Remainder
from dataset_mirror.fetch.pieces import Piece, Plan
from dataset_mirror.fetch.reply import Broken, Reply
from dataset_mirror.fetch.resume import StartOver, fits, part, resumed
from dataset_mirror.fetch.retry import Backoff
from dataset_mirror.fetch.source import Source
from dataset_mirror.fetch.to_the_end import to_the_end
from dataset_mirror.rules.counted import counted

log = logging.getLogger(__name__)

STEP = 1024 * 1024
"""Bytes that a connection brings at most before others may take what follows."""
LOOK_SECONDS = 0.1
"""Between looks at whether more connections would help."""


class State(Enum):
    """How many connections there may be."""

    SINGLE = auto()
    """One: the source has not said that it knows ranges."""
    TRIAL = auto()
    """Two: it says so, and the first range is a trial."""
    PARALLEL = auto()
    """As many as it allows: it has sent one."""
    ALONE = auto()
    """One at a time, for good: it cannot send ranges that prove what they belong to, has refused one, or breaks them too often."""


class _Refused(Exception):
    """The source does not send this piece of the same archive."""


class Transfer:
    """Brings the bytes of one edition into the intake."""

    def __init__(self, source: Source, limits: Limits, intake: Intake, edition: Edition, *, known_digest: bool, pieces: bool) -> None:
        """`known_digest`: the catalog has one, so that another place may go on; `pieces`: there may be more than one connection."""
        self._source, self._limits, self._intake, self._edition, self._known_digest = source, limits, intake, edition, known_digest
        self._plan = Plan(edition.length, edition.partial.have)
        proves = edition.can_go_on and source.has_one_place
        self._state = State.SINGLE if pieces and proves and source.connections > 1 else State.ALONE
        self._bringing: dict[asyncio.Task[None], Piece] = {}
        self._cause: Broken | None = None
        """Why the latest connection ended, if it broke."""
        self._failure: BaseException | None = None
        """What ends the transfer, such as a full disk."""
        self._backoff = Backoff(attempts=5)
        self._paused_until = 0.0

    @property
    def connections(self) -> int:
        """How many bring bytes now."""
        return len(self._bringing)

    async def run(self, reply: Reply) -> Reply:
        """Brings all from its first answer on, resuming after each break; the answer with the end.

        StartOver if the source's bytes are others now; FillFailed or OriginBusy if it cannot be resumed.
        """
        edition, backoff = self._edition, Backoff(attempts=5)
        offset = edition.next_offset if reply.status == 206 else 0
        try:
            while True:
                before = edition.partial.have.total
                if await self._all_there(reply, offset):
                    return reply
                if edition.partial.have.total > before:  # the same bytes again are no progress
                    backoff.progress()
                cause = self._cause or Broken("no connection brought the rest", reached=True)
                self._source.failed(edition.upstream, str(cause))
                reply, offset = await resumed(self._source, edition, backoff, cause, known_digest=self._known_digest)
                self._intake.is_inside = reply.shared is not None
        finally:
            try:
                await self._close()
            finally:
                await reply.close()

    def want(self, edition: Edition, offset: int, end: int) -> None:
        """A reader waits for [offset, end): one more connection brings it at once, or the next that is free, if nobody soon will."""
        now = time.monotonic()
        if edition is not self._edition or self._state is State.ALONE or not self._plan.want(offset, end, now):
            return
        if self._may_open(now) and (piece := self._plan.take_wanted(now)):
            self._start(piece, self._lent(piece, for_reader=True))

    # Which connections there are

    async def _all_there(self, reply: Reply, offset: int) -> bool:
        """Brings what this answer sends from `offset` on, and all else; False if nobody goes on with what is missing."""
        self._cause, self._plan.at_once = None, self._source.is_near
        piece = self._first_piece(reply, offset)
        first = own = self._start(piece, self._work(piece, reply))
        while not (first.done() and self._plan.done):
            if own.done() and self._may_use_own() and (piece_next := self._plan.take(time.monotonic())):
                own = self._start(piece_next, self._work(piece_next))
            self._more()
            if not self._bringing:
                return False
            await asyncio.wait(self._bringing, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if self._failure:
                raise self._failure
        return True

    def _first_piece(self, reply: Reply, offset: int) -> Piece:
        again = reply.status == 200 and self._edition.partial.have.total > 0  # bytes that are there are compared, by one connection
        if again:
            self._state = State.ALONE
        elif self._state is not State.ALONE:
            self._state = State.PARALLEL if self._source.is_near else _announced(reply)
        return self._plan.run_on(offset, time.monotonic(), through=again)

    def _may_use_own(self) -> bool:
        """Whether the connection that every fill has may take a piece, now that it is free."""
        if not self._bringing:
            return self._cause is None  # else the missing bytes are asked for as after any break
        return self._state is not State.ALONE and time.monotonic() >= self._paused_until

    def _more(self) -> None:
        """Opens more connections if they would help."""
        now = time.monotonic()
        while self._may_open(now) and self._plan.worth(now) and (piece := self._plan.take(now)):
            self._start(piece, self._lent(piece))

    def _may_open(self, now: float) -> bool:
        """Whether there may be one more, beside those that bring something and only once readers follow."""
        if self._state not in (State.TRIAL, State.PARALLEL) or now < self._paused_until or self._edition.beginning is not Beginning.SHOWN:
            return False
        most = 2 if self._state is State.TRIAL else self._source.connections
        return 0 < len(self._bringing) < most and self._limits.may_lend(self._source)

    def _start(self, piece: Piece, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._bringing[task] = piece
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._plan.give_back(self._bringing.pop(task))
        if not task.cancelled() and (failure := task.exception()):
            self._failure = failure

    async def _close(self) -> None:
        """Ends every connection."""
        for task in self._bringing:
            task.cancel()
        await to_the_end(list(self._bringing))  # they write to the file

    # One connection

    async def _lent(self, piece: Piece, *, for_reader: bool = False) -> None:
        async with self._limits.lent(self._source) as there:
            if there:
                await self._work(piece, for_reader=for_reader)

    async def _work(self, piece: Piece | None, reply: Reply | None = None, *, for_reader: bool = False) -> None:
        """Brings pieces, of which the first may be answered already, until none is left, or it is not needed any more, or fails."""
        task = asyncio.current_task()
        assert task is not None
        while piece:
            self._bringing[task], start = piece, piece.at
            try:
                await self._bring(piece, reply or await self._answer(piece))
            except Broken as cause:
                return self._broke(cause, progress=piece.at > start)
            except _Refused as cause:
                return self._refused(cause)
            self._backoff.progress()
            self._cause = None
            self._plan.give_back(piece)
            piece, reply = self._next(piece, for_reader=for_reader), None

    async def _answer(self, piece: Piece) -> Reply:
        """The answer that sends exactly this piece. Broken if none came; _Refused if it is any other."""
        fields = part(self._edition, f"bytes={piece.at}-{piece.end - 1}")
        try:
            reply = await self._source.ask(lambda _: fields, first=self._edition.upstream)
        except MirrorError as error:
            raise _Refused(str(error)) from None
        if reply.status != 206 or reply.encoding or not fits(reply, self._edition, piece.at):
            await reply.close()
            raise _Refused(f"{reply.place} answered {reply.status}, but not with a part of the same archive")
        piece.answered = True
        if self._state is State.TRIAL:
            self._state = State.PARALLEL
            self._more()
        return reply

    async def _bring(self, piece: Piece, reply: Reply) -> None:
        """Takes in a body to its end, so that the connection can serve again, or to where it meets bytes of others. Broken."""
        start = piece.at
        try:
            async with aclosing(reply.bytes()) as chunks:
                async for chunk in chunks:
                    if await self._take_in(piece, chunk):
                        return
                    if self._plan.at_once:
                        self._more()
                    if remainder := reply.remainder(piece.at - start):
                        if await self._pour(piece, reply, remainder):
                            return
                        break
        finally:
            await reply.close()
        if self._edition.length is None:
            if piece.at < self._edition.partial.have.total:
                raise StartOver("it is shorter now", None)
            self._plan.length = piece.at  # now it is known
        elif piece.at < piece.end:
            raise Broken(f"{reply.place} sent {counted(piece.at - start, 'byte')} instead of {piece.asked - start:,}", reached=True)

    async def _take_in(self, piece: Piece, chunk: bytes) -> bool:
        """Keeps bytes as far as they belong to the piece; whether it has met others: then the rest of its answer is not wanted."""
        part = chunk[: self._plan.stop(piece) - piece.at]
        await self._intake.put(piece.at, part)
        self._plan.advance(piece, len(part), time.monotonic())
        return len(part) < len(chunk) or self._has_met(piece)

    async def _pour(self, piece: Piece, reply: Reply, remainder: Remainder) -> bool:
        """Takes in the rest of a body, past all that parses it; whether it has met others."""
        try:
            while remainder.left:
                if clear := self._plan.clear(piece, STEP):
                    count = await self._intake.pour(piece.at, remainder, clear)
                    self._plan.advance(piece, count, time.monotonic())
                    if self._has_met(piece):
                        return True
                elif await self._take_in(piece, await remainder.read(STEP)):
                    return True
        except httpx.HTTPError as error:
            raise reply.broken(error) from error
        return False

    def _has_met(self, piece: Piece) -> bool:
        """Whether bytes of others begin where it stands: the rest of its answer is not wanted."""
        return piece.at == self._plan.stop(piece) < piece.asked

    def _next(self, last: Piece, *, for_reader: bool) -> Piece | None:
        now = time.monotonic()
        if self._state is State.ALONE and len(self._bringing) > 1:
            return None
        if for_reader and not self._plan.worth(now):
            return self._plan.take_wanted(now, last.speed)
        return self._plan.take(now, None if last.open else last.speed)  # an answer that was cut off took its connection along

    def _broke(self, cause: Broken, *, progress: bool) -> None:
        """Its bytes are free again, so others take them; a new connection comes a little later."""
        self._cause = cause
        if len(self._bringing) == 1:
            return  # nobody else goes on, so the transfer itself resumes, with its own budget
        if progress:
            self._backoff.progress()
        wait = self._backoff.next_wait()
        if wait is None:
            self._state = State.ALONE
        else:
            self._paused_until = time.monotonic() + wait

    def _refused(self, cause: _Refused) -> None:
        log.info("One connection for %s: %s", self._source.url, cause)
        self._cause, self._state = Broken(str(cause), reached=True), State.ALONE


def _announced(reply: Reply) -> State:
    """What an answer says of ranges."""
    if reply.encoding:
        return State.SINGLE
    if reply.status == 206:
        return State.PARALLEL
    return State.TRIAL if "bytes" in (reply.field("accept-ranges") or "").lower() else State.SINGLE
