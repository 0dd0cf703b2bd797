"""What connections share besides the app: answers from memory, the doors, and the count of all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from dataset_mirror.fetch.recent import UnderWay
from dataset_mirror.serve.asgi import RawFields
from dataset_mirror.wire.crowd import Crowd

if TYPE_CHECKING:
    from dataset_mirror.wire.connection import Connection


class HotAnswers(Protocol):
    """Answers from memory."""

    def named(self, url: bytes, fields: RawFields) -> str:
        """Host and path of the archive that was answered just now; empty if nobody knows."""

    def answer(self, url: bytes, fields: RawFields, own_fields: RawFields) -> bytes | None:
        """Head and body for a plain GET, or None."""


class Opener(Protocol):
    """What answers CONNECT."""

    def __call__(self, connection: Connection, target: str, *, is_last: bool) -> None:
        """Takes over a connection whose reading is paused, with no request under way; `is_last`: nothing came behind CONNECT."""


@dataclass(frozen=True)
class Services:
    """Each may be missing, but for the crowd."""

    hot: HotAnswers | None = None
    opener: Opener | None = None
    crowd: Crowd = field(default_factory=Crowd)
    seen: Callable[[str, int], None] | None = None
    """Told of each answer from memory: the client's address, and the bytes."""
    under_way: set[UnderWay] = field(default_factory=set)
    """Answers from memory that their clients have not taken yet are put here."""
    known_as: Callable[[str], str] = str
    """What is told of a client's address."""
    stopping: Callable[[], None] | None = None
    """Told that the mirror is being stopped: what would never end by itself is to end."""
