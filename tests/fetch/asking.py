"""An upstream of HOST and a CDN, asked in this process, as a fill asks it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from dataset_mirror.errors import MirrorError
from dataset_mirror.fetch.opening import first_reply
from dataset_mirror.fetch.source import OriginSource
from dataset_mirror.fetch.upstream import Upstream
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.origins.model import Origin
from dataset_mirror.settings import load
from tests.serving import HOST, URL

PATH = "/sets/a.bin"
CDN = "cdn.example.org"


class Asking:
    """Asks for archives of HOST, which may redirect to CDN."""

    def __init__(self, bases: list[str], **settings: Any) -> None:
        origin = {"url": URL, "paths": ["/sets/"], "redirects_to": [CDN]}
        known: dict[str, Any] = {"data": "/nowhere", "presets": [], "origins": [origin], "upstreams": {HOST: bases}}
        self._flags = known | settings
        self._configuration = load(flags=self._flags)
        self.upstream = Upstream(self._configuration)

    def take_up(self) -> None:
        """The configuration is read again."""
        self._configuration.take_up(load(flags=self._flags))

    def archive(self, path: str = PATH) -> tuple[Origin, ArchiveId]:
        """The archive, and its origin before it."""
        archive = ArchiveId(HOST, path)
        return self._configuration.origins.of(archive), archive

    async def read(self, path: str = PATH) -> bytes:
        """The archive's bytes."""
        reply = await first_reply(OriginSource(self.upstream, *self.archive(path)))
        try:
            return b"".join([chunk async for chunk in reply.bytes()])
        finally:
            await reply.close()

    async def refusal(self, path: str = PATH) -> MirrorError:
        """The error that clients get."""
        with pytest.raises(MirrorError) as raised:
            await self.read(path)
        return raised.value


@asynccontextmanager
async def asking(*bases: str, **settings: Any) -> AsyncIterator[Asking]:
    """Asks these upstreams of HOST in order."""
    ours = Asking(list(bases), **settings)
    try:
        yield ours
    finally:
        await ours.upstream.close()
