"""A thread with an event loop of its own, so that a database that falls silent holds up nobody else."""

import asyncio
import logging
from collections.abc import Coroutine
from concurrent.futures import Future
from threading import Thread
from typing import Any, TypeVar

log = logging.getLogger(__name__)
T = TypeVar("T")


class OwnThread:
    """Runs coroutines beside the mirror's own loop."""

    def __init__(self, name: str) -> None:
        """Nothing runs before `start`."""
        self.loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Begins it; from any thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    async def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Its result, for whichever loop waits for it."""
        return await asyncio.wrap_future(self.submit(work))

    def close(self) -> None:
        """Ends it, once nothing runs in it any more."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
