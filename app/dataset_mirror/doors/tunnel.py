"""Tunnels: bytes to and fro between a client and a public host, which nobody looks into and nothing is kept of."""

import asyncio

from dataset_mirror.wire.sockets import set_linger, tune

IDLE_SECONDS = 600.0
"""After so long without a byte a tunnel is closed."""
_BUSY_SECONDS = 1.0
"""For so long after its last byte a tunnel is in use."""


class End(asyncio.Protocol):
    """One end of a tunnel: what arrives here leaves at the other end, no faster than that one takes it."""

    transport: asyncio.Transport
    other: "End"
    tunnel: "Tunnel | None" = None
    is_finished = False
    """Whether nothing more arrives here."""
    early = b""
    """What arrived before there was anybody to take it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        tune(transport.get_extra_info("socket"), takes_files=False)
        transport.pause_reading()  # until somebody is there to take it

    def data_received(self, data: bytes) -> None:
        if self.tunnel:
            self.tunnel.stir()
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.tunnel:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.tunnel:
            self.tunnel.stir()
            self.other.transport.resume_reading()

    def eof_received(self) -> bool:
        """The other direction may go on."""
        self.is_finished = True
        if self.tunnel is None or self.other.is_finished or not self.other.transport.can_write_eof():
            return False
        if not self.other.transport.is_closing():
            self.other.transport.write_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self.tunnel:
            self.tunnel.end(broken=exc is not None)

    def close(self) -> None:
        self.transport.close()


class Tunnel:
    """Two ends, while they are joined."""

    def __init__(self, client: asyncio.Transport, far: End, idle_seconds: float = IDLE_SECONDS) -> None:
        self._loop = asyncio.get_running_loop()
        self._idle_seconds = idle_seconds
        self._near, self._far = End(), far
        self._near.transport = client
        self._near.other, self._far.other = far, self._near
        self._last = self._loop.time()
        self._over: asyncio.Future[None] = self._loop.create_future()

    @property
    def is_idle(self) -> bool:
        return self._loop.time() - self._last > _BUSY_SECONDS

    def stir(self) -> None:
        """Bytes have moved."""
        self._last = self._loop.time()

    async def run(self) -> None:
        """Until either end is lost, or nothing moved for long. If it is cancelled both ends are reset."""
        self._join()
        broken = True
        try:
            while not self._over.done():
                left = self._last + self._idle_seconds - self._loop.time()
                if left <= 0:
                    return
                await asyncio.wait([self._over], timeout=left)
            broken = False
        finally:
            if broken:
                self.end(broken=True)

    def _join(self) -> None:
        for end in (self._near, self._far):
            end.tunnel = self
        self._near.transport.set_write_buffer_limits()
        self._near.transport.set_protocol(self._near)
        self._near.transport.write(self._far.early)
        for end in (self._near, self._far):
            end.transport.resume_reading()

    def end(self, *, broken: bool) -> None:
        """Both ends close after what was written to them, or break if one did: neither may take a cut stream for a whole one."""
        if not self._over.done():
            self._over.set_result(None)
        for end in (self._near, self._far):
            if broken and not end.transport.is_closing():
                set_linger(end.transport.get_extra_info("socket"), reset=True)
                end.transport.abort()
            else:
                end.transport.close()
