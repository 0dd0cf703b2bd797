"""The process that forks workers."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import closing

import pytest

from dataset_mirror.wire.workers.keeper import Keeper


def test_no_process_for_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system refuses another process the keeper says so, lives on, and starts a worker when it can."""
    fork, forks = os.fork, [0]

    def refusing() -> int:
        forks[0] += 1
        if forks[0] == 2:  # the first one is that of the keeper, which counts on
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return fork()

    monkeypatch.setattr(os, "fork", refusing)
    ours, theirs = socket.socketpair()
    with closing(Keeper.fork(lambda control, _: control.send(b"here") - 4)) as keeper, ours, theirs:
        with pytest.raises(BlockingIOError):
            keeper.spawn(theirs.fileno(), [])
        worker = keeper.spawn(theirs.fileno(), [])
        assert ours.recv(4) == b"here"
        assert keeper.end(worker) == 0
