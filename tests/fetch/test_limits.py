"""Places for fills: who waits for one gets it, however slowly others bring their bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path

import pytest

from dataset_mirror.fetch.fill import Fill
from dataset_mirror.fetch.limits import Limits
from dataset_mirror.fetch.pace import Pace
from dataset_mirror.fetch.source import OriginSource
from dataset_mirror.mirror import Mirror, running
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.settings import load
from dataset_mirror.status.metrics import exposition
from dataset_mirror.status.state import fills_of
from dataset_mirror.store.store import Store
from dataset_mirror.upkeep.fetching import fetch
from tests.origin import Origin, body
from tests.serving import PATIENCE

HOSTS = ("one.example.org", "two.example.org", "three.example.org")
DATA = body(100_000)
DRIP = 2_000
"""Bytes per second."""


@pytest.fixture(autouse=True)
def _looked_at_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes seconds takes tenths of them."""
    monkeypatch.setattr("dataset_mirror.fetch.limits.PATIENCE", 0.3)
    monkeypatch.setattr("dataset_mirror.fetch.limits.LOOK_SECONDS", 0.02)


@asynccontextmanager
async def mirroring(origin: Origin, data: Path, **settings: object) -> AsyncIterator[Mirror]:
    """A mirror in this process for which `origin` stands for all HOSTS, with two connections each."""
    origins = [{"url": f"https://{host}", "paths": ["/sets/"], "connections": 2} for host in HOSTS]
    known: dict[str, object] = {"data": data, "presets": [], "origins": origins, "upstreams": {host: [origin.url] for host in HOSTS}}
    with closing(Store(data)) as store:
        async with running(load(flags=known | settings), store) as mirror:
            yield mirror


async def asked(mirror: Mirror, host: str, name: str) -> Fill:
    found = await mirror.find(mirror.asked(ArchiveId(host, f"/sets/{name}")))
    assert isinstance(found, Fill)
    return found


async def dripping(origin: Origin, mirror: Mirror, *hosts: str) -> list[Fill]:
    """Fills that take all places, and bring next to nothing."""
    for number in range(len(hosts)):
        origin.add(f"/sets/drip-{number}.bin", DATA, rate=DRIP)
    return [await asked(mirror, host, f"drip-{number}.bin") for number, host in enumerate(hosts)]


async def stored(fill: Fill) -> bool:
    async with asyncio.timeout(PATIENCE):
        await fill.ended()
    return fill.record is not None


async def scraped(mirror: Mirror) -> str:
    """What /metrics says."""
    return (await exposition(mirror)).decode()


async def test_downloads_that_drip_do_not_hold_up_their_origin(origin: Origin, tmp_path: Path) -> None:
    """Two that drip take both places of an origin: a third one gets one of them, and the two go on. One is told to be slow."""
    origin.add("/sets/good.bin", DATA)
    async with mirroring(origin, tmp_path) as mirror:
        slow = await dripping(origin, mirror, HOSTS[0], HOSTS[0])
        assert "\ndataset_mirror_fills_slow 0.0\n" in await scraped(mirror)
        assert await stored(await asked(mirror, HOSTS[0], "good.bin"))
        assert not any(fill.over for fill in slow)
        assert sorted((status.slow, status.waiting) for status in fills_of(mirror)) == [(False, False), (True, False)]
        assert "\ndataset_mirror_fills_slow 1.0\n" in await scraped(mirror)


async def test_downloads_that_drip_do_not_hold_up_other_origins(origin: Origin, tmp_path: Path) -> None:
    """Those that take all places of the mirror give one to a fill of another origin; with a `slow_rate` of 0 they would not."""
    origin.add("/sets/good.bin", DATA)
    async with mirroring(origin, tmp_path, max_fills=4) as mirror:
        await dripping(origin, mirror, *HOSTS[:2], *HOSTS[:2])
        assert await stored(await asked(mirror, HOSTS[2], "good.bin"))
        assert sum(status.slow for status in fills_of(mirror)) == 1


async def test_a_list_is_fetched_past_downloads_that_drip(origin: Origin, tmp_path: Path) -> None:
    """Of a list of archives all that their origin sends are fetched while others of the same list drip."""
    names = [f"good-{number}.bin" for number in range(6)]
    for name in names:
        origin.add(f"/sets/{name}", DATA)
    async with mirroring(origin, tmp_path) as mirror, asyncio.timeout(PATIENCE):
        await dripping(origin, mirror, HOSTS[0], HOSTS[0])
        listed = [ArchiveId(HOSTS[0], f"/sets/{name}") for name in ("drip-0.bin", "drip-1.bin", *names)]
        fetched: set[str] = set()
        async for progress in fetch(mirror, listed):
            if progress.state == "fetched":
                fetched.add(progress.url.rpartition("/")[2])
            if len(fetched) == len(names):
                break
        assert fetched == set(names)


async def test_a_place_is_given_up_once(origin: Origin, tmp_path: Path) -> None:
    """As long as nobody waits the slow keep their places; one that gave up its place does not free another when it ends."""
    async with mirroring(origin, tmp_path, max_fills=1) as mirror:
        limits, archives = Limits(1, lambda: DRIP), [ArchiveId(host, "/sets/a.bin") for host in HOSTS]
        sources = [OriginSource(mirror.upstream, mirror.origins.of(archive), archive) for archive in archives]
        async with AsyncExitStack() as others:
            async with limits.one_fill(sources[0], Pace()) as first:
                await asyncio.sleep(0.35)
                assert not first.is_beside
                async with asyncio.timeout(PATIENCE):
                    second = await others.enter_async_context(limits.one_fill(sources[1], Pace()))
                assert first.is_beside
                assert not second.is_beside
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1), limits.one_fill(sources[2], Pace()):
                    pass
