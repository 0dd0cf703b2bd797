"""Origins that begin an answer and never come to it."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest

from dataset_mirror.fetch import opening
from tests.fetch.asking import asking
from tests.serving import PATIENCE

HINT = b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"
Serve = Callable[[socket.socket], None]


@pytest.fixture
def serving() -> Iterator[Callable[[Serve], str]]:
    """Starts a server that does that with each connection, once its request is there; its URL."""
    with ExitStack() as ends:

        def start(serve: Serve) -> str:
            listening = ends.enter_context(socket.create_server(("127.0.0.1", 0)))

            def accept() -> None:
                with suppress(OSError):
                    while True:
                        connection, _ = listening.accept()
                        threading.Thread(target=talk, args=(connection,), daemon=True).start()

            def talk(connection: socket.socket) -> None:
                with connection, suppress(OSError):
                    connection.recv(65536)
                    serve(connection)

            threading.Thread(target=accept, daemon=True).start()
            return f"http://127.0.0.1:{listening.getsockname()[1]}"

        yield start


@pytest.fixture(autouse=True)
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One try is enough to see what it makes of it."""
    monkeypatch.setattr(opening, "TRIES", 1)


def _drip(content: bytes) -> Serve:
    def serve(connection: socket.socket) -> None:
        while True:
            connection.sendall(content)
            time.sleep(0.1)

    return serve


@pytest.mark.parametrize(
    "content", [b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"], ids=["103", "100"]
)
async def test_interim_answers_do_not_stop_the_clock(serving: Callable[[Serve], str], content: bytes) -> None:
    """An origin that sends interim answers for ever is given up when silence would be."""
    async with asyncio.timeout(PATIENCE), asking(serving(_drip(content)), idle_timeout=0.5) as ours:
        assert (await ours.refusal()).status == 504


async def test_a_head_that_drips(serving: Callable[[Serve], str]) -> None:
    """A head that comes byte by byte has as long as silence may last."""
    async with asyncio.timeout(PATIENCE), asking(serving(_drip(b"H")), idle_timeout=0.5) as ours:
        assert (await ours.refusal()).status in (502, 504)


async def test_a_flood_of_interim_answers(serving: Callable[[Serve], str]) -> None:
    """Interim answers as fast as they go are cut off long before the clock does it."""

    def flood(connection: socket.socket) -> None:
        while True:
            connection.sendall(HINT * 1000)

    async with asyncio.timeout(PATIENCE), asking(serving(flood), idle_timeout=2 * PATIENCE) as ours:
        error = await ours.refusal()
    assert (error.status, "interim" in error.detail) == (502, True)


async def test_a_few_interim_answers_are_fine(serving: Callable[[Serve], str]) -> None:
    """Early hints before an answer are no reason to refuse it."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(HINT * 5)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole")

    async with asking(serving(serve)) as ours:
        assert await ours.read() == b"whole"
