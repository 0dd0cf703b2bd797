"""A small process that forks workers. It is forked before there are threads, loops and databases, none of which survive a fork.

So a worker that died can be started again at any time. All have in common what was loaded until then, which takes memory once.
Whatever ends the filling process, SIGKILL too, ends the keeper and all workers: its end of their sockets is closed then.
"""

import ctypes
import errno
import gc
import logging
import os
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn, Self

log = logging.getLogger(__name__)

_SPAWN, _END = 0, 1
_ORDER = struct.Struct("!bi")
"""What to do, and with which process."""
_ANSWER = struct.Struct("!i")
_LAST_SECONDS = 2.0
"""How long workers may take to end by themselves, with the truth for their clients."""
_PR_SET_PDEATHSIG = 1
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""A terminal and a service manager send them to all processes; the filling process tells the others what to do."""

Work = Callable[[socket.socket, list[socket.socket]], int]
"""What a worker does, with its end of the socket to the filling process and its listening sockets; returns its exit status."""


class Keeper:
    """The filling process' side. Its methods block for some milliseconds, and may be called from any one thread at a time."""

    def __init__(self, pid: int, asking: socket.socket) -> None:
        self.pid, self._asking = pid, asking

    @classmethod
    def fork(cls, work: Work) -> Self:
        """Starts it. `work` is what each worker does; the process ends when it returns."""
        ours, theirs = socket.socketpair()
        gc.collect()
        gc.freeze()  # a collection would write to what is shared, and so copy it
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            ours.close()
            _leave(lambda: _keep(theirs, work))
        theirs.close()
        return cls(pid, ours)

    def spawn(self, control: int, listening: list[socket.socket]) -> int:
        """Starts a worker with these sockets, which stay open here; returns its process id.

        OSError if the system has no process for it now, by the error's number; without a number if the keeper has gone.
        """
        descriptors = [control, *(each.fileno() for each in listening)]
        socket.send_fds(self._asking, [_ORDER.pack(_SPAWN, len(descriptors))], descriptors)
        return self._answer()

    def end(self, worker: int) -> int:
        """Its wait status, as `os.waitstatus_to_exitcode` reads it; it is killed if it does not end within a second or two."""
        self._asking.sendall(_ORDER.pack(_END, worker))
        return self._answer()

    def close(self) -> None:
        """Ends it, and whichever workers there are."""
        self._asking.close()
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)

    def _answer(self) -> int:
        answer = self._asking.recv(_ANSWER.size, socket.MSG_WAITALL)
        if len(answer) < _ANSWER.size:
            raise OSError("The process that starts workers has gone.")
        number: int = _ANSWER.unpack(answer)[0]
        if number < 0:
            raise OSError(-number, os.strerror(-number))
        return number


# -- The keeper


def _leave(work: Callable[[], int]) -> NoReturn:
    """Runs the whole life of a forked process, which must not go back into what its parent was doing."""
    status = 1
    try:
        status = work()
    except BaseException:
        log.exception("A process of the mirror failed.")
    finally:
        with suppress(Exception):
            logging.shutdown()
        os._exit(status)


def _keep(asked: socket.socket, work: Work) -> int:
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    workers: set[int] = set()
    while True:
        order, descriptors, _, _ = socket.recv_fds(asked, _ORDER.size, 16)
        if not order:
            break
        what, number = _ORDER.unpack(order)
        if what == _SPAWN:
            worker = _spawned(asked, work, descriptors)
            if worker > 0:
                workers.add(worker)
            asked.sendall(_ANSWER.pack(worker))
        else:
            workers.discard(number)
            asked.sendall(_ANSWER.pack(_ended(number)))
    for worker in workers:
        _ended(worker)
    return 0


def _spawned(asked: socket.socket, work: Work, descriptors: list[int]) -> int:
    """The process id of a new worker; if there can be none now, the error's number, negative."""
    keeper = os.getpid()
    try:
        worker = os.fork()
    except OSError as error:  # as many processes as may be, or no memory
        worker = -(error.errno or errno.EAGAIN)
    if worker:
        for descriptor in descriptors:
            os.close(descriptor)
        return worker
    asked.close()
    _die_with(keeper)
    sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    _leave(lambda: work(sockets[0], sockets[1:]))


def _die_with(parent: int) -> None:
    """Lets the kernel kill this process with the one that forked it, where it can; else the closed socket ends it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _ended(worker: int) -> int:
    """Waits for a worker's end, and kills it if it does not come."""
    until = time.monotonic() + _LAST_SECONDS
    while time.monotonic() < until:
        pid, status = os.waitpid(worker, os.WNOHANG)
        if pid:
            return status
        select.select([], [], [], 0.01)
    os.kill(worker, signal.SIGKILL)
    return os.waitpid(worker, 0)[1]
