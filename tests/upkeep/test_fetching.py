"""Fetching that nobody waits for any more."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from dataset_mirror.fetch.fill import Fill
from dataset_mirror.upkeep.fetching import _any_over


class Endless:
    """What is asked of a fill that goes on."""

    running = True

    async def ended(self) -> None:
        await asyncio.Event().wait()


async def test_nothing_is_left_waiting() -> None:
    """A command that is cancelled while it waits for fills leaves no task behind."""
    before = asyncio.all_tasks()
    waiting = asyncio.create_task(_any_over([cast(Fill, Endless())], 60))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
