"""All connections together: how many there may be, how long each may be silent, and who makes room for whom.

A connection that waits for its client has a deadline. One timer looks at all of them, about once a second: a timer for each
request would cost more than the request.
"""

import asyncio
import errno
import logging
import resource
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from dataset_mirror.wire.departures import Departures

log = logging.getLogger(__name__)

IDLE_SECONDS = 75.0
"""How long a connection may wait for its next request."""
BODY_SECONDS = 75.0
"""How long a client may send nothing of a body that it announced."""
_HANDSHAKE_SECONDS = 10.0
LINGER_SECONDS = 2.0
"""How long a refused client may go on sending before the connection ends; so it can read why."""
_RESERVED = 128
"""Descriptors that are not for clients: the listening sockets, the index, and what commands and threads open."""
_MOST = 10_000
_REMINDER_SECONDS = 60.0
_RETRY_SECONDS = 1.0
"""After which asyncio tries to accept again."""
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the operator sets; seconds, and a number of connections (None: as many as descriptors allow, at most 10,000)."""

    head_timeout: float = 30.0
    max_connections: int | None = None


class Member(Protocol):
    """A connection."""

    def expire(self) -> None:
        """Its client has been silent for too long."""

    def give_way(self) -> None:
        """Its client is waited for, and others need the room."""


class Crowd:
    """The connections of one process. Made once; used by one loop."""

    def __init__(self, limits: Callable[[], Limits] = Limits, *, each: int = 3) -> None:
        """`each`: how many descriptors a connection may need: its own, its file's, and a duplicate to wait for room with."""
        self._limits, self._each = limits, each
        self._members: set[Member] = set()
        self._waiting: OrderedDict[Member, float] = OrderedDict()
        """Deadlines of those that wait for their clients, by how long they have been waiting."""
        self._timer: asyncio.TimerHandle | None = None
        self._warned = self._relieved = -_REMINDER_SECONDS
        """When a want of descriptors was last said, and when room was last made for it."""
        self.departures = Departures()

    @property
    def head_timeout(self) -> float:
        """Seconds that a client gets for a request's head."""
        return self._limits().head_timeout

    @property
    def handshake_timeout(self) -> float:
        """Seconds that a client gets for TLS's handshake."""
        return min(_HANDSHAKE_SECONDS, self.head_timeout)

    def enter(self, member: Member) -> bool:
        """Takes in a connection; False if there is no room for it, though those that wait longest have made some."""
        most = min(self._limits().max_connections or _MOST, descriptors_for_clients() // self._each)
        if len(self._members) >= most and not self._replaced():
            return False
        self.departures.open()
        self._members.add(member)
        return True

    def leave(self, member: Member) -> None:
        """It has gone, or is somebody else's."""
        self._members.discard(member)
        self._waiting.pop(member, None)

    def wait(self, member: Member, seconds: float) -> None:
        """It waits for its client, from now on, at most so long."""
        loop = asyncio.get_running_loop()
        self._waiting[member] = loop.time() + seconds
        self._waiting.move_to_end(member)
        if self._timer is None:
            self._timer = loop.call_later(min(1.0, self.head_timeout / 4), self._sweep)

    def work(self, member: Member) -> None:
        """Its client waits for us."""
        self._waiting.pop(member, None)

    def make_room(self, count: int) -> None:
        """Ends so many of those that have waited longest."""
        for member in list(self._waiting)[:count]:
            self._end(member)

    def _replaced(self) -> bool:
        """Ends the one that has waited longest, if any waits. One that was refused may still be there: its end makes no room."""
        oldest = next((member for member in self._waiting if member in self._members), None)
        if oldest is not None:
            self._end(oldest)
        return oldest is not None

    def _end(self, member: Member) -> None:
        self.leave(member)
        member.give_way()

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        try:
            for member in [member for member, deadline in self._waiting.items() if deadline <= now]:
                if self._waiting.pop(member, now + 1) <= now:
                    member.expire()
        finally:  # whatever fails at one of them, the others have their deadlines
            self._timer = loop.call_later(min(1.0, self.head_timeout / 4), self._sweep) if self._waiting else None

    def on_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A handler for asyncio's exceptions: a want of descriptors is said once a minute, and ends what waits for nothing.

        asyncio reports it for each connection of its backlog, and tries again a second later.
        """
        error = context.get("exception")
        if isinstance(error, ValueError) and "_start_serving" in context.get("message", ""):
            return None  # that second is over, and the mirror has been stopped meanwhile
        if not (isinstance(error, OSError) and error.errno in _EXHAUSTED and "accept" in context.get("message", "")):
            return loop.default_exception_handler(context)
        now = loop.time()
        if now - self._relieved >= _RETRY_SECONDS / 2:
            self._relieved = now
            self.make_room(max(16, len(self._waiting) // 8))
        if now - self._warned >= _REMINDER_SECONDS:
            self._warned = now
            log.error("No new connection can be accepted (%s); idle ones are closed. Raise the limit of open files.", error.strerror)
        return None


def raise_descriptor_limit() -> None:
    """As many descriptors as the system allows this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (hard, 10_240):  # macOS refuses its own hard limit
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted) if wanted != resource.RLIM_INFINITY else wanted, hard))
        except (ValueError, OSError):
            continue
        return


def descriptors_for_clients() -> int:
    """How many descriptors there are for connections, and what each of them needs besides, such as its file."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 2**31 if limit == resource.RLIM_INFINITY else max(32, limit - _RESERVED)
