"""Starting mirrors from a process that has everything loaded: half a second of imports once per worker, not once per mirror.

What runs is the console script's own `main`, in a process of its own with its own environment, folder and standard streams; signals,
exit status and SIGKILL are real. Only the imports were done before. Commands that tests run as `PROGRAM` start as for a person.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO, NoReturn

_LOADED = (
    *("dataset_mirror.cli.serve", "dataset_mirror.doors.certificates", "cryptography.hazmat.backends.openssl.backend"),
    *("anyio._backends._asyncio", "pydantic.v1", "uvicorn.lifespan.on", "uvicorn.loops.asyncio", "encodings.idna"),
)
"""What a mirror has loaded soon after its start; what is missing here is loaded by each."""
_LENGTH = struct.Struct("!I")


class Process:
    """A started program, as much of `subprocess.Popen` as tests of mirrors need."""

    def __init__(self, arguments: list[str], stderr: int, env: Mapping[str, str], cwd: Path) -> None:
        told, tell = os.pipe()
        read, write = os.pipe()
        try:
            _ask(json.dumps({"arguments": arguments, "env": dict(env), "cwd": str(cwd)}).encode(), [write, stderr, tell])
        finally:
            os.close(tell)
            os.close(write)
        self.args = arguments
        self.stdout: IO[str] = open(read)  # noqa: PTH123, SIM115  # a descriptor; whoever ends the process closes it
        self._told = os.fdopen(told, "rb", buffering=0)
        self.pid = int(self._told.read(16))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        if self.returncode is None and select.select([self._told], [], [], 0)[0]:
            self._end()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, once it has ended; subprocess.TimeoutExpired after `timeout` seconds."""
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self._end()
        assert self.returncode is not None
        return self.returncode

    def _end(self) -> None:
        self.returncode = os.waitstatus_to_exitcode(int(self._told.read(16)))
        self._told.close()

    def send_signal(self, number: int) -> None:
        """Nothing happens if it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _ask(request: bytes, descriptors: list[int]) -> None:
    waiting = _waiting()
    socket.send_fds(waiting, [_LENGTH.pack(len(request))], descriptors)
    waiting.sendall(request)


@cache
def _waiting() -> socket.socket:
    """The loaded process of this worker, which ends when this one does."""
    ours, theirs = socket.socketpair()
    with theirs:
        subprocess.Popen([sys.executable, __file__, str(theirs.fileno())], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
    return ours


# -- The loaded process


def main() -> None:
    """Loads what `serve` needs, then waits for requests; returns in each process that is to be a mirror, and runs it."""
    sys.path[0] = str(Path(sys.executable).parent)  # as for the console script: nothing of the tests can be imported
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the tests end their mirrors themselves
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    from dataset_mirror.cli import main as program

    for module in _LOADED:
        import_module(module)
    gc.freeze()
    program(_requested(socket.socket(fileno=int(sys.argv[1]))))


def _requested(asking: socket.socket) -> list[str]:
    while True:
        head, (stdout, stderr, tell) = _received(asking)
        request = json.loads(asking.recv(_LENGTH.unpack(head)[0], socket.MSG_WAITALL))
        if os.fork():
            for descriptor in (stdout, stderr, tell):
                os.close(descriptor)
            continue
        asking.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if pid := os.fork():
            os.close(stdout)
            os.close(stderr)
            _keep(pid, tell)
        os.close(tell)
        return _become(request, stdout, stderr)


def _received(asking: socket.socket) -> tuple[bytes, list[int]]:
    head, descriptors, _, _ = socket.recv_fds(asking, _LENGTH.size, 3)
    if not head:
        os._exit(0)
    return head, descriptors


def _keep(pid: int, tell: int) -> NoReturn:
    """Tells the process that asked which one was started, and how it ended."""
    os.write(tell, b"%d" % pid)
    _, status = os.waitpid(pid, 0)
    os.write(tell, b"%d" % status)
    os._exit(0)


def _become(request: dict[str, object], stdout: int, stderr: int) -> list[str]:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, descriptor in ((1, stdout), (2, stderr)):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    known, arguments = request["env"], request["arguments"]
    assert isinstance(known, dict)
    assert isinstance(arguments, list)
    os.environ.update(known)
    os.chdir(str(request["cwd"]))
    sys.argv[1:] = arguments
    return arguments


if __name__ == "__main__":
    main()
