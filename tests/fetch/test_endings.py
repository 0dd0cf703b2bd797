"""How fills end that do not end well: their readers hear of it, and nothing is left of them."""

from __future__ import annotations

import asyncio
import gzip
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import pytest

from dataset_mirror.errors import Cancelled, DigestMismatch, MirrorError, NotForKeeping
from dataset_mirror.fetch.edition import Edition
from dataset_mirror.fetch.fill import Fill
from dataset_mirror.mirror import Mirror, running
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.settings import load
from dataset_mirror.store.space import Fixed
from dataset_mirror.store.store import Store
from tests.origin import Origin, body
from tests.serving import HOST, PATIENCE, URL

PATH = "/sets/a.bin"
DATA = body(1_000_000)
LARGE, STALL = 80_000_000, 72_000_000


@asynccontextmanager
async def mirroring(origin: Origin, data: Path, **settings: object) -> AsyncIterator[Mirror]:
    """A mirror of `origin` in this process."""
    known: dict[str, object] = {
        "data": data,
        "presets": [],
        "origins": [{"url": URL, "paths": ["/sets/"]}],
        "upstreams": {HOST: [origin.url]},
    }
    with closing(Store(data)) as store:
        async with running(load(flags=known | settings), store) as mirror:
            yield mirror


async def asked(mirror: Mirror) -> Fill:
    """The fill of PATH."""
    fill = await mirror.find(mirror.asked(ArchiveId(HOST, PATH)))
    assert isinstance(fill, Fill)
    return fill


async def received(fill: Fill, size: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while fill.received < size:
            await fill.grown()


async def failed(fill: Fill) -> MirrorError:
    async with asyncio.timeout(PATIENCE):
        await fill.ended()
    assert fill.error is not None
    return fill.error


def cancelled() -> Cancelled:
    return Cancelled("It was cancelled.", "Ask again.")


def files_of_fills(data: Path) -> list[str]:
    """Partial files below `data` that this process has open."""
    found = []
    for link in Path("/proc/self/fd").iterdir() if sys.platform == "linux" else ():
        with suppress(FileNotFoundError):
            found.append(str(link.readlink()))
    return [target for target in found if target.startswith(f"{data}/partial/")]


async def test_a_file_that_cannot_be_removed(origin: Origin, tmp_path: Path) -> None:
    """Readers of a fill whose file cannot even be removed hear how it ended, and the next request begins another one."""
    origin.add(PATH, DATA, stall_after=500_000)
    async with mirroring(origin, tmp_path) as mirror:
        fill = await asked(mirror)
        await received(fill, 500_000)
        partial, aside = tmp_path / "partial", tmp_path / "aside"
        partial.rename(aside)
        partial.touch()
        fill.cancel(cancelled())
        assert isinstance(await failed(fill), Cancelled)
        partial.unlink()
        aside.rename(partial)
        origin.change(PATH, stall_after=None)
        async with asyncio.timeout(PATIENCE):
            await (again := await asked(mirror)).ended()
        assert again.record is not None


async def test_of_a_cancelled_download_nothing_stays(origin: Origin, tmp_path: Path) -> None:
    """A large download that somebody cancels frees its room at once, though one that the mirror's end cuts off waits for the next start."""
    origin.add(PATH, body(LARGE), stall_after=STALL)
    async with mirroring(origin, tmp_path) as mirror:
        fill = await asked(mirror)
        await received(fill, STALL)
        fill.cancel(cancelled())
        assert isinstance(await failed(fill), Cancelled)
        assert list((tmp_path / "partial").iterdir()) == []


async def test_a_download_that_is_cancelled_as_it_begins(origin: Origin, tmp_path: Path) -> None:
    """It ends, whenever it is cancelled: nothing is fetched."""
    origin.add(PATH, DATA)
    async with mirroring(origin, tmp_path) as mirror:
        fill = mirror.fill(mirror.asked(ArchiveId(HOST, PATH)))
        mirror.flights.cancel(fill.job.archive, cancelled())
        assert isinstance(await failed(fill), Cancelled)
    assert origin.gets(PATH) == []


async def test_decoded_bytes_that_are_not_right(origin: Origin, tmp_path: Path) -> None:
    """Neither what came nor what it was decoded to stays, on the disk or open, if it is not what the catalog expects."""
    origin.add(PATH, gzip.compress(DATA), content_encoding="gzip")
    async with mirroring(origin, tmp_path, archives=[{"url": URL + PATH, "sha256": "0" * 64}]) as mirror:
        assert isinstance(await failed(await asked(mirror)), DigestMismatch)
        assert list((tmp_path / "partial").iterdir()) == []
        assert files_of_fills(tmp_path) == []


async def test_a_download_that_is_cancelled_while_it_is_decoded(origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written any more when it has ended: its room is free, and its files are gone."""
    origin.add(PATH, gzip.compress(DATA), content_encoding="gzip")
    step, begun = asyncio.Event(), asyncio.Event()
    async with mirroring(origin, tmp_path) as mirror:
        fill = await asked(mirror)
        more = fill._intake.more_room

        async def slowly(edition: Edition, size: int) -> None:
            begun.set()
            await step.wait()
            await more(edition, size)

        monkeypatch.setattr(fill._intake, "more_room", slowly)
        await begun.wait()
        fill.cancel(cancelled())
        assert isinstance(await failed(fill), Cancelled)
        step.set()
        assert (mirror.store.space.promised, files_of_fills(tmp_path), list((tmp_path / "partial").iterdir())) == (0, [], [])


async def test_what_becomes_one_clients_meanwhile(origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer for one client only is not kept either when the download had to start over for it."""
    monkeypatch.setattr("dataset_mirror.fetch.retry.random.uniform", lambda *_: 0.0)
    rule = {"match": "/{set}/{name}", "scope": "{set}", "gated": True}
    origin.add(PATH, DATA, etag=None, stall_after=500_000)
    async with mirroring(origin, tmp_path, origins=[{"url": URL, "paths": ["/sets/"], "rules": [rule]}]) as mirror:
        fill = await asked(mirror)
        await received(fill, 500_000)
        origin.change(PATH, headers={"Cache-Control": "private"}, stall_after=None)
        await asyncio.to_thread(origin.interrupt)
        assert isinstance(await failed(fill), NotForKeeping)


async def test_who_has_read_is_forgotten(origin: Origin, tmp_path: Path) -> None:
    """A mirror that answers for years remembers nothing of blobs that nobody reads any more."""
    origin.add(PATH, DATA)
    async with mirroring(origin, tmp_path) as mirror:
        async with asyncio.timeout(PATIENCE):
            await (fill := await asked(mirror)).ended()
        hit = mirror.hit(fill.job.archive)
        assert hit is not None
        with mirror.read(hit):
            assert dict(mirror.reading) == {hit.record.sha256: 1}
        assert dict(mirror.reading) == {}


async def test_starting_over_needs_no_more_room(origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an abandoned edition had is free for the next one."""
    monkeypatch.setattr("dataset_mirror.fetch.retry.random.uniform", lambda *_: 0.0)
    origin.add(PATH, DATA, etag=None, cut_after=500_000, times=1)
    async with mirroring(origin, tmp_path) as mirror:
        mirror.store.space.limits = lambda: Fixed(max_size=1_500_000)
        fill = await asked(mirror)
        async with asyncio.timeout(PATIENCE):
            await fill.ended()
        assert (fill.error, len(origin.gets(PATH))) == (None, 2)


@pytest.mark.parametrize("name", ["Content-Length", "X-Size"])
async def test_a_size_beyond_measure(origin: Origin, tmp_path: Path, name: str) -> None:
    """An origin that tells of more bytes than there can be says nothing sensible: no error inside the mirror."""
    rule = {"match": "/sets/*", "claims": {"size": "X-Size"}}
    origin.add(PATH, DATA, headers={name: "9" * 5000})
    async with mirroring(origin, tmp_path, origins=[{"url": URL, "paths": ["/sets/"], "rules": [rule]}]) as mirror:
        fill = await asked(mirror)
        async with asyncio.timeout(PATIENCE):
            await fill.ended()
        assert fill.error is None or "bug" not in fill.error.hint
