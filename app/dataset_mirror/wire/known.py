"""What is known of an archive that is asked for often, and of the heads of requests that asked for it."""

from dataclasses import dataclass

from dataset_mirror.rules.conditions import Selection
from dataset_mirror.serve.asgi import Request
from dataset_mirror.store.record import Record
from dataset_mirror.wire.moment import Moment

OVERHEAD = 2048
"""Bytes that an entry takes beside its body."""

Key = tuple[bytes, bytes]
"""Target and Host, as they came."""


class Entry:
    """One archive; `body` is None if it is too large for memory. `path` is its blob's."""

    __slots__ = ("authority", "body", "moment", "path", "record", "size", "validators", "version", "whole")

    def __init__(self, record: Record, body: bytes | None, path: str) -> None:
        self.body, self.path = body, path
        self.size = OVERHEAD + 2 * len(body or b"")
        """Bytes of memory that it takes."""
        self.version = -1
        """The index' data version at which the record was current; of the one before it was looked up nothing is known."""
        self.take(record)

    def take(self, record: Record) -> None:
        """The same bytes, of which something else is known now."""
        self.record, self.authority = record, record.archive.authority
        self.validators = record.as_served()
        self.whole = Selection(200, 0, record.size)
        self.moment: Moment | None = None

    def forget(self) -> None:
        """Whoever still knows it finds nothing in it."""
        self.body = self.moment = None


@dataclass(frozen=True, slots=True)
class Known:
    """What a head means: a request for an entry, with these conditions (lower-case names) besides a Range."""

    key: Key
    entry: Entry
    is_head: bool
    conditions: dict[str, str]
    request: Request
    """Of any client."""
    shown: str
    """The target as the log has it."""
    archive: str
    """The archive, likewise."""
