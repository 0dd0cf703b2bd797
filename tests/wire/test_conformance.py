"""What a server of HTTP/1.x owes to clients and to apps, over raw sockets: our protocol, and uvicorn's own for comparison.

Where uvicorn's own is known to fail, the test says so; should an upgrade fix it there, that is said too, and ours may shrink.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from dataset_mirror.serve.asgi import ZERO_COPY, ClientGone, Message, Receive, Scope, Send
from dataset_mirror.wire import crowd, sendfile
from dataset_mirror.wire.connection import Connection
from dataset_mirror.wire.server import listen
from dataset_mirror.wire.services import Services
from dataset_mirror.wire.sockets import NOT_SENT_OF_FILES, SILENT_MILLISECONDS
from tests.origin import MIB, body
from tests.serving import PATIENCE
from tests.waiting import until
from tests.wire.test_protocol import LARGE, Wire, dechunked

SMALL_BODY, LARGE_BODY = body(10_000, 1), body(LARGE)
Page = Callable[["App", Scope, Receive, Send], Awaitable[None]]


class App:
    """A small app, whose pages do what apps may do. `ends` keeps how each request's page ended."""

    def __init__(self, file: Path) -> None:
        self.file = file.open("rb", buffering=0)
        self.sent = 0
        self.offered: set[str] = set()
        self.ends: list[BaseException | None] = []
        self.ended = threading.Semaphore(0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted(message: Message) -> None:
            await send(message)
            self.sent += len(message.get("body", b"")) + message.get("count", 0)

        self.offered = set(scope.get("extensions") or {})
        try:
            await PAGES[scope["path"]](self, scope, receive, counted)
        except BaseException as error:
            self.ends.append(error)
            raise
        else:
            self.ends.append(None)
        finally:
            self.ended.release()

    def end(self) -> BaseException | None:
        """Waits for the next page to end, and says how it did."""
        assert self.ended.acquire(timeout=PATIENCE), "the page does not end"
        return self.ends.pop(0)


async def start(send: Send, length: int | None, *fields: tuple[bytes, bytes]) -> None:
    known = [] if length is None else [(b"content-length", b"%d" % length)]
    await send({"type": "http.response.start", "status": 200, "headers": [*known, *fields]})


async def stream(send: Send, content: bytes, *, more: bool = False) -> None:
    for at in range(0, len(content), MIB // 4):
        await send({"type": "http.response.body", "body": content[at : at + MIB // 4], "more_body": True})
    if not more:
        await send({"type": "http.response.body"})


async def small(_app: App, _scope: Scope, _receive: Receive, send: Send) -> None:
    await start(send, len(SMALL_BODY))
    await send({"type": "http.response.body", "body": SMALL_BODY})


async def large(_app: App, _scope: Scope, _receive: Receive, send: Send) -> None:
    await start(send, LARGE)
    await stream(send, LARGE_BODY)


async def chunked(_app: App, _scope: Scope, _receive: Receive, send: Send) -> None:
    await start(send, None)
    await stream(send, LARGE_BODY[:MIB])


async def echo(_app: App, _scope: Scope, receive: Receive, send: Send) -> None:
    content, more = b"", True
    while more:
        message = await receive()
        content, more = content + message.get("body", b""), message.get("more_body", False)
    await start(send, len(content))
    await send({"type": "http.response.body", "body": content})


async def fails_at_once(_app: App, _scope: Scope, _receive: Receive, _send: Send) -> None:
    raise ValueError("asked to fail")


async def fails_in_the_middle(_app: App, _scope: Scope, _receive: Receive, send: Send) -> None:
    await start(send, LARGE)
    await stream(send, LARGE_BODY[:MIB], more=True)
    raise ValueError("asked to fail")


async def too_short(_app: App, _scope: Scope, _receive: Receive, send: Send) -> None:
    await start(send, LARGE)
    await stream(send, LARGE_BODY[:MIB])


async def file(app: App, _scope: Scope, _receive: Receive, send: Send) -> None:
    await start(send, LARGE)
    await send({"type": ZERO_COPY, "file": app.file, "offset": 0, "count": LARGE})


async def mixed(app: App, _scope: Scope, _receive: Receive, send: Send) -> None:
    await start(send, 3 * MIB + 10)
    await stream(send, LARGE_BODY[: MIB + 5], more=True)
    await send({"type": ZERO_COPY, "file": app.file, "offset": MIB + 5, "count": MIB, "more_body": True})
    await send({"type": ZERO_COPY, "file": app.file, "offset": 0, "count": 0, "more_body": True})
    await stream(send, LARGE_BODY[2 * MIB + 5 : 3 * MIB + 10])


async def from_position(app: App, _scope: Scope, _receive: Receive, send: Send) -> None:
    await start(send, 10)
    with os.fdopen(os.open(app.file.name, os.O_RDONLY), "rb", buffering=0) as opened:
        opened.seek(LARGE - 10)
        await send({"type": ZERO_COPY, "file": opened})


async def file_in_chunks(app: App, _scope: Scope, _receive: Receive, send: Send) -> None:
    await start(send, None)
    await send({"type": ZERO_COPY, "file": app.file, "offset": 0, "count": MIB})


async def file_too_long(app: App, _scope: Scope, _receive: Receive, send: Send) -> None:
    await start(send, MIB)
    await send({"type": ZERO_COPY, "file": app.file, "offset": 0, "count": MIB + 1})


async def file_too_short(app: App, _scope: Scope, _receive: Receive, send: Send) -> None:
    await start(send, LARGE + 1)
    await send({"type": ZERO_COPY, "file": app.file, "offset": 0, "count": LARGE + 1})


PAGES: dict[str, Page] = {
    "/" + page.__name__: page
    for page in (
        *(small, large, chunked, echo, fails_at_once, fails_in_the_middle, too_short),
        *(file, mixed, from_position, file_in_chunks, file_too_long, file_too_short),
    )
}


class Server(uvicorn.Server):
    """uvicorn in a thread of its own, with one of the protocols."""

    def __init__(self, app: App, protocol: type[asyncio.Protocol]) -> None:
        settings: dict[str, Any] = {"lifespan": "off", "loop": "asyncio", "log_config": None, "timeout_graceful_shutdown": 5}
        super().__init__(uvicorn.Config(app, http=protocol, server_header=False, **settings))
        self.app = app
        self.listens = threading.Event()
        self._listening = listen("127.0.0.1", 0)
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self.run, args=([self._listening],), daemon=True)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()

    @contextmanager
    def running(self) -> Iterator[Server]:
        self._thread.start()
        try:
            assert self.listens.wait(PATIENCE)
            yield self
        finally:
            self.stop()
            self._thread.join(PATIENCE)
            assert not self._thread.is_alive(), "it does not stop"

    def stop(self) -> None:
        """As the first SIGTERM does."""
        self.should_exit = True


class Peer(Wire):
    """A client of such a server."""

    def __init__(self, server: Server, buffer: int = MIB) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)  # else it may grow until it holds `LARGE`
        self.socket.settimeout(PATIENCE)
        self.socket.connect(("127.0.0.1", server.port))
        self._left = b""

    def ask(self, page: str, *fields: str, method: str = "GET", version: str = "1.1") -> None:
        self.send(asking(page, *fields, method=method, version=version))

    def reset(self) -> None:
        """Leaves as a program does that is killed."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def asking(page: str, *fields: str, method: str = "GET", version: str = "1.1") -> bytes:
    return "\r\n".join([f"{method} /{page} HTTP/{version}", "Host: mirror", *fields, "", ""]).encode()


OURS = pytest.param(Connection, id="ours")
BOTH = pytest.mark.parametrize("protocol", [OURS, pytest.param(HttpToolsProtocol, id="uvicorn")], scope="module")
ONLY_OURS = pytest.mark.parametrize("protocol", [OURS], scope="module")


def uvicorn_fails(why: str) -> pytest.MarkDecorator:
    """Both, but uvicorn's own is known to fail; if it does not any more, the test fails."""
    return pytest.mark.parametrize(
        "protocol", [OURS, pytest.param(HttpToolsProtocol, id="uvicorn", marks=pytest.mark.xfail(reason=why, strict=True))], scope="module"
    )


@pytest.fixture(scope="module")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "large.bin"
    path.write_bytes(LARGE_BODY)
    return path


@pytest.fixture
def server(protocol: type[asyncio.Protocol], large_file: Path) -> Iterator[Server]:
    """A server of the App under the protocol that the test names."""
    app = App(large_file)
    made: Any = partial(Connection, services=Services()) if protocol is Connection else protocol
    with app.file, Server(app, made).running() as running:
        yield running


@pytest.fixture
def peer(server: Server) -> Iterator[Peer]:
    """A connection to the server."""
    with Peer(server) as opened:
        yield opened


# ---- Several requests on a connection


@BOTH
def test_keep_alive(peer: Peer) -> None:
    """A connection serves one request after the other, HEAD and large ones in between."""
    for page, content in (("small", SMALL_BODY), ("large", LARGE_BODY), ("small", SMALL_BODY)):
        peer.ask(page)
        assert peer.answer() == (200, content)
        peer.ask(page, method="HEAD")
        status, fields = peer.head()
        assert (status, fields["content-length"]) == (200, str(len(content)))


@BOTH
def test_pipelining(peer: Peer) -> None:
    """Requests sent at once are answered in their order, and a close after the last one."""
    peer.send(asking("small") + asking("large") + asking("small", "Connection: close"))
    assert [peer.answer() for _ in range(3)] == [(200, SMALL_BODY), (200, LARGE_BODY), (200, SMALL_BODY)]
    assert peer.rest() == b""


@BOTH
def test_a_request_in_pieces(peer: Peer) -> None:
    """A request that comes byte by byte is one request."""
    for byte in asking("small"):
        peer.send(bytes([byte]))
    assert peer.answer() == (200, SMALL_BODY)


# ---- Bodies of requests


@BOTH
def test_a_body_with_a_length(peer: Peer) -> None:
    """A body with a length that is larger than the buffers arrives, and the next request is not taken for a part of it."""
    peer.send(asking("echo", f"Content-Length: {MIB}", method="POST") + LARGE_BODY[:MIB] + asking("small"))
    assert peer.answer() == (200, LARGE_BODY[:MIB])
    assert peer.answer() == (200, SMALL_BODY)


@BOTH
def test_a_body_in_chunks(peer: Peer) -> None:
    """A body in chunks arrives without its chunks' sizes."""
    peer.send(asking("echo", "Transfer-Encoding: chunked", method="POST") + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
    assert peer.answer() == (200, b"hello world")


@BOTH
def test_expect(peer: Peer) -> None:
    """A client that waits for `100 Continue` gets it when the app reads the body."""
    peer.ask("echo", "Expect: 100-continue", "Content-Length: 5", method="POST")
    assert peer.head()[0] == 100
    peer.send(b"hello")
    assert peer.answer() == (200, b"hello")


@ONLY_OURS
def test_expect_of_a_client_that_is_refused(server: Server, peer: Peer) -> None:
    """No `100 Continue` comes behind a refusal, though the app, which does not know of it yet, wants the body."""
    peer.send(asking("echo", "Expect: 100-continue", "Transfer-Encoding: chunked", method="POST") + b"zz\r\n")
    assert peer.answer()[0] == 400
    assert peer.rest() == b""
    assert isinstance(server.app.end(), ClientGone)


# ---- HTTP/1.0, and unknown lengths


@BOTH
def test_http_1_0(peer: Peer) -> None:
    """HTTP/1.0 gets the length and the close."""
    peer.ask("small", version="1.0")
    assert peer.answer() == (200, SMALL_BODY)
    assert peer.rest() == b""


@BOTH
def test_an_unknown_length(peer: Peer) -> None:
    """A body whose length is not known comes in chunks."""
    peer.ask("chunked", "Connection: close")
    assert peer.head()[1]["transfer-encoding"] == "chunked"
    assert dechunked(peer.rest()) == LARGE_BODY[:MIB]


@uvicorn_fails("it sends chunks, which HTTP/1.0 does not know")
def test_an_unknown_length_over_http_1_0(peer: Peer) -> None:
    """HTTP/1.0 gets a body of unknown length up to the close."""
    peer.ask("chunked", version="1.0")
    peer.head()
    assert peer.rest() == LARGE_BODY[:MIB]


# ---- Clients that close, or say too much


@uvicorn_fails("it closes when the client has closed its side")
def test_a_half_closed_client(server: Server) -> None:
    """A client that closed its sending side gets all of its answer, then the close."""
    with Peer(server, buffer=4096) as peer:
        peer.ask("large")
        peer.socket.shutdown(socket.SHUT_WR)
        assert peer.answer() == (200, LARGE_BODY)
        assert peer.rest() == b""


@BOTH
def test_a_half_closed_idle_client(peer: Peer) -> None:
    """A client that closes its sending side between requests is closed."""
    peer.ask("small")
    assert peer.answer() == (200, SMALL_BODY)
    peer.socket.shutdown(socket.SHUT_WR)
    assert peer.rest() == b""


@BOTH
def test_garbage_instead_of_a_request(peer: Peer) -> None:
    """Garbage on an idle connection is a 400, and the connection closes."""
    peer.send(b"\x00garbage\r\n\r\n")
    assert peer.answer()[0] == 400
    assert peer.rest() == b""


@uvicorn_fails("it writes its 400 into the body")
def test_garbage_during_a_body(peer: Peer) -> None:
    """Garbage behind a request never cuts nor enters the answer under way; behind it the connection closes."""
    peer.ask("large")
    assert peer.head()[0] == 200
    peer.send(b"\x00garbage\r\n\r\n")
    assert peer.until_any_end() == (LARGE_BODY, False)


@uvicorn_fails("its `send` returns silently, and the app goes on for nobody")
def test_a_client_that_leaves(server: Server) -> None:
    """An app whose client has left hears of it from its next `send`."""
    with Peer(server, buffer=4096) as peer:
        peer.ask("large")
        peer.head()
        peer.reset()
    assert isinstance(server.app.end(), ClientGone)


@ONLY_OURS
def test_a_client_that_left_as_a_write_finds_out(server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """An app that ends because its client has left has not failed, though the connection has not heard of it yet."""
    has_left = threading.Event()

    async def ends_quietly(_app: App, _scope: Scope, _receive: Receive, send: Send) -> None:
        await start(send, LARGE)
        assert has_left.wait(PATIENCE)  # the loop stands still meanwhile
        with suppress(ClientGone):
            await stream(send, LARGE_BODY)

    monkeypatch.setitem(PAGES, "/ends_quietly", ends_quietly)
    with Peer(server) as peer:
        peer.ask("ends_quietly")
        assert peer.head()[0] == 200
        peer.reset()
        has_left.set()
    assert server.app.end() is None
    until(lambda: not server.server_state.tasks)
    assert "failed" not in caplog.text


@BOTH
def test_a_client_that_does_not_read(server: Server) -> None:
    """A client that does not read holds up its own app, and nobody else's."""
    with Peer(server, buffer=4096) as stuck, Peer(server) as other:
        stuck.ask("large")
        assert stuck.head()[0] == 200
        other.ask("large")
        assert other.answer() == (200, LARGE_BODY)
        assert server.app.end() is None
        assert server.app.sent < 2 * LARGE
        assert stuck.body(LARGE) == LARGE_BODY
        assert server.app.end() is None


# ---- Apps that fail


@BOTH
def test_an_app_that_fails_at_once(peer: Peer) -> None:
    """An app that fails before its answer is a 500."""
    peer.ask("fails_at_once")
    assert peer.answer()[0] == 500


@uvicorn_fails("it ends every failure with a clean close")
@pytest.mark.parametrize("page", ["fails_in_the_middle", "too_short"])
def test_an_app_that_fails_in_the_middle(peer: Peer, page: str) -> None:
    """A body that does not reach its announced end ends in a reset."""
    peer.ask(page)
    assert peer.head()[0] == 200
    received, was_reset = peer.until_any_end()
    assert received == LARGE_BODY[: len(received)]
    assert was_reset


# ---- The end of the server


@BOTH
def test_a_graceful_stop(server: Server) -> None:
    """A stop lets a running answer end, though its client reads slowly, and closes idle connections."""
    with Peer(server) as idle, Peer(server) as busy:
        idle.ask("small")
        assert idle.answer() == (200, SMALL_BODY)
        busy.ask("large")
        assert busy.head()[0] == 200
        server.stop()
        assert idle.rest() == b""
        assert busy.body(LARGE) == LARGE_BODY
        assert busy.rest() == b""


# ---- Zero-copy


@ONLY_OURS
def test_zero_copy_is_offered(server: Server, peer: Peer) -> None:
    """ASGI's zero-copy extension is in the scope."""
    peer.ask("small")
    peer.answer()
    assert ZERO_COPY in server.app.offered


@ONLY_OURS
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_file(peer: Peer, version: str) -> None:
    """A file arrives as it is, larger than all buffers."""
    peer.ask("file", "Connection: close", version=version)
    assert peer.answer() == (200, LARGE_BODY)
    assert peer.rest() == b""


@ONLY_OURS
def test_files_in_line(peer: Peer) -> None:
    """Files and other bodies follow each other on a connection, pipelined or not; HEAD gets the head alone."""
    peer.send(asking("file") + asking("small") + asking("file", method="HEAD") + asking("mixed"))
    assert peer.answer() == (200, LARGE_BODY)
    assert peer.answer() == (200, SMALL_BODY)
    assert peer.head()[1]["content-length"] == str(LARGE)
    assert peer.answer() == (200, LARGE_BODY[: 3 * MIB + 10])


@ONLY_OURS
def test_a_file_from_its_position(peer: Peer) -> None:
    """Without offset and count a file is sent from its position to its end."""
    peer.ask("from_position")
    assert peer.answer() == (200, LARGE_BODY[-10:])


@ONLY_OURS
def test_one_descriptor_for_many(server: Server) -> None:
    """Answers that share a descriptor at once, at different speeds, do not disturb each other nor its position."""
    server.app.file.seek(7)
    with Peer(server, buffer=4096) as slow, Peer(server) as middle, Peer(server) as fast:
        slow.ask("file")
        slow.head()
        middle.ask("file")
        middle.head()
        assert middle.body(MIB) == LARGE_BODY[:MIB]
        fast.ask("file")
        assert fast.answer() == (200, LARGE_BODY)
        assert middle.body(LARGE - MIB) == LARGE_BODY[MIB:]
        assert slow.body(LARGE) == LARGE_BODY
    assert server.app.file.tell() == 7


@ONLY_OURS
def test_a_half_closed_client_of_a_file(peer: Peer) -> None:
    """A client that closed its sending side gets the whole file."""
    peer.ask("file")
    peer.socket.shutdown(socket.SHUT_WR)
    assert peer.answer() == (200, LARGE_BODY)
    assert peer.rest() == b""


@ONLY_OURS
def test_garbage_during_a_file(server: Server) -> None:
    """Garbage behind the request for a file does not cut it, though the client reads slowly."""
    with Peer(server, buffer=4096) as peer:
        peer.ask("file")
        assert peer.head()[0] == 200
        peer.send(b"\x00garbage\r\n\r\n")
        assert peer.until_any_end() == (LARGE_BODY, False)
        assert server.app.end() is None


@ONLY_OURS
@pytest.mark.parametrize("then", [b"", asking("small")], ids=["alone", "pipelined"])
def test_a_client_of_a_file_that_leaves(server: Server, then: bytes) -> None:
    """An app hears at once that the client of its file has left, also when another request waits in line."""
    with Peer(server, buffer=4096) as peer:
        peer.send(asking("file") + then)
        assert peer.head()[0] == 200
        peer.reset()
        assert isinstance(server.app.end(), ClientGone)


@ONLY_OURS
@pytest.mark.parametrize("page", ["file_in_chunks", "file_too_long", "file_too_short"])
def test_a_file_that_does_not_fit(peer: Peer, page: str) -> None:
    """A part of a file in a chunked answer, beyond the Content-Length or beyond the file's end ends in a reset."""
    peer.ask(page)
    assert peer.head()[0] == 200
    received, was_reset = peer.until_any_end()
    assert received == LARGE_BODY[: len(received)]
    assert was_reset


@ONLY_OURS
def test_a_stop_past_its_grace(server: Server) -> None:
    """A file whose client does not read ends in a reset when the grace is over; the server does not hang."""
    server.config.timeout_graceful_shutdown = 1
    with Peer(server, buffer=4096) as peer:
        peer.ask("file")
        assert peer.head()[0] == 200
        server.stop()
        assert isinstance(server.app.end(), asyncio.CancelledError)
        assert peer.until_any_end()[1]


@ONLY_OURS
def test_a_file_that_is_not_in_memory(server: Server, peer: Peer) -> None:
    """A file that has to be read from the disk arrives as well."""
    descriptor = server.app.file.fileno()
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    peer.ask("file")
    assert peer.answer() == (200, LARGE_BODY)


@ONLY_OURS
def test_descriptors_are_closed(server: Server) -> None:
    """Answers leave no descriptor behind, whether they ended well or not."""
    with Peer(server) as peer:
        peer.ask("small")
        peer.answer()
        before = _descriptors()
        peer.ask("file")
        peer.answer()
        with Peer(server, buffer=4096) as gone:
            gone.ask("file")
            gone.head()
            gone.reset()
        assert [type(server.app.end()) for _ in range(3)] == [type(None), type(None), ClientGone]
        peer.ask("small")
        peer.answer()
        assert _descriptors() <= before


def _descriptors() -> set[str]:
    """What is open in this process, by names that do not come twice for a socket or pipe."""
    names = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            names.add(str(descriptor.readlink()))
    return names


@ONLY_OURS
def test_the_kernel_keeps_little_and_gives_up(server: Server, peer: Peer) -> None:
    """The kernel asks for more only when 128 KiB wait, and gives up a client that has read nothing for five minutes."""
    peer.ask("small")
    peer.answer()
    [connection] = server.server_state.connections
    tuned: Any = connection.transport.get_extra_info("socket")
    assert tuned.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == NOT_SENT_OF_FILES == 1024 * 1024
    assert tuned.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == SILENT_MILLISECONDS == 300_000


# ---- The part that waits


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected sockets that do not block."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        yield ours, theirs


async def test_a_connection_lost_while_the_disk_is_read(pair: tuple[socket.socket, socket.socket], large_file: Path) -> None:
    """Nothing is sent once the connection is lost: its descriptor may be another client's by then."""
    ours, theirs = pair
    with large_file.open("rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        part = sendfile.PartOfFile(ours, opened, 0, LARGE)
        sending = asyncio.ensure_future(part.send())
        await asyncio.sleep(0)
        part.give_up()
        with pytest.raises(ClientGone):
            await sending
    with suppress(BlockingIOError):
        assert theirs.recv(1) == b"", "bytes went to a lost connection"


async def test_a_cancelled_part(pair: tuple[socket.socket, socket.socket], large_file: Path) -> None:
    """A part that is cancelled while its client does not read ends at once."""
    with large_file.open("rb") as opened:
        sending = asyncio.ensure_future(sendfile.PartOfFile(pair[0], opened, 0, LARGE).send())
        while not await asyncio.get_running_loop().sock_recv(pair[1], 1):
            pass
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending


async def test_many_parts_share_a_turn(large_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The more clients there are, the less each gets at once, so that a turn of the loop stays short."""
    asked: list[int] = []

    def watched(out: int, file: int, offset: int, count: int) -> int:
        asked.append(count)
        return real(out, file, offset, count)

    real = os.sendfile
    monkeypatch.setattr(os, "sendfile", watched)
    pairs = [socket.socketpair() for _ in range(32)]
    with large_file.open("rb") as opened:
        opened.read()  # what is not in memory is sent by a thread, in its own measure
        for ours, theirs in pairs:
            ours.setblocking(False)
            theirs.setblocking(False)
        sending = [asyncio.ensure_future(sendfile.PartOfFile(ours, opened, 0, LARGE).send()) for ours, _ in pairs]
        for _, theirs in pairs:
            await asyncio.get_running_loop().sock_recv(theirs, MIB)
        assert asked[0] == sendfile.MOST
        assert 0 < asked[-1] <= sendfile.TURN // len(pairs)
        for each in sending:
            each.cancel()
        await asyncio.wait(sending)
    assert sendfile.PartOfFile.under_way == 0
    for pair in pairs:
        for end in pair:
            end.close()


async def test_a_turn_is_short(large_file: Path) -> None:
    """Those who begin together, as they do who follow a fill, get no more than a turn's bytes in it, and all get theirs."""
    pairs = [socket.socketpair() for _ in range(64)]
    for ours, theirs in pairs:
        ours.setblocking(False)
        theirs.setblocking(False)
    size = sendfile.TURN // 32
    with large_file.open("rb") as opened:
        opened.read()
        parts = [sendfile.PartOfFile(ours, opened, 0, size) for ours, _ in pairs]
        for part in parts:
            part.begin(lambda error: None)
        assert sum(part.sent for part in parts) <= sendfile.TURN + sendfile.MOST
        loop = asyncio.get_running_loop()
        for _, theirs in pairs:
            came = b""
            while len(came) < size:
                came += await loop.sock_recv(theirs, MIB)
            assert came == LARGE_BODY[:size]
    assert sendfile.PartOfFile.under_way == 0
    for pair in pairs:
        for end in pair:
            end.close()


async def test_everybody_has_a_turn(large_file: Path) -> None:
    """With more clients than one turn has shares for, all have some of it before anybody has all, however fast they read."""
    pairs = [socket.socketpair() for _ in range(300)]
    loop, size = asyncio.get_running_loop(), 16 * 64 * 1024
    with large_file.open("rb") as opened:
        opened.read()
        parts = [sendfile.PartOfFile(ours, opened, 0, size) for ours, _ in pairs]
        fewest, all_over = list[int](), asyncio.Event()

        def over(error: Exception | None) -> None:
            assert error is None
            fewest.append(min(part.sent for part in parts))
            if len(fewest) == len(parts):
                all_over.set()

        for (ours, theirs), part in zip(pairs, parts, strict=True):
            ours.setblocking(False)
            theirs.setblocking(False)
            loop.add_reader(theirs, theirs.recv, MIB)
            part.begin(over)
        await asyncio.wait_for(all_over.wait(), PATIENCE)
    assert fewest[0] > size // 2
    for ours, theirs in pairs:
        loop.remove_reader(theirs)
        ours.close()
        theirs.close()


@ONLY_OURS
def test_a_body_that_stops(server: Server, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends nothing more of the body that it announced is told so, and closed."""
    assert crowd.BODY_SECONDS == 75
    monkeypatch.setattr(crowd, "BODY_SECONDS", 0.3)
    peer.ask("echo", "Content-Length: 10", method="POST")
    peer.send(b"12345")
    status, fields = peer.head()
    assert (status, fields["connection"]) == (408, "close")
    assert isinstance(server.app.end(), ClientGone)
