"""How a tunnel ends that an offline mirror refuses: as on a network that is not there.

Clients that find their proxy saying no give up (requests: ProxyError). One whose TLS is reset takes the host for unreachable, and
goes on with its own cache, as it would without any mirror. So the tunnel is granted, and reset at the client's first bytes.
"""

import asyncio

from dataset_mirror.wire.sockets import set_linger


class Vanishing(asyncio.Protocol):
    """Waits for the first bytes of a client, or its end, and resets the connection."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._spoken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self._end()

    def eof_received(self) -> None:
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        if not self._spoken.done():
            self._spoken.set_result(None)

    async def run(self, seconds: float) -> None:
        """Until the client has spoken, at most so long."""
        self._transport.set_protocol(self)
        self._transport.resume_reading()
        await asyncio.wait([self._spoken], timeout=seconds)
        if not self._transport.is_closing():
            set_linger(self._transport.get_extra_info("socket"), reset=True)
        self._transport.abort()
