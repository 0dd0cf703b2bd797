"""Connecting to hosts with several addresses, of which some are dead."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from dataset_mirror.fetch import opening, upstream
from dataset_mirror.fetch.network import connecting, names
from dataset_mirror.fetch.network.connecting import connected, in_turn
from tests.fetch.asking import PATH, asking
from tests.origin import Origin, body
from tests.ports import free_port
from tests.serving import PATIENCE

DATA = body(1000)
_numbers = count(2)


@pytest.fixture
def dead() -> Iterator[Dead]:
    with ExitStack() as ends:
        yield Dead(ends)


class Dead:
    """Addresses that take no connection and say nothing: their queue is full."""

    def __init__(self, ends: ExitStack) -> None:
        self._ends = ends

    def at(self, port: int) -> str:
        """One of the loopback, for this port."""
        address = f"127.0.0.{next(_numbers)}"
        listening = self._ends.enter_context(socket.socket())
        listening.bind((address, port))
        listening.listen(0)
        for _ in range(2):
            client = self._ends.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex((address, port))
        return address


def test_families_take_turns() -> None:
    """The family of the first address begins, then they alternate (RFC 8305 4)."""
    assert in_turn(["a:1", "a:2", "a:3", "1.1", "1.2"]) == ["a:1", "1.1", "a:2", "1.2", "a:3"]
    assert in_turn(["1.1", "1.2", "a:1"]) == ["1.1", "a:1", "1.2"]


async def test_a_dead_address_costs_a_fraction_of_a_second(origin: Origin, dead: Dead, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two addresses that say nothing before one that answers: each costs a quarter of a second, not the time for connecting."""
    monkeypatch.setattr(upstream, "CONNECT_TIMEOUT", 2 * PATIENCE)
    monkeypatch.setattr(opening, "SECONDS", 2 * PATIENCE)
    origin.add(PATH, DATA)
    _resolve(monkeypatch, [dead.at(origin.port), dead.at(origin.port), "127.0.0.1"])
    began = time.monotonic()
    async with asyncio.timeout(PATIENCE), asking(f"http://several.example.org:{origin.port}", idle_timeout=2 * PATIENCE) as ours:
        assert await ours.read() == DATA
    assert time.monotonic() - began >= 0.5


async def test_a_refusal_is_no_wait(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that refuses hands over to the next one at once."""
    monkeypatch.setattr(connecting, "APART", 2 * PATIENCE)
    origin.add(PATH, DATA)
    _resolve(monkeypatch, ["127.0.0.250", "127.0.0.251", "127.0.0.252", "127.0.0.253", "127.0.0.1"])
    async with asyncio.timeout(PATIENCE), asking(f"http://several.example.org:{origin.port}") as ours:
        assert await ours.read() == DATA


async def test_all_addresses_are_checked_before_any_is_asked(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    """One private address among public ones is enough to ask none of them."""
    tried: list[object] = []
    _resolve(monkeypatch, ["8.8.8.8", "127.0.0.1"])
    monkeypatch.setattr("dataset_mirror.fetch.network.backend.connected", lambda *given: tried.append(given))
    async with asking(f"http://127.0.0.1:{origin.port}", upstreams={}) as ours:
        assert (await ours.refusal()).status == 403
    assert not tried


async def test_cancellation_leaves_no_socket(dead: Dead) -> None:
    """Who gives up while several addresses are tried leaves no descriptor behind."""
    port = free_port()
    addresses = [dead.at(port) for _ in range(3)]
    before = _descriptors()
    task = asyncio.create_task(connected(addresses, port))
    await asyncio.sleep(0.4)  # until the second one is under way
    assert _descriptors() > before
    task.cancel()
    await asyncio.wait([task])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert _descriptors() == before


async def test_only_one_connection_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where several addresses answer in the same moment, the first is used and the others are closed."""
    monkeypatch.setattr("dataset_mirror.fetch.network.connecting.APART", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        before = _descriptors()
        with await connected(["127.0.0.1"] * 4, listening.getsockname()[1]):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert _descriptors() == before + 1


async def test_the_time_of_all_tries_holds_as_a_whole(dead: Dead, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three tries at two upstreams with three dead addresses would take 3 s; the time for all of them, here 1.5 s, ends them before."""
    monkeypatch.setattr(opening, "SECONDS", 1.5)
    monkeypatch.setattr(upstream, "CONNECT_TIMEOUT", 0.5)
    port = free_port()
    tried = _resolve(monkeypatch, [dead.at(port) for _ in range(3)])
    async with asking(f"http://one.example.org:{port}", f"http://two.example.org:{port}") as ours:
        assert (await ours.refusal()).status == 504
    assert len(tried) <= 4


async def test_a_silent_upstream_leaves_the_next_its_share(origin: Origin, dead: Dead, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upstream that takes no connection does not use up the time of the one after it."""
    monkeypatch.setattr(opening, "SECONDS", 2.0)
    origin.add(PATH, DATA)
    async with asking(f"http://{dead.at(port := free_port())}:{port}", origin.url) as ours:
        assert await ours.read() == DATA


async def test_tls_counts_as_connecting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that takes connections but never shakes hands is unreachable after the time for connecting, not for silence."""
    monkeypatch.setattr(opening, "TRIES", 1)
    monkeypatch.setattr(upstream, "CONNECT_TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"https://127.0.0.1:{listening.getsockname()[1]}"
        async with asyncio.timeout(PATIENCE), asking(url, idle_timeout=2 * PATIENCE) as ours:
            assert (await ours.refusal()).status == 504


def _resolve(monkeypatch: pytest.MonkeyPatch, addresses: list[str]) -> list[str]:
    """Every name has these addresses; the names that are asked for."""
    asked: list[str] = []

    def ask(name: str) -> list[str]:
        asked.append(name)
        return addresses

    monkeypatch.setattr(names, "_ask", ask)
    return asked


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
