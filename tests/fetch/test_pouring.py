"""Bodies that go past httpcore into a file: their connections serve again, and none is taken for whole that is not."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpcore
import pytest

from dataset_mirror.fetch.network import steps
from dataset_mirror.fetch.network.backend import Backend
from dataset_mirror.fetch.network.spare import Spare
from dataset_mirror.fetch.network.stream import Stream
from dataset_mirror.fetch.pieces import Plan
from dataset_mirror.store.intervals import Intervals
from tests.conftest import StartMirror
from tests.origin import MIB, Origin, body
from tests.serving import Mirror

DATA = body(3 * MIB)


@pytest.fixture(scope="module")
def shared(start_shared_mirror: StartMirror) -> Mirror:
    return start_shared_mirror()


def test_a_connection_serves_again(shared: Mirror, shared_origin: Origin) -> None:
    """Archives that are fetched one after the other come over one connection."""
    before = shared_origin.connections
    for number in range(4):
        shared_origin.add(f"/sets/again-{number}.bin", DATA)
        assert shared.archive(f"/sets/again-{number}.bin").body == DATA
    assert shared_origin.connections - before <= 1


def test_a_connection_that_is_to_close_does_not_serve_again(shared: Mirror, shared_origin: Origin) -> None:
    """After an answer with `Connection: close` the next archive comes over another connection."""
    for number in range(2):
        path = f"/sets/close-{number}.bin"
        shared_origin.add(path, DATA, headers={"Connection": "close"})
        assert shared.archive(path).body == DATA
    first, second = (shared_origin.gets(f"/sets/close-{number}.bin")[0].connection_id for number in range(2))
    assert first != second


@asynccontextmanager
async def connected(spare: Spare | None = None) -> AsyncIterator[tuple[Stream, socket.socket]]:
    """Our end of a connection, and the other."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        stream = await Backend(lambda _: True, spare).connect_tcp("127.0.0.1", listening.getsockname()[1])
        assert isinstance(stream, Stream)
        other, _ = listening.accept()
        with other:
            yield stream, other
        stream.close()


async def test_a_spare_connection_that_was_closed_is_not_given() -> None:
    """One that its server closed, or on which it said something that nobody asked for, is closed; an idle one is given once."""
    spare, place = Spare(), ("127.0.0.1", 80)
    async with connected() as (stream, _):
        spare.keep(place, stream)
        assert spare.take(("127.0.0.1", 81)) is None
        assert spare.take(place) is stream
        assert spare.take(place) is None
    async with connected() as (stream, other):
        spare.keep(place, stream)
        other.sendall(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        assert steps.is_readable(stream.get_extra_info("socket"), 5000)
        assert spare.take(place) is None


async def test_who_is_cancelled_waits_for_the_step() -> None:
    """A step that writes to a file is over before its caller is, who closes the file; however often that one is cancelled."""
    began, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def step() -> None:
        began.set()
        may_end.wait(10)
        ended.set()

    caller = asyncio.create_task(steps.beside(step))
    await asyncio.to_thread(began.wait, 10)
    for _ in range(3):
        caller.cancel()
        await asyncio.sleep(0.01)
    assert not caller.done()
    may_end.set()
    with suppress(asyncio.CancelledError):
        await caller
    assert ended.is_set()
    assert caller.cancelled()


async def test_what_came_before_a_reset_counts() -> None:
    """Bytes that were there before the reset are written, and only then it is told."""
    async with connected() as (stream, other):
        other.sendall(DATA[:100_000])
        other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        got: list[bytes] = []
        while sum(map(len, got)) < 100_000:
            await stream.pour(lambda part: got.append(bytes(part)), MIB, 5)
        other.close()
        with pytest.raises(httpcore.ReadError):
            await stream.pour(lambda part: got.append(bytes(part)), MIB, 5)
        assert b"".join(got) == DATA[:100_000]


async def test_silence_while_pouring() -> None:
    """A connection that brings nothing for as long as silence may last is told as silent."""
    async with connected() as (stream, _):
        with pytest.raises(httpcore.ReadTimeout):
            await stream.pour(lambda _: None, MIB, 0.05)


async def test_errors_of_the_disk_are_told_as_they_are(tmp_path: Path) -> None:
    """What goes wrong with writing is no fault of the connection."""
    file = os.open(tmp_path / "read-only", os.O_RDONLY | os.O_CREAT)
    async with connected() as (stream, other):
        other.sendall(DATA[:100_000])
        with pytest.raises(OSError, match="Bad file descriptor"):
            await stream.pour(lambda part: os.pwrite(file, part, 0), MIB, 5)
    os.close(file)


def test_nobody_else_takes_what_is_being_written() -> None:
    """While a connection writes a step beside the loop, others get pieces behind it; and it stops before theirs."""
    have = Intervals()
    plan = Plan(64 * MIB, have)
    first = plan.run_on(0, 0.0)
    assert plan.clear(first, MIB) == MIB
    other = plan.take(10.0)
    assert other is not None
    assert other.at >= MIB
    plan.advance(first, other.at - 1000, 10.0)
    assert plan.clear(first, MIB) == 1000
    have.add(first.at, first.at + 1)
    assert plan.clear(first, MIB) == 0
