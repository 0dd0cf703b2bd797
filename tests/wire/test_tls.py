"""TLS beneath a connection, to its end: whatever a client does, it sees a whole answer and a clean end, or an error."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from dataset_mirror.wire import crowd, leaving
from dataset_mirror.wire.connection import Connection
from dataset_mirror.wire.crowd import Crowd, Limits
from dataset_mirror.wire.parsing import Head
from dataset_mirror.wire.services import Services
from dataset_mirror.wire.tls import Tls, server_context
from tests.origin import MIB
from tests.serving import PATIENCE
from tests.waiting import until
from tests.wire.crew import make_certificate
from tests.wire.test_conformance import LARGE_BODY, PAGES, App, Peer, Server, asking, large_file, start, stream
from tests.wire.test_protocol import LARGE

__all__ = ["large_file"]
STORED = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % LARGE + LARGE_BODY
"""More than the kernels take for a client that does not read."""


class Hot:
    """A memory with one answer."""

    latest = ""

    def again(self, _data: bytes, _client: object) -> None:
        return None

    def answer(self, head: Head, _data: bytes, _client: object) -> bytes | None:
        return STORED if head.target == b"/stored" else None


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(make_certificate(tmp_path_factory.mktemp("certificate")))


def quiet(services: Services, **known: Any) -> Connection:
    """A connection without a log of requests, which would need the app for each."""
    connection = Connection(**known, services=services)
    connection.access_log = False
    return connection


@pytest.fixture
def server(large_file: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server of the App in TLS; who is refused has a tenth of a second to read it, and a head takes half a second at most."""
    monkeypatch.setattr(crowd, "LINGER_SECONDS", 0.1)
    app, context = App(large_file), server_context(certificate)
    services = Services(Hot(), crowd=Crowd(lambda: Limits(head_timeout=0.5)))

    def made(**known: Any) -> Tls:
        return Tls(context, quiet(services, **known), 5.0)

    with app.file, Server(app, made).running() as running:  # type: ignore[arg-type]
        yield running
        until(lambda: all(raw.is_closing() for raw in leaving._leaving))


class Client(Peer):
    """A client in TLS that takes nothing for an orderly end but TLS's own."""

    def __init__(self, server: Server, buffer: int = 4096, *, strict: bool = True, keys: Path | None = None) -> None:
        super().__init__(server, buffer)
        context = ssl._create_unverified_context()
        context.keylog_filename = str(keys) if keys else None  # type: ignore[assignment]
        self.plain = self.socket
        self.socket = context.wrap_socket(self.socket, suppress_ragged_eofs=not strict)
        self.below = socket.socket(fileno=os.dup(self.socket.fileno()))
        self.below.settimeout(PATIENCE)

    def __exit__(self, *_: object) -> None:
        self.below.close()
        self.socket.close()

    def says_no_more(self) -> None:
        """TLS's own end of what it sends."""
        with suppress(ssl.SSLError):  # which tells that there is something to read
            self.socket.unwrap()  # type: ignore[attr-defined]


def connections(server: Server) -> set[Any]:
    return set(server.server_state.connections)


def test_a_half_closed_client_of_memory(server: Server) -> None:
    """What is answered from memory ends in order for a client that closed its side at once, and reads slowly."""
    with Client(server) as client:
        client.ask("stored")
        client.below.shutdown(socket.SHUT_WR)
        assert client.rest() == STORED


def test_a_stop_behind_an_answer_from_memory(server: Server) -> None:
    """The mirror's own end, too, leaves it whole."""
    with Client(server) as client:
        client.ask("stored")
        until(lambda: any(getattr(one, "_is_full", False) for one in connections(server)))
        [connection] = connections(server)
        connection.loop.call_soon_threadsafe(connection.shutdown)  # as uvicorn does when it stops
        assert client.rest() == STORED


def test_garbage_behind_what_is_not_taken(server: Server) -> None:
    """A client that is refused behind an answer that it does not take is closed in time, and all others keep their deadlines."""
    with Client(server) as stuck:
        stuck.send(asking("stored") + b"\x00garbage\r\n\r\n")
        until(lambda: not [one for one in connections(server) if isinstance(one, Connection) and not one.transport.is_closing()])
        with Client(server) as late:
            late.send(b"GET ")
            assert late.answer()[0] == 408
        assert stuck.rest().startswith(STORED + b"HTTP/1.1 400 ")


def test_records_that_are_broken(server: Server) -> None:
    """Bytes that are no TLS, in the middle of an answer, break it by an alert: not by a close, which some take for its end."""
    with Client(server) as client:
        client.ask("large")
        assert client.head()[0] == 200
        client.below.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
        with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
            client.rest()


def test_a_body_that_fails_while_its_client_sends(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that breaks off is an error for a client whose own bytes the mirror has not read, even if it takes a close for an end."""
    fail = threading.Event()

    async def fails_when_told(_app: App, _scope: Any, _receive: Any, send: Any) -> None:
        await start(send, LARGE)
        await stream(send, LARGE_BODY[: MIB // 16], more=True)
        wait_for.append(threading.current_thread())
        fail.wait(PATIENCE)
        raise ValueError("asked to fail")

    wait_for: list[threading.Thread] = []
    monkeypatch.setitem(PAGES, "/fails_when_told", fails_when_told)
    with Client(server, strict=False) as client:
        client.ask("fails_when_told")
        until(lambda: bool(wait_for))
        client.send(asking("small") * 20_000)
        fail.set()
        assert client.head()[0] == 200
        server.app.end()
        with pytest.raises(ssl.SSLError):
            client.rest()


def test_bytes_behind_the_last_word(server: Server) -> None:
    """What a client sends behind the end of its TLS is not kept, while its answer goes on."""
    with Client(server) as client:
        client.ask("large")
        assert client.head()[0] == 200
        client.says_no_more()
        [connection] = connections(server)
        for _ in range(8):
            client.below.sendall(bytes(MIB))
        assert connection.transport._tls._incoming.pending < MIB


def expanded(secret: bytes, label: str, length: int) -> bytes:
    """HKDF-Expand-Label without a context (RFC 8446 7.1)."""
    named = b"tls13 " + label.encode()
    return HKDFExpand(SHA384(), length, length.to_bytes(2, "big") + bytes([len(named)]) + named + b"\0").derive(secret)


def changes_of_keys(keys: Path, records: int, count: int) -> bytes:
    """Records in which the client wants new keys, one after the other, after so many of its own (RFC 8446 4.6.3, 5.2, 7.2)."""
    [secret] = [bytes.fromhex(line.split()[2]) for line in keys.read_text().splitlines() if line.startswith("CLIENT_TRAFFIC_SECRET_0")]
    changes = b""
    for number in (records, *[0] * (count - 1)):
        nonce = int.from_bytes(expanded(secret, "iv", 12), "big") ^ number
        message, head = b"\x18\x00\x00\x01\x01" + b"\x16", b"\x17\x03\x03\x00\x16"
        changes += head + AESGCM(expanded(secret, "key", 32)).encrypt(nonce.to_bytes(12, "big"), message, head)
        secret = expanded(secret, "traffic upd", 48)
    return changes


def test_changes_of_keys(server: Server, tmp_path: Path) -> None:
    """A client that reads nothing has no more answers made to its changes of keys; it gets all once it reads."""
    keys = tmp_path / "keys"
    with Client(server, keys=keys) as client:
        if client.socket.cipher()[0] != "TLS_AES_256_GCM_SHA384":  # type: ignore[attr-defined]
            pytest.skip("another cipher is usual here")
        client.ask("large")
        until(lambda: any(getattr(one, "_is_full", False) for one in connections(server)))
        [connection] = connections(server)
        assert connection.transport._raw.is_reading()
        client.below.sendall(changes_of_keys(keys, 1, 3))
        until(lambda: not connection.transport._raw.is_reading())
        assert client.answer() == (200, LARGE_BODY)
        until(connection.transport._raw.is_reading)


def test_who_takes_nothing_makes_room(large_file: Path) -> None:
    """A plain connection whose client does not take its answer from memory is reset once others need the room."""
    app, services = App(large_file), Services(Hot(), crowd=Crowd(lambda: Limits(max_connections=1)))
    made: Any = partial(quiet, services)
    with app.file, Server(app, made).running() as running, Peer(running, buffer=4096) as stuck:
        stuck.ask("stored")
        until(lambda: any(one._is_full for one in connections(running)))
        with Peer(running) as other:
            other.ask("small")
            assert other.answer()[0] == 200
            assert stuck.until_any_end()[1]
