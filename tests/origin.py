"""An HTTP/1.1 origin server that misbehaves on command.

The origin runs in its own thread on the loopback, so that synchronous and asynchronous tests use it alike:

    with Origin() as origin:
        origin.add("/set.tar", body(10_000), cut_after=1000, times=1)
        ...                                # fetch origin.url + "/set.tar"
        assert len(origin.gets("/set.tar")) == 2

By hand, `python -m tests.origin --port 9000 --rate 50M --dir DIR` serves the files of a folder.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import gzip
import itertools
import mmap
import random
import re
import signal
import socket
import string
import struct
import sys
import termios
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from email.utils import formatdate, mktime_tz, parsedate_tz
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote

MIB = 1 << 20
SLICE = 256 << 10
MAX_HEAD = 64 << 10
ERROR_PAGE = b"<!DOCTYPE html><html><body><h1>Something went wrong</h1></body></html>\n"


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """How a resource is served. The defaults are a good origin; sizes count body bytes on the wire, times are seconds."""

    # The nature of the origin: not limited by `times`, so that a cut transfer can be resumed at an origin without ranges.
    rate: float | None = None  # bytes per second of each connection
    ranges: bool = True
    if_range: bool = True  # without it a range is sent whatever If-Range says, as simple servers do
    refuse_head: int | None = None  # the status of every HEAD
    etag_per_connection: bool = False  # a balancer whose servers derive ETags from inodes
    chunked: bool = False
    close_delimited: bool = False
    # Faults: limited to the first `times` GETs when that is set, counted after the `spared` ones, which have none.
    times: int | None = None
    spared: int = 0
    latency: float = 0.0  # before the head
    cut_after: int | None = None  # bytes of this response, then FIN
    reset_after: int | None = None  # bytes of this response, then RST
    stall_after: int | None = None  # bytes of this response, then silence until either side closes
    flip_at: int | None = None  # offset in the whole representation, so a resume past it is right
    status: int | None = None
    status_body: bytes = b""
    retry_after: str | int | None = None
    html: bool = False
    gzip: Literal["encode"] | None = None
    content_encoding: str | None = None  # a label only: the body stays as it is
    redirect: str | None = None
    redirect_status: int = 302
    lie_length: int | None = None  # announced as Content-Length; the whole body follows, then FIN

    def without_faults(self) -> Behaviour:
        """What remains once the faults were served `times` times."""
        return Behaviour(**{name: getattr(self, name) for name in NATURE})

    def endings(self) -> Iterator[tuple[int, Ending]]:
        """The premature ends asked for, each with its position."""
        commanded = (self.cut_after, Connection.cut), (self.reset_after, Connection.reset), (self.stall_after, Connection.stall)
        return ((position, ending) for position, ending in commanded if position is not None)


NATURE = ("rate", "ranges", "if_range", "refuse_head", "etag_per_connection", "chunked", "close_delimited")
FIELDS = frozenset(each.name for each in fields(Behaviour))


@dataclass(frozen=True)
class Request:
    """A request as received; header names are in lower case, `time` is monotonic seconds at the end of the head."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    time: float
    connection_id: int

    def header(self, name: str) -> str | None:
        """The first value of a header field, or None."""
        return next((value for key, value in self.headers if key == name.lower()), None)

    @property
    def range(self) -> str | None:
        """The Range field as sent."""
        return self.header("range")


Source = bytes | Path | Callable[[Request], bytes]


@dataclass(frozen=True)
class Resource:
    """A representation with its metadata; a callable body is called, in the origin's thread, for every request."""

    body: Source
    etag: str | None = '"v1"'
    last_modified: str | None = None
    content_type: str = "application/octet-stream"
    headers: Mapping[str, str] | None = None
    behaviour: Behaviour = Behaviour()

    def content(self, request: Request) -> memoryview:
        """The bytes on the wire, before range selection and without copying a body in memory or in a file."""
        plain = _mapped(self.body) if isinstance(self.body, Path) else self.body if isinstance(self.body, bytes) else self.body(request)
        return memoryview(gzip.compress(plain, 1, mtime=0) if self.behaviour.gzip else plain)


@dataclass
class Response:
    """A status and its content; `first` is the offset of the content in the representation."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    content: memoryview = field(default_factory=lambda: memoryview(b""))
    first: int = 0


@lru_cache(maxsize=4)
def body(size: int, seed: int = 0) -> bytes:
    """`size` deterministic bytes that look random; every MiB differs from the others and from those of other seeds."""
    block = random.Random(seed).randbytes(MIB - 8)
    whole, rest = divmod(size, MIB)
    parts = [part for number in range(whole) for part in (number.to_bytes(8, "big"), block)]
    return b"".join([*parts, (whole.to_bytes(8, "big") + block)[:rest]])


def normalised(target: str) -> str:
    """The request target with unreserved octets decoded and other escapes in upper case (RFC 3986, section 6.2.2)."""

    def octet(match: re.Match[str]) -> str:
        character = chr(int(match[1], 16))
        return character if character in string.ascii_letters + string.digits + "-._~" else match[0].upper()

    return re.sub("%([0-9A-Fa-f]{2})", octet, target)


def _matches(path: str, target: str) -> bool:
    """Whether a recorded target belongs to `path`; the query counts only when `path` has one."""
    wanted, seen = normalised(path), normalised(target)
    return seen == wanted or ("?" not in wanted and seen.partition("?")[0] == wanted)


def _mapped(path: Path) -> bytes | mmap.mmap:
    with path.open("rb") as file:
        # An empty file cannot be mapped.
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b""


# ---- From a request to a response


def respond(request: Request, resource: Resource | None) -> Response:
    """The response that the resource's behaviour commands."""
    if request.method not in ("GET", "HEAD"):
        return Response(405, {"Allow": "GET, HEAD"})
    if resource is None:
        return Response(404)
    response = _commanded(request, resource.behaviour) or _representation(request, resource)
    extra = resource.headers or {}
    replaced = {name.lower() for name in extra}
    response.headers = {name: value for name, value in response.headers.items() if name.lower() not in replaced} | dict(extra)
    return response


def _commanded(request: Request, behaviour: Behaviour) -> Response | None:
    """The answer that takes the place of the representation, if one was commanded."""
    if request.method == "HEAD" and behaviour.refuse_head:
        return Response(behaviour.refuse_head)
    if behaviour.status:
        retry = {} if behaviour.retry_after is None else {"Retry-After": str(behaviour.retry_after)}
        return Response(behaviour.status, {"Content-Type": "text/plain"} | retry, memoryview(behaviour.status_body))
    if behaviour.redirect is not None:
        return Response(behaviour.redirect_status, {"Location": behaviour.redirect})
    if behaviour.html:
        return Response(200, {"Content-Type": "text/html; charset=utf-8"}, memoryview(ERROR_PAGE))
    return None


def _representation(request: Request, resource: Resource) -> Response:
    etag = f'"connection-{request.connection_id}"' if resource.behaviour.etag_per_connection else resource.etag
    validators = {"ETag": etag, "Last-Modified": resource.last_modified}
    headers = {name: value for name, value in validators.items() if value is not None}
    if _not_modified(request, etag, resource.last_modified):
        return Response(304, headers)
    headers |= _content_headers(resource)
    content = resource.content(request)
    span = _selected(request, resource, etag, len(content))
    if span is None:
        return Response(200, headers, content)
    if not span:
        return Response(416, {"Content-Range": f"bytes */{len(content)}"})
    headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{len(content)}"
    return Response(206, headers, content[span.start : span.stop], span.start)


def _content_headers(resource: Resource) -> dict[str, str]:
    headers = {"Content-Type": resource.content_type}
    if resource.behaviour.ranges:
        headers["Accept-Ranges"] = "bytes"
    if coding := (resource.behaviour.gzip and "gzip") or resource.behaviour.content_encoding:
        headers["Content-Encoding"] = coding
    return headers


def _not_modified(request: Request, etag: str | None, last_modified: str | None) -> bool:
    """If-None-Match decides by weak comparison; If-Modified-Since counts only in its absence (RFC 9110, section 13.2.2)."""
    if (known := request.header("if-none-match")) is not None:
        tags = [tag.strip().removeprefix("W/") for tag in known.split(",")]
        return known.strip() == "*" or (etag is not None and etag.removeprefix("W/") in tags)
    since, modified = _seconds(request.header("if-modified-since")), _seconds(last_modified)
    return since is not None and modified is not None and modified <= since


def _selected(request: Request, resource: Resource, etag: str | None, length: int) -> range | None:
    """The positions to send as 206 (416 when empty), or None for the whole representation."""
    if request.method != "GET" or request.range is None or not resource.behaviour.ranges:
        return None
    condition = request.header("if-range") if resource.behaviour.if_range else None
    if condition is not None and not _same(condition, etag, resource.last_modified):
        return None
    return _span(request.range, length)


def _same(condition: str, etag: str | None, last_modified: str | None) -> bool:
    """Whether an If-Range validator is the current one, by strong comparison."""
    if condition.startswith(('"', "W/")):
        return condition == etag and not condition.startswith("W/")
    date = _seconds(condition)
    return date is not None and date == _seconds(last_modified)


def _span(value: str, length: int) -> range | None:
    """The positions of a single range, empty when unsatisfiable; None when the field is to be ignored."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", value.strip(), re.IGNORECASE)
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        return range(max(0, length - int(match[2])), length)
    if match[2] and int(match[2]) < int(match[1]):
        return None
    return range(int(match[1]), min(int(match[2]) + 1, length) if match[2] else length)


def _seconds(date: str | None) -> int | None:
    parsed = parsedate_tz(date) if date else None
    return None if parsed is None else mktime_tz(parsed)


# ---- On the wire


class Connection:
    """One accepted socket, closed by the server once the conversation on it ends."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.sock = sock
        self.number = number
        self._loop = asyncio.get_running_loop()
        self._received = b""
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def receive(self) -> Request | None:
        """The next request, its content discarded; None when the client is done or does not speak HTTP."""
        while b"\r\n\r\n" not in self._received:
            if len(self._received) > MAX_HEAD or not await self._more():
                return None
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        line, *rest = head.decode("latin-1").split("\r\n")
        words = line.split(" ")
        if len(words) != 3:
            return None
        split = (each.partition(":") for each in rest)
        headers = tuple((name.lower(), value.strip()) for name, _, value in split)
        request = Request(words[0], words[1], headers, time.monotonic(), self.number)
        length = request.header("content-length") or "0"
        await self._discard(int(length) if length.isdecimal() else 0)
        return request

    async def send(self, data: bytes | bytearray | memoryview) -> None:
        await self._loop.sock_sendall(self.sock, data)

    async def cut(self) -> None:
        """Nothing more to do: the close that follows sends the FIN."""

    async def stall(self) -> None:
        """Say nothing until the client closes."""
        while await self._more():
            self._received = b""

    async def reset(self) -> None:
        """Make the coming close an RST; what was sent before is delivered first, for an RST discards the send queue."""
        for _ in range(2500):  # 5 s at most, for a client that does not read
            if not any(fcntl.ioctl(self.sock, termios.TIOCOUTQ, bytes(4))):
                break
            # The kernel has no event for an empty send queue.
            await asyncio.sleep(0.002)
        _close_with_rst(self.sock)

    async def _more(self) -> bool:
        data = await self._loop.sock_recv(self.sock, MAX_HEAD)
        self._received += data
        return bool(data)

    async def _discard(self, size: int) -> None:
        # Unread bytes would turn the FIN of a close into an RST.
        while len(self._received) < size and await self._more():
            pass
        self._received = self._received[size:]


def _close_with_rst(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


Ending = Callable[[Connection], Awaitable[None]]


class Pacer:
    """Spreads bytes evenly over time; a late sender may not catch up more than 50 ms."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._due = time.monotonic()
        self.slice = SLICE if rate is None else min(SLICE, max(1, int(rate * 0.008)))

    async def spend(self, size: int) -> None:
        now = time.monotonic()
        if self._rate is not None:
            self._due = max(self._due, now - 0.05) + size / self._rate
        # Even an unlimited sender yields, so that one connection does not starve the others.
        await asyncio.sleep(max(0.0, self._due - now))


def _head(response: Response, behaviour: Behaviour, closing: bool) -> bytes:
    """The status line and header section, framing included."""
    headers = {"Date": formatdate(usegmt=True)} | ({"Connection": "close"} if closing else {})
    if response.status in (204, 304) or behaviour.close_delimited:
        pass
    elif behaviour.chunked:
        headers["Transfer-Encoding"] = "chunked"
    else:
        headers["Content-Length"] = str(len(response.content) if behaviour.lie_length is None else behaviour.lie_length)
    given = {name.lower() for name in response.headers}
    headers = {name: value for name, value in headers.items() if name.lower() not in given} | response.headers
    phrase = HTTPStatus(response.status).phrase if response.status in set(HTTPStatus) else "Unknown"
    lines = [f"HTTP/1.1 {response.status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _pieces(response: Response, end: int, size: int, flip_at: int | None) -> Iterator[memoryview | bytearray]:
    """Views of the content up to `end`; only the piece with the flipped byte is a copy."""
    flip = -1 if flip_at is None else flip_at - response.first
    for start in range(0, end, size):
        piece: memoryview | bytearray = response.content[start : min(start + size, end)]
        if start <= flip < start + len(piece):
            piece = bytearray(piece)
            piece[flip - start] ^= 0xFF
        yield piece


async def _send_content(connection: Connection, response: Response, behaviour: Behaviour, record: Callable[[int], None]) -> bool:
    """Send the content, telling `record` the size of each piece; False when it ended prematurely, as commanded."""
    end, ending = min(behaviour.endings(), key=lambda each: each[0], default=(len(response.content) + 1, Connection.cut))
    pacer = Pacer(behaviour.rate)
    for piece in _pieces(response, min(end, len(response.content)), pacer.slice, behaviour.flip_at):
        # Before it is sent: a client that has read everything finds everything counted.
        record(len(piece))
        if behaviour.chunked:
            await connection.send(b"%x\r\n" % len(piece))
        await connection.send(piece)
        if behaviour.chunked:
            await connection.send(b"\r\n")
        await pacer.spend(len(piece))
    if end <= len(response.content):
        await ending(connection)
        return False
    if behaviour.chunked:
        await connection.send(b"0\r\n\r\n")
    return True


# ---- The server


class Origin:
    """The server with its resources and records; every method and property may be used from any thread.

    `refuse` is the one fault of the server rather than of a resource: while true, connections are accepted and reset at once.
    """

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.refuse = False
        self._resources: dict[str, Resource] = {}
        self._gets: Counter[str] = Counter()  # of each resource since its behaviour was last set, for `times`
        self._numbers = itertools.count(1)
        self._conversations: set[asyncio.Task[None]] = set()  # one for each open connection
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._cancel: Callable[[], object] = bool
        self.clear()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen; after a stop, on the same port as before."""
        if self._thread is not None:
            raise RuntimeError("the origin is running")
        listener = socket.create_server(("127.0.0.1", self.port), backlog=1024)
        self.port = listener.getsockname()[1]
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(listener, ready), name="origin")
        self._thread.start()
        ready.wait()

    def stop(self) -> None:
        """Close the listener and every connection at once, whatever state they are in; no effect when stopped."""
        if self._thread is not None:
            self._cancel()
            self._thread.join()
            self._thread = None

    def interrupt(self) -> None:
        """Close every connection at once, as `stop` does, and listen all the while."""
        with self._changed:
            conversations = set(self._conversations)
        for conversation in conversations:
            conversation.get_loop().call_soon_threadsafe(conversation.cancel)
        self.wait_for(lambda: self._conversations.isdisjoint(conversations))

    # -- Resources

    def add(
        self,
        path: str,
        body: Source,
        *,
        etag: str | None = '"v1"',
        last_modified: str | None = None,
        content_type: str = "application/octet-stream",
        headers: Mapping[str, str] | None = None,
        **behaviour: Any,
    ) -> None:
        """Serve `body` at `path`; `headers` replace those of any response; the other arguments are fields of Behaviour.

        A query in `path` must be in the request too; without one, the query of the request is ignored.
        """
        resource = Resource(body, etag, last_modified, content_type, headers, Behaviour(**behaviour))
        with self._changed:
            self._resources[normalised(path)] = resource
            self._gets[normalised(path)] = 0

    def change(self, path: str, **changes: Any) -> None:
        """Replace the named arguments of `add` from the next request on; a changed behaviour counts `times` afresh."""
        key = normalised(path)
        behaviour = {name: changes.pop(name) for name in FIELDS & changes.keys()}
        with self._changed:
            resource = self._resources[key]
            self._resources[key] = replace(resource, **changes, behaviour=replace(resource.behaviour, **behaviour))
            if behaviour:
                self._gets[key] = 0

    # -- Records

    def clear(self) -> None:
        """Forget requests, bytes and past connections; open connections stay counted in `open_connections`."""
        with self._changed:
            self._requests: list[Request] = []
            self._bytes: Counter[str] = Counter()
            self._accepted = 0

    @property
    def requests(self) -> list[Request]:
        """A snapshot of the requests, in order of arrival."""
        with self._changed:
            return list(self._requests)

    def gets(self, path: str) -> list[Request]:
        return [each for each in self.requests if each.method == "GET" and _matches(path, each.target)]

    def heads(self, path: str) -> list[Request]:
        return [each for each in self.requests if each.method == "HEAD" and _matches(path, each.target)]

    @property
    def bytes_sent(self) -> int:
        """Body bytes sent: never fewer than clients have read, but those in kernel buffers and in a piece under way count too."""
        with self._changed:
            return self._bytes.total()

    def bytes_sent_for(self, path: str) -> int:
        with self._changed:
            return sum(size for target, size in self._bytes.items() if _matches(path, target))

    @property
    def connections(self) -> int:
        """Connections accepted, those reset by `refuse` included."""
        with self._changed:
            return self._accepted

    @property
    def open_connections(self) -> int:
        with self._changed:
            return len(self._conversations)

    def wait_for(self, predicate: Callable[[], object], timeout: float = 60) -> None:
        """Block until `predicate`, evaluated whenever a record changes, is true; TimeoutError after `timeout` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: bool(predicate()), timeout):
                raise TimeoutError(f"not so within {timeout} s")

    # -- In the origin's thread

    def _run(self, listener: socket.socket, ready: threading.Event) -> None:
        with listener, suppress(asyncio.CancelledError):
            asyncio.run(self._serve(listener, ready))

    async def _serve(self, listener: socket.socket, ready: threading.Event) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        listener.setblocking(False)
        # A bug in a connection takes the server down, so that the test sees it.
        async with asyncio.TaskGroup() as group:
            # A reader callback rather than sock_accept: cancelling that may lose a socket just accepted.
            loop.add_reader(listener, self._accept, listener, group)
            ready.set()
            try:
                await loop.create_future()
            finally:
                loop.remove_reader(listener)
                listener.close()

    def _accept(self, listener: socket.socket, group: asyncio.TaskGroup) -> None:
        with suppress(BlockingIOError, ConnectionError):
            sock, _ = listener.accept()
            conversation = group.create_task(self._converse(sock))
            with self._changed:
                self._accepted += 1
                self._conversations.add(conversation)
                self._changed.notify_all()
            # A callback rather than `finally`: a task cancelled before its first step runs no code of its own.
            conversation.add_done_callback(lambda done: self._closed(sock, done))

    def _closed(self, sock: socket.socket, conversation: asyncio.Task[None]) -> None:
        sock.close()
        with self._changed:
            self._conversations.remove(conversation)
            self._changed.notify_all()

    async def _converse(self, sock: socket.socket) -> None:
        if self.refuse:
            _close_with_rst(sock)
            return
        connection = Connection(sock, next(self._numbers))
        with suppress(ConnectionError):
            while (request := await connection.receive()) and await self._answer(connection, request):
                pass

    async def _answer(self, connection: Connection, request: Request) -> bool:
        """Answer one request; False when the connection is to be closed."""
        resource = self._record(request)
        behaviour = resource.behaviour if resource else Behaviour()
        await asyncio.sleep(behaviour.latency)
        response = respond(request, resource)
        closing = behaviour.close_delimited or (request.header("connection") or "").lower() == "close"
        await connection.send(_head(response, behaviour, closing))
        if request.method == "HEAD" or response.status in (204, 304):
            return not closing
        complete = await _send_content(connection, response, behaviour, lambda size: self._record_bytes(request, size))
        return complete and not closing and behaviour.lie_length is None

    def _record(self, request: Request) -> Resource | None:
        """Record the request and find its resource, without faults when these were served `times` times."""
        target = normalised(request.target)
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()
            key = target if target in self._resources else target.partition("?")[0]
            if (resource := self._resources.get(key)) is None:
                return None
            number, times = self._gets[key] - resource.behaviour.spared, resource.behaviour.times
            if number < 0 or (times is not None and number >= times):
                resource = replace(resource, behaviour=resource.behaviour.without_faults())
            self._gets[key] += request.method == "GET"
            return resource

    def _record_bytes(self, request: Request, size: int) -> None:
        with self._changed:
            self._bytes[request.target] += size
            self._changed.notify_all()


# ---- By hand


def _quantity(text: str) -> int:
    """A number of bytes: digits with an optional decimal suffix K, M or G."""
    match = re.fullmatch(r"(\d+)([KMG]?)", text, re.IGNORECASE)
    if match is None:
        raise argparse.ArgumentTypeError(f"not a number of bytes: {text!r}")
    return int(match[1]) * {"": 1, "K": 1_000, "M": 1_000_000, "G": 1_000_000_000}[match[2].upper()]


def _add_folder(origin: Origin, folder: Path, rate: int | None) -> None:
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        stat = path.stat()
        origin.add(
            quote("/" + path.relative_to(folder).as_posix()),
            path,
            etag=f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"',
            last_modified=formatdate(int(stat.st_mtime), usegmt=True),
            rate=rate,
        )


def main() -> None:
    """Serve the files that a folder holds at the start, until interrupted or terminated."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.origin",
        description="Serve the files of a folder on the loopback, over HTTP/1.1 with ranges and validators.",
        epilog="example: python -m tests.origin --port 9000 --rate 50M --dir archives",
    )
    parser.add_argument("--port", type=int, default=0, help="TCP port (default: a free one, which is printed)")
    parser.add_argument("--rate", type=_quantity, help="bytes per second of each connection, as 500K, 50M or 1G (default: unlimited)")
    parser.add_argument(
        "--dir", type=Path, default=Path(), help="folder to serve; a file's relative path is its URL (default: the current one)"
    )
    options = parser.parse_args()
    # Blocked before the origin's thread starts, which inherits the mask: the signal is then left to sigwait.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    with Origin(options.port) as origin:
        _add_folder(origin, options.dir, options.rate)
        sys.stdout.write(f"serving {options.dir} at {origin.url}\n")
        sys.stdout.flush()
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main()
