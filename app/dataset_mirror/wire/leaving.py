"""The rest of a connection in TLS in which nothing is to be said any more: its last bytes, perhaps an alert, are to arrive."""

import asyncio
from collections.abc import Callable
from weakref import WeakSet

from dataset_mirror.wire import crowd
from dataset_mirror.wire.sockets import writable

_leaving: "WeakSet[asyncio.Transport]" = WeakSet()
"""Such connections. The kernel may not have got all of them yet."""


def leave(raw: asyncio.Transport, told: Callable[[Exception | None], None]) -> None:
    """Takes over a connection; calls `told` as soon as nothing is to be done for it any more, or with the error of its loss."""
    _leaving.add(raw)
    _Leaving(raw, told)


class _Leaving(asyncio.Protocol):
    """What its client still sends is taken for a while. Closing at once would reset (RFC 9112 9.6), and a reset takes away what
    the client has not read: it might miss the alert, and take what it has for whole.
    """

    def __init__(self, raw: asyncio.Transport, told: Callable[[Exception | None], None]) -> None:
        self._raw, self._told = raw, told
        self._timer: asyncio.TimerHandle | None = None
        raw.set_protocol(self)
        raw.resume_reading()
        if not raw.get_write_buffer_size():
            asyncio.get_running_loop().call_soon(self.resume_writing)

    def resume_writing(self) -> None:
        """The kernel has all that was written."""
        if self._timer is None and not self._raw.is_closing():
            self._timer = asyncio.get_running_loop().call_later(crowd.LINGER_SECONDS, self._raw.close)
            self._told(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is None:
            self._told(exc)
        else:
            self._timer.cancel()


async def alerts_sent(seconds: float) -> None:
    """Waits until the kernel has the alerts of all connections that ended, at most so long."""
    waiting = [asyncio.ensure_future(_flushed(raw)) for raw in _leaving if raw.get_write_buffer_size()]
    if waiting:
        _, late = await asyncio.wait(waiting, timeout=seconds)
        for each in late:
            each.cancel()


async def _flushed(raw: asyncio.Transport) -> None:
    while raw.get_write_buffer_size():
        await writable(raw.get_extra_info("socket"))
