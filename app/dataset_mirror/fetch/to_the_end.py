"""Waiting for what uses something that whoever waits is about to give up, such as a file."""

import asyncio
from collections.abc import Iterable
from typing import Any


async def to_the_end(running: Iterable[asyncio.Future[Any]]) -> None:
    """Returns when all of them have ended, well or not; whoever is cancelled meanwhile waits on, and is cancelled then."""
    cancelled: asyncio.CancelledError | None = None
    while left := [one for one in running if not one.done()]:
        try:
            await asyncio.wait(left)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
