"""How fast origins may be read: whoever takes bytes in waits until they are due. Bytes that are there are passed on at once."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from dataset_mirror.origins.identity import ArchiveId

_BURST = 0.25
"""Seconds that may be made up for after a pause."""
_LOOK = 0.5
"""Seconds after which a limit that has changed is noticed."""


@dataclass(slots=True)
class Pacer:
    """A rate, and until when what has come is paid for."""

    limit: Callable[[], int | None]
    """Bytes per second at this moment; None without a limit."""
    until: float = 0.0

    async def spent(self, size: int) -> None:
        """So many bytes came; returns when the next may."""
        rate = self.limit()
        if rate is None:
            return
        self.until = max(self.until, time.monotonic() - _BURST) + size / rate
        due = self.until
        while (left := due - time.monotonic()) > 0 and self.limit() is not None:  # noqa: ASYNC110 — the hour may change
            await asyncio.sleep(min(left, _LOOK))


class Throttle:
    """The limit of all downloads together, and those of some archives besides."""

    def __init__(self) -> None:
        self.all = Pacer(lambda: None)
        self.some: dict[ArchiveId, Pacer] = {}
        """Archives whose downloads have one together with others."""

    async def spent(self, archive: ArchiveId, size: int) -> None:
        """So many bytes of a download came from its origin; returns when it may go on."""
        if pacer := self.some.get(archive):
            await pacer.spent(size)
        await self.all.spent(size)
