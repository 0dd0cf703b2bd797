"""A thread with an event loop of its own, so that a database that falls silent holds up nobody else."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")

_LAST_SECONDS = 1.0


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
        if left := asyncio.all_tasks(self.loop):  # statements that were cut off learn of it
            self.loop.run_until_complete(asyncio.wait(left, timeout=_LAST_SECONDS))
        self.loop.close()


async def beside(work: Callable[[], T]) -> T:
    """Runs blocking work in a thread that does not keep the process from ending: an upload may take longer than anybody waits."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(how: Callable[[], None]) -> None:
        if not done.done():
            how()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            failure = error
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(tell, lambda: done.set_exception(failure))
        else:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(tell, lambda: done.set_result(result))

    Thread(target=run, name="bucket", daemon=True).start()
    return await done
