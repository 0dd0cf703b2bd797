"""Messages and descriptors between processes of one mirror."""

from __future__ import annotations

import asyncio
import os
import pickle
import resource
import socket
import struct

import pytest

from dataset_mirror.wire.workers.channel import Channel, Closed


async def test_messages_of_any_size_in_order() -> None:
    """They come whole and in the order in which they were posted, though the kernel takes them in pieces."""
    ours, theirs = map(Channel, socket.socketpair())
    sent = [b"x" * size for size in (0, 1, 3_000_000, 5, 700_000)]
    for message in sent:
        ours.post(message)
    assert [(await theirs.receive())[0] for _ in sent] == sent
    ours.close()
    theirs.close()


async def test_descriptors_come_with_their_messages() -> None:
    """Each with its own, those that wait for room too; the sender's are closed."""
    ours, theirs = map(Channel, socket.socketpair())
    pipes = [os.pipe() for _ in range(5)]
    for number, (read, write) in enumerate(pipes):
        ours.post(b"y" * 300_000, write)
        if number % 2:
            os.close(read)
    for number, (read, _) in enumerate(pipes):
        _, (write,) = await theirs.receive()
        if number % 2 == 0:
            os.write(write, b"%d" % number)
            assert os.read(read, 9) == b"%d" % number
            os.close(read)
        os.close(write)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(pipes[0][1])
    ours.close()
    theirs.close()


async def test_the_other_end_goes() -> None:
    """What it had said is heard before that; posting to it does nothing, but that descriptors are closed."""
    ours, theirs = map(Channel, socket.socketpair())
    ours.post("last words")
    ours.close()
    assert (await theirs.receive())[0] == "last words"
    with pytest.raises(Closed):
        await theirs.receive()
    read, write = os.pipe()
    theirs.post("too late", write)
    assert os.read(read, 1) == b""
    os.close(read)


async def test_standing_still() -> None:
    """A process that waits for one message, and for nothing else, finds those that came before it afterwards."""
    ours, theirs = map(Channel, socket.socketpair())
    for message in (("a",), ("go",), ("b",)):
        ours.post(message)
    theirs.post("standing")
    theirs.receive_blocking(("go",))
    assert [(await theirs.receive())[0] for _ in range(2)] == [("a",), ("b",)]
    assert (await ours.receive())[0] == "standing"
    ours.close()
    theirs.close()


async def test_the_other_end_has_gone_unnoticed() -> None:
    """Descriptors that cannot be sent any more are closed: whoever waits at their other ends is told."""
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    theirs.close()
    read, write = os.pipe()
    channel.post("too late", write)  # before the loop had a turn to tell of it
    os.set_blocking(read, False)
    assert os.read(read, 1) == b""
    os.close(read)
    channel.close()


async def test_a_descriptor_that_is_lost() -> None:
    """Where too many files are open a message comes without its descriptor, and never with that of another one."""
    sending, receiving = socket.socketpair()
    channel = Channel(receiving)
    [one, other] = [_message(name) for name in ("one", "other")]
    kept = os.open(os.devnull, os.O_RDONLY)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    socket.send_fds(sending, [one[:-1]], [kept])
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))  # what is open stays open
    try:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    sending.send(one[-1:])
    socket.send_fds(sending, [other], [kept])
    assert await channel.receive() == ("one", [])
    message, [descriptor] = await channel.receive()
    assert (message, os.fstat(descriptor).st_ino) == ("other", os.fstat(kept).st_ino)
    for each in (descriptor, kept):
        os.close(each)
    sending.close()
    channel.close()


def _message(text: str) -> bytes:
    """As it is on the wire, with one descriptor."""
    data = pickle.dumps(text)
    return struct.pack("!IB", len(data), 1) + data
