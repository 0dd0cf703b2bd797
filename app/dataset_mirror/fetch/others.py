"""The other processes of a mirror, which answer hits (`serve --workers`). One process alone has none."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from dataset_mirror.settings import Configuration


class Others(Protocol):
    """What the process that fills asks of them."""

    async def gather(self) -> None:
        """Counts here what they have counted by now."""

    def reads(self, sha256: str) -> bool:
        """Whether one of them sent this blob to somebody when it was last heard of."""

    def at_one_moment(self, fresh: Configuration) -> AbstractAsyncContextManager[None]:
        """Inside, none of them answers anything; at its end all have this configuration."""

    async def end(self) -> None:
        """Ends those that are still there, and counts the last of what they have counted."""


class Nobody:
    """There are no others."""

    async def gather(self) -> None: ...

    def reads(self, sha256: str) -> bool:
        return False

    @asynccontextmanager
    async def at_one_moment(self, fresh: Configuration) -> AsyncIterator[None]:
        yield

    async def end(self) -> None: ...
