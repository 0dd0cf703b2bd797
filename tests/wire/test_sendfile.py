"""Turns: what may be sent of all files together before everything else has its share of the loop."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from dataset_mirror.wire.sendfile import TURN, _Turn


async def test_one_that_fails_holds_up_nobody() -> None:
    """Whoever waits behind it has a turn, whether or not it had sent something before; each failure is reported."""
    reported: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(context))
    turn, order = _Turn(), list[str]()

    def fail() -> None:
        raise RuntimeError

    def send_and_fail() -> None:
        turn.spend(1)
        fail()

    turn.spend(TURN)
    turn.waiting += [fail, lambda: order.append("one"), send_and_fail, lambda: order.append("two"), fail, lambda: order.append("three")]
    for _ in range(5):
        await asyncio.sleep(0)
    assert order == ["one", "two", "three"]
    assert len(reported) == 3
    assert (turn.left, list(turn.waiting)) == (TURN, [])


async def test_who_finds_nothing_left_waits_in_line() -> None:
    """What a turn has is spent in order; the next one goes on where it ended."""
    turn, order = _Turn(), list[int]()

    def sender(number: int) -> None:
        order.append(number)
        turn.spend(TURN // 2)

    turn.spend(TURN)
    turn.waiting += [partial(sender, number) for number in range(5)]
    seen = []
    for _ in range(4):
        await asyncio.sleep(0)
        seen.append(len(order))
    assert seen == [2, 4, 5, 5]
    assert order == [0, 1, 2, 3, 4]
