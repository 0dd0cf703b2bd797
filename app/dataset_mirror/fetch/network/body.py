"""What is still to come of a body, read past httpcore and h11 from the connection beneath: the documented `network_stream`.

Only a body that is known to end after so many bytes can be read so. httpcore does not see its end, and closes the connection,
which is kept beneath it: see `spare.py`.
"""

import httpcore
import httpx

from dataset_mirror.fetch.network.stream import Stream, TlsStream, Write
from dataset_mirror.rules.counted import counted

LEAST = 256 * 1024
"""Bytes to come from which it is worth it."""


class Remainder:
    """The bytes of a body that the layers above have not seen."""

    def __init__(self, stream: Stream | TlsStream, left: int, timeout: float | None, *, persists: bool) -> None:
        self.left = left
        self._stream, self._timeout, self._persists = stream, timeout, persists

    async def pour(self, write: Write, most: int) -> int:
        """Writes up to `most` bytes of it as they come, at least one, in a thread or not; nothing else can be done with it meanwhile.

        httpx.HTTPError, or whatever error `write` raises.
        """
        try:
            size = await self._stream.pour(write, min(most, self.left), self._timeout)
        except httpcore.ReadTimeout as error:
            raise httpx.ReadTimeout(str(error)) from error
        except httpcore.ReadError as error:
            raise httpx.ReadError(str(error)) from error
        if not size:
            raise httpx.RemoteProtocolError(f"peer closed connection with {counted(self.left, 'byte')} of the body still to come")
        self.left -= size
        if not self.left and self._persists:
            self._stream.may_serve_again()
        return size

    async def read(self, most: int) -> bytes:
        """Up to so many bytes of it, as they come."""
        parts: list[bytes] = []
        await self.pour(lambda part: parts.append(bytes(part)), most)
        return b"".join(parts)


def remainder_of(response: httpx.Response, left: int) -> Remainder | None:
    """What is to come of a body of known length after all that httpcore had read; None if it cannot be read past it, or is too little."""
    stream = response.extensions.get("network_stream")
    if left < LEAST or not isinstance(stream, Stream | TlsStream) or not stream.can_pour:
        return None
    persists = response.http_version == "HTTP/1.1" and "close" not in response.headers.get("connection", "").lower()
    return Remainder(stream, left, response.request.extensions["timeout"]["read"], persists=persists)
