"""Clients as they come: right ones, impatient ones, slow ones, broken ones. Each tells what it got."""

from __future__ import annotations

import random
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

from tests.faults.reading import Heard, answers, hear
from tests.faults.truth import Answer, Archive, Verdict, judge

Result = tuple[Archive | None, Verdict, str]
PAGES = ("/", "/status", "/status/archives", "/metrics", "/healthz", "/readyz", "/openapi.json", "/status/wanted")


@dataclass
class Client:
    """One client: what it does is decided by its random numbers alone."""

    port: int
    archives: list[Archive]
    random: random.Random
    tls: bool = True
    """Whether the end of a body in TLS may be believed: not that of a process that is killed."""

    def results(self) -> list[tuple[str, Result]]:
        """What it does, with each verdict."""
        kind = self.random.choices(list(KINDS), [weight for weight, _ in KINDS.values()])[0]
        try:
            return [(kind, result) for result in KINDS[kind][1](self)]
        except OSError as error:  # the mirror is away, or has no connection to give
            return [(kind, (None, "cut", f"{error}"))]

    def pick(self) -> Archive:
        return self.random.choice(self.archives)

    def connected(self, buffer: int | None = None) -> closing[socket.socket]:
        connection = socket.socket()
        if buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        connection.settimeout(30)
        try:
            connection.connect(("127.0.0.1", self.port))
        except OSError:
            connection.close()
            raise
        return closing(connection)

    def asking(self, archive: Archive, *fields: str, method: str = "GET", version: str = "1.1", close: bool = True) -> bytes:
        """A request in one of the forms that name an archive."""
        path = f"/{archive.host}{archive.path}"
        target, host = self.random.choice(
            [(path, "127.0.0.1"), (archive.path, archive.host), (f"http://{archive.host}{archive.path}", archive.host)]
        )
        last = ("Connection: close",) if close else ()
        return "\r\n".join([f"{method} {target} HTTP/{version}", f"Host: {host}", *fields, *last, "", ""]).encode()


def told(heard: Heard, asked: list[tuple[Archive, str]]) -> Iterator[Result]:
    """The verdict on each answer that was asked for."""
    found = answers(heard, [method for _, method in asked])
    for (archive, method), answer in zip(asked, found, strict=False):
        if heard.how == "silence" and not answer.over:
            yield archive, "hung", "no end came"
        else:
            yield archive, *judge(answer, archive, method)
    for archive, _ in asked[len(found) :]:
        yield archive, "hung" if heard.how == "silence" else "cut", "no answer came"


def whole(client: Client, archive: Archive | None = None, *fields: str) -> Iterator[Result]:
    """Asks once and reads to the end."""
    archive = archive or client.pick()
    version = client.random.choice(["1.0", "1.1"])
    with client.connected() as connection:
        connection.sendall(client.asking(archive, *fields, version=version))
        yield from told(hear(connection), [(archive, "GET")])


def part(client: Client, archive: Archive | None = None) -> Iterator[Result]:
    """A range, sometimes on a condition."""
    archive = archive or client.pick()
    first = client.random.randrange(archive.size)
    last = client.random.randrange(first, archive.size)
    span = client.random.choice([f"{first}-{last}", f"{first}-", f"-{last - first + 1}", f"{archive.size + 10}-", f"{first}-{last},0-1"])
    condition = client.random.choice([(), (f"If-Range: {client.random.choice(archive.tags)}",)])
    yield from whole(client, archive, f"Range: bytes={span}", *condition)


def conditional(client: Client) -> Iterator[Result]:
    """A client that has something already."""
    archive = client.pick()
    tag = client.random.choice(archive.tags)
    yield from whole(client, archive, client.random.choice([f"If-None-Match: {tag}", "If-Modified-Since: Mon, 04 Mar 2024 10:00:00 GMT"]))


def head(client: Client) -> Iterator[Result]:
    """Only the head."""
    archive = client.pick()
    with client.connected() as connection:
        connection.sendall(client.asking(archive, method="HEAD"))
        yield from told(hear(connection), [(archive, "HEAD")])


def half_closed(client: Client) -> Iterator[Result]:
    """Sends no more, and reads on."""
    archive = client.pick()
    with client.connected() as connection:
        connection.sendall(client.asking(archive))
        connection.shutdown(socket.SHUT_WR)
        yield from told(hear(connection), [(archive, "GET")])


def slow(client: Client) -> Iterator[Result]:
    """Reads a little at a time, with little room for what arrives."""
    archive = client.pick()
    with client.connected(4096) as connection:
        connection.sendall(client.asking(archive))
        step = max(1024, archive.size // 40)
        yield from told(hear(connection, step=step, pauses=40), [(archive, "GET")])


def kept_alive(client: Client) -> Iterator[Result]:
    """Several requests at once on a connection; all answers come in their order."""
    asked = [client.pick() for _ in range(client.random.randrange(2, 5))]
    methods = [client.random.choice(["GET", "GET", "HEAD"]) for _ in asked]
    with client.connected() as connection:
        last = len(asked) - 1
        connection.sendall(
            b"".join(client.asking(one, method=methods[n], close=n == last) for n, one in enumerate(asked)),
        )
        yield from told(hear(connection), list(zip(asked, methods, strict=True)))


def garbage_behind(client: Client) -> Iterator[Result]:
    """What is no request behind a right one: the answer to the right one is whole."""
    archive = client.pick()
    with client.connected() as connection:
        connection.sendall(client.asking(archive, close=False) + client.random.choice([b"\x00\x01garbage\r\n\r\n", b"GET\r\n\r\n"]))
        yield from told(hear(connection), [(archive, "GET"), (archive, "GET")])


def leaving(client: Client) -> Iterator[Result]:
    """Goes before the end: nobody is hurt by it."""
    archive = client.pick()
    with client.connected() as connection:
        connection.sendall(client.asking(archive))
        hear(connection, most=client.random.choice([0, 1, 1000, archive.size // 2]), step=1000)
        if client.random.random() < 0.5:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    yield archive, "fine", ""


def garbage(client: Client) -> Iterator[Result]:
    """Bytes that are no request: a status of 400 or more, or nothing."""
    made = [
        client.random.randbytes(client.random.randrange(1, 3000)),
        b"GET / HTTP/1.1\r\n" + b"A: " + b"x" * 70_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n",
        b"POST /api/fetch HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
    ]
    with client.connected() as connection:
        connection.sendall(client.random.choice(made))
        connection.shutdown(socket.SHUT_WR)
        heard = hear(connection)
    found = answers(heard, ["GET"])
    if heard.how == "silence":
        yield None, "hung", "no end came"
    elif found and found[0].status < 400:
        yield None, "wrong", f"garbage was answered with {found[0].status}"
    else:
        yield None, "refused", ""


def silent(client: Client) -> Iterator[Result]:
    """Says nothing, or half a head, and waits to be closed."""
    with client.connected() as connection:
        connection.sendall(client.random.choice([b"", b"GET /hea", b"GET / HTTP/1.1\r\nHost: a\r\n", b"\r\n"]))
        yield None, "hung" if hear(connection).how == "silence" else "refused", "nobody closed it"


def page(client: Client) -> Iterator[Result]:
    """A page, which has to come whole whatever else happens."""
    with client.connected() as connection:
        path = client.random.choice(PAGES)
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        heard = hear(connection)
    found = answers(heard, ["GET"])
    if heard.how == "silence":
        yield None, "hung", f"no end of {path} came"
    elif not found:
        yield None, "cut", f"no answer to {path}"
    else:
        yield None, *_page(found[0], path)


def _page(answer: Answer, path: str) -> tuple[Verdict, str]:
    length = answer.fields.get("content-length")
    if answer.over and length and int(length) != len(answer.body):
        return "wrong", f"a short page {path}"
    if answer.status == 500:
        return "wrong", f"500 for {path}: {answer.body[:300]!r}"
    return ("fine" if answer.status == 200 else "refused"), f"{answer.status} for {path}"


def secured(client: Client) -> Iterator[Result]:
    """By CONNECT and TLS, and believes every end."""
    if not client.tls:
        return
    archive = client.pick()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with client.connected() as plain:
        plain.sendall(f"CONNECT {archive.host}:443 HTTP/1.1\r\nHost: {archive.host}:443\r\n\r\n".encode())
        while not (said := plain.recv(1 << 16)).endswith(b"\r\n\r\n") and said:
            pass
        with context.wrap_socket(plain, server_hostname=archive.host) as connection:
            request = f"GET {archive.path} HTTP/1.1\r\nHost: {archive.host}\r\nConnection: close\r\n\r\n"
            connection.sendall(request.encode())
            yield from told(hear(connection), [(archive, "GET")])


KINDS: dict[str, tuple[int, Callable[[Client], Iterator[Result]]]] = {
    "whole": (8, whole),
    "range": (5, part),
    "conditional": (2, conditional),
    "HEAD": (1, head),
    "half-closed": (2, half_closed),
    "slow": (2, slow),
    "pipelined": (3, kept_alive),
    "garbage behind": (1, garbage_behind),
    "leaves": (4, leaving),
    "garbage": (1, garbage),
    "silent": (1, silent),
    "page": (2, page),
    "TLS": (2, secured),
}
