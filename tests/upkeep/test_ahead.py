"""The loop that looks after what is pinned, while one of its works takes long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from dataset_mirror.mirror import running
from dataset_mirror.origins.identity import parse_url
from dataset_mirror.settings import load
from dataset_mirror.store.store import Store
from dataset_mirror.upkeep import ahead
from dataset_mirror.upkeep.ahead import Ahead
from dataset_mirror.upkeep.verify import Verified
from tests.origin import Origin, body
from tests.serving import HOST, URL
from tests.waiting import until


async def test_while_pinned_bytes_are_read(origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To read what is pinned again may take hours: what is missing comes all the same, and nothing is read twice at once."""
    begun: list[str] = []

    async def endless(*_: object, **__: object) -> AsyncIterator[Verified]:
        begun.append("")
        await asyncio.Event().wait()
        yield Verified("", "good")

    monkeypatch.setattr(ahead, "verify", endless)
    monkeypatch.setattr(ahead, "EVERY", 0.01)
    monkeypatch.setattr(ahead, "READ_AGAIN", 0.0)
    origin.add("/sets/a.bin", body(3000))
    known = {"data": tmp_path, "presets": [], "origins": [{"url": URL, "paths": ["/sets/"]}], "upstreams": {HOST: [origin.url]}}
    with closing(Store(tmp_path)) as store:
        store.pins.add([f"{URL}/sets/none.bin"])
        async with running(load(flags=known), store) as mirror:
            looking = asyncio.create_task(Ahead(mirror).run())
            await asyncio.to_thread(until, lambda: begun)
            store.pins.add([f"{URL}/sets/a.bin"])
            await asyncio.to_thread(until, lambda: store.find(parse_url(f"{URL}/sets/a.bin")), patience=10)
            looking.cancel()
            await asyncio.wait([looking])
    assert begun == [""]
