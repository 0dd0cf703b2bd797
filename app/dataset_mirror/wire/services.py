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
    from dataset_mirror.wire.from_file import FromFile
    from dataset_mirror.wire.parsing import Head


class Client(Protocol):
    """Who asks: `authority` is that of the CONNECT around, `peer` the address at the other end, if there is one."""

    authority: str | None
    takes_files: bool
    """Whether the kernel can send it parts of files."""

    @property
    def peer(self) -> str | None: ...
    @property
    def own_fields(self) -> RawFields:
        """The server's, which come first in each answer; another list each second."""


class HotAnswers(Protocol):
    """Answers that need no app."""

    @property
    def latest(self) -> str:
        """Host and path of the archive that was answered last."""

    def again(self, data: bytes, client: Client) -> bytes | FromFile | None:
        """The answer to a request of which these bytes are the head, if it is known from an earlier one."""

    def answer(self, head: Head, data: bytes, client: Client) -> bytes | FromFile | None:
        """The answer to a request with this head; `data` has it, and perhaps more."""


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
    under_way: set[UnderWay] = field(default_factory=set)
    """Answers from memory that their clients have not taken yet are put here."""
    known_as: Callable[[str], str] = str
    """What is told of a client's address."""
    stopping: Callable[[], None] | None = None
    """Told that the mirror is being stopped: what would never end by itself is to end."""
