"""TLS without a socket: all records that have arrived become plain bytes in one step."""

import asyncio
import ssl
from concurrent.futures import ThreadPoolExecutor

STEPS = 2
"""Threads that decrypt."""
LARGEST = 1024 * 1024
"""Bytes that are given at once."""
_RECORD = 16 * 1024
"""Most plain bytes of one record (RFC 8446 5.1); OpenSSL gives no more than one at a time."""
_WORTH_A_THREAD = 64 * 1024
"""Bytes waiting from which decrypting them beside the loop is worth the way there and back."""

_threads = ThreadPoolExecutor(STEPS, "tls")


class Records:
    """One side of a TLS connection: records in, plain bytes out, and the other way round."""

    def __init__(self, context: ssl.SSLContext, server_hostname: str | None) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl_object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_hostname)

    def arrived(self, records: bytes | memoryview) -> None:
        """Bytes from the other side; none: it sends no more."""
        if records:
            self._incoming.write(records)
        else:
            self._incoming.write_eof()

    def shaken(self) -> bool:
        """Whether the handshake is done; else it needs more records."""
        try:
            self.ssl_object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    async def plain(self) -> bytes | None:
        """What has arrived, decrypted; b"" at the end, None if more records are needed. ssl.SSLError if they are damaged."""
        if self._incoming.pending < _WORTH_A_THREAD:
            return self._decrypted()
        return await asyncio.get_running_loop().run_in_executor(_threads, self._decrypted)

    def _decrypted(self) -> bytes | None:
        parts, size = [], 0
        try:
            while size < LARGEST and (part := self.ssl_object.read(_RECORD)):
                parts.append(part)
                size += len(part)
        except ssl.SSLWantReadError:
            return b"".join(parts) if parts else None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            pass  # what came before the end is given, and the end with the next call
        return b"".join(parts)

    def plain_into(self, buffer: memoryview) -> int | None:
        """How many bytes of what has arrived were decrypted; 0 at the end, None if more records are needed. ssl.SSLError."""
        size = 0
        try:
            while size < len(buffer) and (count := self._read_into(buffer[size:])):
                size += count
        except ssl.SSLWantReadError:
            return size or None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            pass
        return size

    def _read_into(self, buffer: memoryview) -> int:
        count: object = self.ssl_object.read(len(buffer), buffer)  # its type says bytes, which is what it gives without a buffer
        assert isinstance(count, int)
        return count

    @property
    def is_empty(self) -> bool:
        """Whether nothing has arrived that was not given."""
        return not (self._incoming.pending or self.ssl_object.pending())

    def send(self, plain: bytes) -> None:
        """Encrypts it."""
        self.ssl_object.write(plain)

    def to_send(self) -> bytes:
        """Records for the other side."""
        return self._outgoing.read() if self._outgoing.pending else b""
