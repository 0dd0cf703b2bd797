"""What an origin is sending: one representation, its head, and the partial file that it grows in."""

import logging
import time
from collections.abc import Iterable
from enum import Enum, auto
from functools import partial

from dataset_mirror.fetch.network.body import Remainder
from dataset_mirror.origins.model import CatalogEntry
from dataset_mirror.rules.conditions import Validators
from dataset_mirror.rules.digests import told
from dataset_mirror.rules.fields import Fields, kept
from dataset_mirror.store.partial import PartialFile
from dataset_mirror.store.record import digest_etag
from dataset_mirror.store.space import Reservation

log = logging.getLogger(__name__)

HOLD = 64 * 1024
"""Bytes at the end of an answer that wait until the archive is whole, verified and durable."""


class Beginning(Enum):
    """What is known of an edition's first bytes."""

    UNSEEN = auto()
    """They are not there yet."""
    SHOWN = auto()
    """They may be the archive's: readers follow."""
    HIDDEN = auto()
    """They are encoded: nobody sees them until all is decoded."""


class Edition:
    """The bytes of one representation as they arrive. If the origin's archive changes under us, another edition begins."""

    def __init__(
        self,
        length: int | None,
        validators: Validators,
        fields: Iterable[tuple[str, str]],
        partial: PartialFile,
        room: Reservation,
        upstream: str = "",
        encoding: str | None = None,
        age: float = 0.0,
        shown: Fields | None = None,
        digest: str | None = None,
    ) -> None:
        """`fields` as they came; `shown` those that clients get, if they are others than always; `digest` as in `Reply`."""
        self.length = length
        """Bytes; None while it is not known."""
        self.validators = validators
        fields = list(fields)
        self.fields: Fields = kept(fields) if shown is None else shown
        self.claims = told(fields)
        """What the origin says of its bytes as they are on the wire."""
        self.age = age
        """Seconds since the origin last confirmed them, as its head came."""
        self.came = time.time()
        """When that was (seconds since the epoch)."""
        self.partial = partial
        self.room = room
        self.upstream = upstream
        """Scheme and authority of the upstream whose head this is; validators are its own."""
        self.encoding = encoding
        """The Content-Encoding of its bytes, although none was asked for."""
        self.digest = digest
        """Its SHA-256, if other mirrors have verified it: a part of the same is a part of this."""
        self.beginning = Beginning.UNSEEN
        self.whole = False
        """All its bytes are there; they are still to be verified."""
        self.abandoned = False
        """The origin started over with other bytes: nobody may go on with these."""
        self.complete = False
        """Whole, verified and published: the held-back end may go."""
        self.stays = False
        """The next run of the mirror goes on with the file: see `keeping.py`."""

    def write(self, offset: int, data: bytes) -> None:
        """Adds bytes; OSError if the disk is full."""
        self.partial.write(offset, data)
        self.room.written(len(data))

    async def pour(self, remainder: Remainder, offset: int, most: int) -> int:
        """Adds up to `most` bytes of the rest of a body, none of which is there, as they come; how many. httpx.HTTPError or OSError."""
        size = await remainder.pour(partial(self.partial.place, offset), most)
        self.partial.have.add(offset, offset + size)
        self.room.written(size)
        return size

    def limit(self, offset: int, end: int | None, *, hold: bool) -> int:
        """How far an answer that stands at `offset` and ends at `end` may go now."""
        if self.complete:
            return self.partial_end if end is None else end
        there = self.partial.have.end_of(offset)
        if end is None:
            return there - HOLD
        return min(there, end - HOLD if hold else end)

    @property
    def partial_end(self) -> int:
        return self.length if self.length is not None else self.partial.prefix

    @property
    def next_offset(self) -> int:
        """Where an answer has to begin that goes on with it: at the first byte that is missing, or the last of all if none is."""
        return self.partial.prefix if self.length is None else min(self.partial.prefix, self.length - 1)

    def as_served(self, expected: CatalogEntry | None) -> Validators:
        """The validators that clients may be told during the fill: the origin's strong tag, the catalog's digest, or no tag."""
        etag = self.validators.strong_etag
        if etag is None and expected and len(expected.sha256) == 1:
            etag = digest_etag(expected.sha256[0])
        return self.validators.served_as(etag)

    @property
    def can_go_on(self) -> bool:
        """Whether a part of it, asked for by itself, can be proven to be one: the validators are strong, or the digest is known."""
        return self.length is not None and (self.validators.strong is not None or self.digest is not None)

    def drop(self) -> None:
        """Frees the room and, unless it stays, the file; readers that have a descriptor of their own may go on."""
        self.room.release()
        try:
            if self.stays:
                self.partial.close()
            else:
                self.partial.discard()
        except OSError as error:  # such as a disk that may only be read by now: readers have to hear of what came before
            log.warning(
                "The partial file %s cannot be closed or removed now; the next start looks after it: %s.", self.partial.path.name, error
            )
