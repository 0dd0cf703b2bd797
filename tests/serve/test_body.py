"""Bodies that Python sends."""

import asyncio
from pathlib import Path

from dataset_mirror.serve.asgi import Message
from dataset_mirror.serve.body import TURN, Body


async def test_clients_that_take_all_at_once_take_turns(tmp_path: Path) -> None:
    """Of two whose kernels take whatever they are given neither has all of its body before the other has much of its own."""
    path, taken = tmp_path / "blob", list[int]()
    path.write_bytes(bytes(4 * TURN))

    async def send(number: int) -> None:
        async def take(message: Message) -> None:
            taken.extend([number] * (len(message["body"]) > 0))

        with path.open("rb") as file:
            await Body(take, lambda _: None, zero_copy=False).finished(file, 0, 4 * TURN)

    await asyncio.gather(send(0), send(1))
    half = taken[: len(taken) // 2]
    assert half.count(0) > len(half) // 4
    assert half.count(1) > len(half) // 4
    assert Body.under_way == 0
