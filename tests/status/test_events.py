"""`/status/events`: what happens, as it happens."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dataset_mirror.main import open_mirror
from dataset_mirror.mirror import Mirror as Inside
from dataset_mirror.settings import load
from dataset_mirror.status import events
from dataset_mirror.status.events import Events
from dataset_mirror.status.events import Viewer as Waiting
from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, PATIENCE, URL, Mirror
from tests.status.streams import Viewer


@pytest.fixture(scope="module")
def shared(start_shared_mirror: StartMirror) -> Mirror:
    """A mirror for all tests here."""
    return start_shared_mirror()


def test_the_beginning(shared: Mirror) -> None:
    """Who comes is told at once how things are: downloads, answers, traffic and health."""
    with Viewer(shared) as viewer:
        assert viewer.response.headers["content-type"].startswith("text/event-stream")
        seen = {event[0] for event in (viewer.next() for _ in range(4)) if event}
    assert seen == {"fills", "answers", "traffic", "health"}


def test_a_download(shared: Mirror, shared_origin: Origin) -> None:
    """A download and the answer that follows it are told of while they are under way, and the change that came of it."""
    shared_origin.add("/sets/slow.bin", body(400_000), rate=150_000)
    with Viewer(shared) as viewer, Viewer(shared) as client:
        client._connection.close()
        client._connection.request("GET", f"/{HOST}/sets/slow.bin")
        fills, answers, added, is_over = list[Any](), list[Any](), "", False
        while not (added and is_over):  # which of them is told first is open
            kind, told = viewer.next() or ("end", {})
            assert kind != "end"
            is_over = is_over or (kind == "fills" and bool(fills) and not told["fills"])
            fills, answers = fills or told.get("fills", []), answers or told.get("answers", [])
            added = told["what"] if kind == "change" else added
        (answer,) = answers
    assert fills[0]["url"] == added == f"{URL}/sets/slow.bin"
    assert (answer["url"], answer["client"], answer["outcome"]) == (f"{URL}/sets/slow.bin", "127.0.0.0/24", "miss")


def test_what_was_missed(shared: Mirror, shared_origin: Origin) -> None:
    """Who comes again and says what came last gets the failures and changes since; if nobody knows them any more, it is told."""
    with Viewer(shared) as viewer:
        shared.archive("/sets/none-1.bin")
        viewer.until("failure", url=f"{URL}/sets/none-1.bin")
        last = viewer.last
        shared.archive("/sets/none-2.bin")
        viewer.until("failure", url=f"{URL}/sets/none-2.bin")
    with Viewer(shared, last) as again:
        assert again.until("failure")["url"] == f"{URL}/sets/none-2.bin"
    for unknown in ("0badc0de-7", "nonsense"):
        with Viewer(shared, unknown) as other:
            assert other.next() == ("reset", {})


def test_the_end(start_shared_mirror: StartMirror) -> None:
    """The stream ends, whole, as soon as the mirror is stopped, and holds up nothing."""
    mirror = start_shared_mirror(grace=20)
    with Viewer(mirror) as viewer:
        viewer.until("health")
        mirror.signal(signal.SIGTERM)
        while viewer.next():
            pass
        mirror.ended()
    assert "Traceback" not in mirror.log


async def test_a_slow_viewer() -> None:
    """Of states the latest waits alone; of what happened once as much as is bounded, and then the viewer is let go."""
    viewer = Waiting()
    for number in range(events.MOST_WAITING):
        viewer.tell("traffic", b"t%d;" % number)
        viewer.tell("failure", b"f%d;" % number)
    assert not viewer.is_over
    part = await anext(viewer.parts())
    assert part.startswith(b"f0;f1;")
    assert part.endswith(b"f%d;t%d;" % (events.MOST_WAITING - 1, events.MOST_WAITING - 1))
    for _ in range(events.MOST_WAITING + 1):
        viewer.tell("change", b"c;")
    assert viewer.is_over


@pytest.fixture
async def inside(tmp_path: Path) -> AsyncIterator[Inside]:
    """A mirror in this process."""
    mirror = open_mirror(load(None, {"data": tmp_path / "data"}))
    yield mirror
    mirror.store.close()


async def heard(stream: AsyncGenerator[bytes], words: bytes) -> bytes:
    """What a stream tells until it has said these words."""
    told = b""
    async with asyncio.timeout(PATIENCE):
        while words not in told:
            told += await anext(stream)
    return told


@contextlib.asynccontextmanager
async def looking(told: Events) -> AsyncIterator[None]:
    """While it looks for what is new."""
    task = asyncio.create_task(told.look_for_ever())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_nothing_falls_between(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens while somebody comes again is told to him once, however many come at the same moment."""
    monkeypatch.setattr(events, "TICK", 0.01)
    told = Events(inside)
    async with looking(told):
        last = await number_of(told, "first", inside)
    inside.store.changes.note("reloaded", "second")
    known = await asyncio.gather(*(heard(told.follow(last), b"event: health") for _ in range(3)))
    assert [one.count(b"second") for one in known] == [1, 1, 1]


async def test_more_was_missed_than_is_told(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who missed more than may wait for a viewer is told so, and not let go again and again."""
    monkeypatch.setattr(events, "TICK", 0.01)
    told = Events(inside)
    async with looking(told):
        last = await number_of(told, "first", inside)
        for number in range(events.MOST_WAITING + 1):
            inside.store.changes.note("reloaded", f"missed {number}")
        await number_of(told, "latest", inside)
        assert b"event: reset" in await heard(told.follow(last), b"event: health")


async def number_of(told: Events, what: str, inside: Inside) -> str:
    """The number under which a new change is told to somebody who is there."""
    stream = told.follow(None)
    await heard(stream, b"event: health")
    inside.store.changes.note("reloaded", what)
    _, _, rest = (await heard(stream, what.encode())).decode().rpartition("id: ")
    await stream.aclose()
    return rest.partition("\n")[0]


async def test_who_comes_at_the_end(inside: Inside) -> None:
    """Who comes when the mirror is stopping already holds up nothing."""
    told = Events(inside)
    told.end()
    async with asyncio.timeout(PATIENCE):
        assert [part async for part in told.follow(None)]


async def test_an_index_that_fails_for_a_while(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the index fails with, all else is told, and changes are told again when it works again."""
    monkeypatch.setattr(events, "TICK", 0.01)
    monkeypatch.setattr(events, "QUIET", 0.0)
    told = Events(inside)
    async with looking(told):
        stream = told.follow(None)
        await heard(stream, b"event: health")
        with contextlib.closing(sqlite3.connect(inside.store.folder.index, isolation_level=None)) as index:
            index.execute("ALTER TABLE changes RENAME TO gone")
            inside.store.changes.note("reloaded", "meanwhile")
            for _ in range(3):
                await heard(stream, b"event: traffic")
            index.execute("ALTER TABLE gone RENAME TO changes")
        assert b"event: change" in await heard(stream, b"meanwhile")
