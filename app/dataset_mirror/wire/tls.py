"""TLS beneath a connection: between the plain transport and the protocol above, on OpenSSL's memory buffers.

asyncio's own is not used: it keeps 256 KiB for each connection, cannot answer a half-closed client, and starts on a connection
that is there already only with a race (with TLS 1.3 the first request arrives with the end of the handshake).

A reset beneath TLS looks like a clean end to Python 3.10, 3.11 and 3.12 (cpython#115627). So a body that does not reach its end
is ended by a fatal alert, written in plain bytes beneath TLS: every client takes it for a broken record.
"""

import asyncio
import contextlib
import logging
import ssl
from pathlib import Path
from typing import Any

from dataset_mirror.errors import BadRequest
from dataset_mirror.wire.connection import Connection
from dataset_mirror.wire.crowd import Crowd
from dataset_mirror.wire.framing import refusal
from dataset_mirror.wire.leaving import leave
from dataset_mirror.wire.sockets import is_armed, make_room, set_linger

log = logging.getLogger(__name__)

ALERT = bytes.fromhex("15030300020250")
"""A fatal alert, internal_error, of TLS 1.2 (RFC 8446 6.2; 1.3 writes that version on the wire, too)."""
_HANDSHAKE_FAILED = bytes.fromhex("15030300020228")
_RECORD = 16 * 1024


def server_context(certificate: Path, key: Path | None = None) -> ssl.SSLContext:
    """A TLS server with this certificate, HTTP/1.1 only. OSError (ssl.SSLError too) if the files are not what they should be."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    return context


class Tls(asyncio.Protocol):
    """The protocol of the plain transport: TLS that we answer; `above` speaks HTTP in it once the handshake is done."""

    raw: asyncio.Transport

    def __init__(self, context: ssl.SSLContext, above: Connection, seconds: float) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._context, self._above, self._seconds = context, above, seconds
        self._is_ready = self._is_paused = self._is_choked = self._is_ended = self.has_said_goodbye = self._is_left = False
        """Whether the handshake is done, the protocol above has enough, the client takes nothing of what is said of its keys, it
        has said its last, we have, and the protocol above has done with it.
        """

    # Beneath

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.raw = transport
        transport.set_write_buffer_limits(high=0)
        self._above.server_state.connections.add(self)  # type: ignore[arg-type]
        if self._crowd.enter(self):
            self._crowd.wait(self, self._seconds)
        else:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._is_ended or self.has_said_goodbye:
            return  # nobody would read it; and records behind our close_notify are a broken connection to OpenSSL
        self._incoming.write(data)
        if not self._is_ready:
            self._shake_hands()
        if self._is_ready:
            self._read()

    def eof_received(self) -> bool:
        if not self._is_ready:
            return False
        return self._ended()

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        if self._is_ready:
            self._above.connection_lost(exc)

    def pause_writing(self) -> None:
        if self._is_ready:
            self._above.pause_writing()

    def resume_writing(self) -> None:
        if self._is_choked:
            self._is_choked = False
            if not self._is_paused:
                self.raw.resume_reading()
        if self._is_ready:
            self._above.resume_writing()

    # The handshake

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return self.flush()
        except ssl.SSLError as error:
            return self._refuse(error)
        self.flush()
        self._leave()
        self._is_ready = True
        self._above.connection_made(TlsTransport(self, self._context))
        return None

    def _refuse(self, error: ssl.SSLError) -> None:
        """A client that fails at the handshake is told so, and that is all."""
        log.debug("No TLS: %s.", error.reason)
        said = self._outgoing.read()
        if error.reason == "HTTP_REQUEST":
            said = refusal(BadRequest("This is plain HTTP where TLS was expected.", "Use https."))
        self.raw.write(said or _HANDSHAKE_FAILED)
        self.raw.close()

    def shutdown(self) -> None:
        """The mirror is shutting down before the handshake is done."""
        self.raw.close()

    def expire(self) -> None:
        """The client takes too long for the handshake."""
        self.raw.close()

    give_way = expire

    @property
    def _crowd(self) -> Crowd:
        return self._above.services.crowd

    def _leave(self) -> None:
        self._crowd.leave(self)
        self._above.server_state.connections.discard(self)

    # Reading

    def _read(self) -> None:
        """Hands up what can be deciphered, until the protocol above has enough."""
        while not (self._is_paused or self._is_ended or self.has_said_goodbye or self.is_closing):
            try:
                data = self._tls.read(_RECORD)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                data = b""
            except ssl.SSLError as error:
                log.debug("TLS broke: %s.", error.reason)
                self.flush()  # OpenSSL tells the client why
                return self._above.give_way()
            if data:
                self._above.data_received(data)
            else:
                self._ended()
        return self._answer_for_keys()

    def _answer_for_keys(self) -> None:
        """OpenSSL answers to a change of keys. A client that does not take the answers has no more of them made."""
        if self._outgoing.pending:
            self.flush()
            if self.raw.get_write_buffer_size() and not self.is_closing:
                self._is_choked = True
                self.raw.pause_reading()

    def _ended(self) -> bool:
        """The client says nothing more. With or without saying so in TLS: what it asked for is whole by itself."""
        if self._is_ended:
            return True
        self._is_ended = True
        return self._above.eof_received()

    def pause(self) -> None:
        self._is_paused = True
        self.raw.pause_reading()

    def resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            if not self._is_choked:
                self.raw.resume_reading()
            asyncio.get_running_loop().call_soon(self._read)

    # Writing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if data and not self.is_closing:
            self._tls.write(data)
            self.flush()

    def flush(self) -> None:
        if self._outgoing.pending and not self.is_closing:
            self.raw.write(self._outgoing.read())

    def say_goodbye(self) -> None:
        """Our close_notify (RFC 8446 6.1). The client's own is not waited for: one that does not read would hold up the mirror's end."""
        if not self.has_said_goodbye:
            self.has_said_goodbye = True
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()
            self.flush()

    # The end

    @property
    def is_closing(self) -> bool:
        return self._is_left or self.raw.is_closing()

    def leave(self) -> None:
        """All has been said. The protocol above is told that the connection is lost as soon as the kernel has all of it."""
        with contextlib.suppress(OSError):  # the client has reset it
            self.raw.write_eof()
        if not self.raw.is_closing():
            self._is_left = True
            leave(self.raw, self.connection_lost)

    def extra(self, name: str, default: Any) -> Any:
        return self._tls if name == "ssl_object" else self.raw.get_extra_info(name, default)


class TlsTransport(asyncio.Transport):
    """What the protocol above TLS writes to. It ends bodies with the truth: `abort`, and `close` while armed, send an alert."""

    def __init__(self, tls: Tls, context: ssl.SSLContext) -> None:
        super().__init__()
        self._tls, self._raw, self._context = tls, tls.raw, context

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._context if name == "sslcontext" else self._tls.extra(name, default)

    def is_closing(self) -> bool:
        return self._tls.is_closing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._tls.write(data)

    def write_eof(self) -> None:
        self._tls.say_goodbye()
        if not self.is_closing():
            self._raw.write_eof()

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return self._raw.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._raw.set_write_buffer_limits(high=high, low=low)

    def pause_reading(self) -> None:
        self._tls.pause()

    def resume_reading(self) -> None:
        self._tls.resume()

    def close(self) -> None:
        if self.is_closing():
            return None
        if is_armed(self.get_extra_info("socket")):
            return self.abort()
        if self._tls.has_said_goodbye:  # and what the client went on sending was taken
            return self._raw.close()
        self._tls.say_goodbye()
        return self._tls.leave()

    def abort(self) -> None:
        """Ends the connection with a fatal alert, unless its orderly end has been said. The kernel is given more room, lest a
        client that does not read misses it.
        """
        if self.is_closing():
            return
        connection = self._raw.get_extra_info("socket")
        set_linger(connection, reset=False)
        if not self._tls.has_said_goodbye:
            self._raw.write(ALERT)
        if self._raw.get_write_buffer_size():
            make_room(connection)
        self._tls.leave()
