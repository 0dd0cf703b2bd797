"""Waking those who wait for bytes: per 256 KiB or 10 ms, not per packet, since each time costs a call per reader."""

import asyncio
import time

WAKE_BYTES = 256 * 1024
WAKE_SECONDS = 0.01
"""After which they are woken for less."""
REST_SECONDS = 0.002
"""Between two times in any case: at hundreds of megabytes a second waking would cost more than the bytes."""


class Bell:
    """Wakes everybody who waits."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self._rung_at = 0
        self._rung_when = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def wait(self) -> None:
        """Waits until it rings."""
        await self._rung.wait()

    def ring(self) -> None:
        """Wakes them now."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        self._rung_when = time.monotonic()
        rung, self._rung = self._rung, asyncio.Event()
        rung.set()

    def begin(self) -> None:
        """Bytes are counted from zero again."""
        self._rung_at = 0
        self.ring()

    def arrived(self, total: int) -> None:
        """So many bytes are there now: wakes them at once, or soon."""
        enough = total - self._rung_at >= WAKE_BYTES
        if enough and time.monotonic() - self._rung_when >= REST_SECONDS:
            self._rung_at = total
            self.ring()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(REST_SECONDS if enough else WAKE_SECONDS, self.ring)
