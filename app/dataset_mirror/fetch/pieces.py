"""Which connection brings which bytes of a large archive: in order, in pieces of about a second. Decisions only, no I/O."""

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from dataset_mirror.store.intervals import Intervals

SMALLEST, LARGEST = 256 * 1024, 16 * 1024 * 1024
"""Bytes of a piece."""
SECONDS = 1.0
"""What a piece should take; also the least rest for which another connection is worth its request."""
AT_ONCE = 4 * 1024 * 1024
"""Least bytes of a piece where many are asked for from the start."""
PATIENCE = 0.3
"""Seconds before speeds are trusted."""
FAST = 100_000_000
"""Bytes per second at which more connections only cost: this process is the limit then, not the way to the origin."""
NEAR = 1024 * 1024
"""Bytes before a reader that a connection is left to bring by itself."""


class Speed:
    """Bytes per second of one connection, the last second counting most."""

    def __init__(self, now: float) -> None:
        self.began = self._at = now
        self._bytes = self._seconds = 0.0

    def note(self, count: int, now: float) -> None:
        """So many bytes have arrived."""
        self._bytes, self._seconds = self._faded(now)
        self._bytes += count
        self._at = now

    def rate(self, now: float) -> float:
        """Bytes per second; 0 while nothing has arrived."""
        faded, seconds = self._faded(now)
        return faded / seconds if seconds > 0 else 0.0

    def _faded(self, now: float) -> tuple[float, float]:
        fade = math.exp(self._at - now)
        return self._bytes * fade, self._seconds * fade + 1 - fade


@dataclass(eq=False, slots=True)
class Piece:
    """The bytes [at, end) that one connection is to bring; `at` moves on as they arrive, `end` comes nearer if others help."""

    at: int
    end: int
    began: float
    speed: Speed
    open: bool = False
    """Its answer runs on to the end of the archive: it stops where it meets bytes, or a piece whose answer has come."""
    asked: int = 0
    """Where its answer ends."""
    answered: bool = False
    """The origin sends exactly this piece."""
    busy: int = 0
    """How far its connection is writing at this moment: nobody else begins before."""

    @property
    def left(self) -> int:
        return self.end - self.at


class Plan:
    """The pieces of one archive of `length` bytes that are under way, beside the bytes that are there (`have`)."""

    def __init__(self, length: int | None, have: Intervals) -> None:
        self.length = sys.maxsize if length is None else length
        self.at_once = False
        """More connections are worth it before anything is known of their speed, and however fast those are that there are."""
        self._have = have
        self._pieces: list[Piece] = []
        self._wanted = Intervals()

    @property
    def _live(self) -> list[Piece]:
        return [piece for piece in self._pieces if piece.at < piece.end]

    @property
    def done(self) -> bool:
        return self._have.end_of(0) >= self.length

    @property
    def missing(self) -> int:
        """Bytes that are not there yet, under way or not."""
        return self.length - self._have.total

    # An answer that runs on

    def run_on(self, offset: int, now: float, *, through: bool = False) -> Piece:
        """The piece of an answer that begins at `offset` and runs on to the end, `through` bytes that are there or until it meets them."""
        return self._begun(Piece(offset, self.length, now, Speed(now), open=not through, asked=self.length, answered=True))

    def stop(self, piece: Piece) -> int:
        """How far a piece may go now."""
        if not piece.open:
            return piece.end
        if self._have.end_of(piece.at) > piece.at:  # another's bytes begin right where it stands
            return piece.at
        ahead = [other.at for other in self._live if other is not piece and other.answered and other.at >= piece.at]
        there = self._have.next_start(piece.at)
        return min([piece.end, *ahead] if there is None else [piece.end, there, *ahead])

    def clear(self, piece: Piece, most: int) -> int:
        """Up to `most` bytes after those of a piece that nobody else has brought or brings, nor will, until it advances."""
        if self._have.end_of(piece.at) > piece.at:
            return 0
        there = self._have.next_start(piece.at)
        others = [other.at for other in self._live if other is not piece and other.at >= piece.at]
        end = min([self.stop(piece), piece.at + most, *others] if there is None else [self.stop(piece), piece.at + most, there, *others])
        piece.busy = end
        return max(0, end - piece.at)

    def advance(self, piece: Piece, count: int, now: float) -> None:
        """So many bytes of it are there. A piece that it ran into, and whose answer has not come, is left with nothing to do."""
        before = piece.at
        piece.at, piece.busy = piece.at + count, 0
        piece.speed.note(count, now)
        for other in self._live if piece.open else ():
            if other is not piece and not other.answered and before <= other.at < piece.at:
                other.end = other.at

    # More connections

    def worth(self, now: float) -> bool:
        """Whether one more connection would help: what is missing would take the others more than a second."""
        if self.at_once:
            return self.missing > AT_ONCE
        if any(now - piece.began < PATIENCE for piece in self._pieces if piece.open):
            return False
        rate = sum(piece.speed.rate(now) for piece in self._pieces)
        return rate < FAST and self.missing > SECONDS * rate

    def take(self, now: float, speed: Speed | None = None) -> Piece | None:
        """The next piece for a connection of this speed (None: a new one): what a reader waits for, else the foremost bytes."""
        return self.take_wanted(now, speed) or self._take_foremost(now, speed)

    def take_wanted(self, now: float, speed: Speed | None = None) -> Piece | None:
        """The next piece that a reader waits for, if nobody brings it."""
        for start, end in self._wanted:
            if any(start <= piece.at < end for piece in self._live):
                continue  # one connection for each reader
            for first, last in self._gaps(now, math.inf):
                if first < end and last > start:
                    first, last = max(first, start), min(last, end)
                    return self._cut_out(first, min(last, first + self._size(now, speed)), now, speed)
        return None

    def give_back(self, piece: Piece) -> None:
        """Nobody brings it any more; what is missing of it is free again. No effect the second time."""
        if piece in self._pieces:
            self._pieces.remove(piece)

    # Readers

    def want(self, offset: int, end: int, now: float) -> bool:
        """Notes that a reader waits for [offset, end); whether another connection should bring that, since nobody soon will."""
        offset = self._have.end_of(offset)
        if offset >= end:
            return False
        if self._wanted.end_of(offset) == offset and self._soon(offset, now):
            return False
        self._forget_served()
        self._wanted.add(offset, min(self.length, max(offset + SMALLEST, min(end, offset + LARGEST))))
        return not any(start <= piece.at < end for start, end in self._wanted if start <= offset < end for piece in self._live)

    def _soon(self, offset: int, now: float) -> bool:
        """Whether a piece under way will soon come to `offset`."""
        for piece in self._live:
            if piece.at <= offset < self.stop(piece):
                distance = offset - piece.at
                trusted = now - piece.began >= PATIENCE
                if not piece.open or distance <= NEAR or (trusted and distance <= PATIENCE * piece.speed.rate(now)):
                    return True
        return False

    def _forget_served(self) -> None:
        wanted, self._wanted = self._wanted, Intervals()
        for start, end in wanted:
            self._wanted.add(self._have.end_of(start), end)

    # Choosing

    def _take_foremost(self, now: float, speed: Speed | None) -> Piece | None:
        for start, end in self._gaps(now, self._rate(now, speed)):
            size = self._size(now, speed)
            return self._cut_out(start, end if end - start < size + SMALLEST // 2 else start + size, now, speed)
        return None

    def _rate(self, now: float, speed: Speed | None) -> float:
        """A new connection is as fast as the fastest, as far as we know."""
        return speed.rate(now) if speed else max((piece.speed.rate(now) for piece in self._pieces), default=0.0)

    def _size(self, now: float, speed: Speed | None) -> int:
        """About a second, but towards the end less, so that all connections end together."""
        fair = min(LARGEST, self.missing // (2 * (len(self._pieces) + 1)))
        if self.at_once:
            return max(AT_ONCE, fair)
        return max(SMALLEST, min(int(SECONDS * self._rate(now, speed)), fair))

    def _gaps(self, now: float, rate: float) -> Iterator[tuple[int, int]]:
        """The runs of bytes that a connection of this rate may take, in order: nobody brings them, or not in time."""
        taken = Intervals()
        for start, end in self._have:
            taken.add(start, end)
        for piece in self._live:
            taken.add(piece.at, max(piece.busy, self._kept(piece, now, rate)))
        at = taken.end_of(0)
        while at < self.length:
            following = taken.next_start(at)
            end = self.length if following is None else following
            if end > at:
                yield at, end
            at = taken.end_of(end)

    def _kept(self, piece: Piece, now: float, rate: float) -> int:
        """How much of its piece a connection keeps if one of this rate could take the rest."""
        own = piece.speed.rate(now)
        if math.isinf(rate):  # a reader waits: it gets all that is not near
            return min(piece.end, piece.at + NEAR) if piece.open else piece.end
        if piece.open:
            end = min([piece.end, *(other.at for other in self._live if other.at > piece.at)])
            keeps = piece.at + (self._size(now, None) if self.at_once else max(SMALLEST, min(int(SECONDS * own), LARGEST)))
            return keeps if end - keeps > keeps - piece.at else end
        if now - piece.began > SECONDS and piece.left > SECONDS * own and piece.left * rate > own * (2 * piece.left + SECONDS * rate):
            return piece.at + int(SECONDS * own)
        return piece.end

    def _cut_out(self, start: int, end: int, now: float, speed: Speed | None) -> Piece:
        for piece in self._pieces:
            if not piece.open and piece.at <= start < piece.end:
                piece.end = start
        return self._begun(Piece(start, end, now, speed or Speed(now), asked=end))

    def _begun(self, piece: Piece) -> Piece:
        self._pieces.append(piece)
        return piece
