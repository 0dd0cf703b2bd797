"""What the shared store says of an archive that is not here."""

from dataclasses import dataclass

from dataset_mirror.store.record import Record


@dataclass(frozen=True, slots=True)
class Known:
    """All mirrors know it: the bucket has its bytes as `object`."""

    record: Record
    object: str


@dataclass(frozen=True, slots=True)
class Held:
    """Another mirror, which is alive, fetches it: it can be followed at its URL, if it has one."""

    token: int
    holder: str
    url: str
    secret: str


@dataclass(frozen=True, slots=True)
class Taken:
    """This mirror is to fetch it; `token` tells this lease from all others."""

    token: int
    taken_over: bool = False
    """Whether another mirror had it, and died."""


@dataclass(frozen=True, slots=True)
class Orphaned:
    """Who fetched it has died, and whoever followed goes first."""


Answer = Known | Held | Taken | Orphaned


@dataclass(frozen=True, slots=True)
class Peer:
    """A mirror as its last life sign described it; times in seconds since the epoch."""

    id: str
    url: str
    program: str
    began: float
    seen: float
    is_alive: bool
    fills: int
    outbox: int
    following: tuple[tuple[str, str], ...]
    """URLs of archives and of the mirrors that they are taken from."""
