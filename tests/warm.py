"""Starting the program from a process that has it loaded: its imports once per worker, not once per mirror and command.

What runs is the console script's own `main`, in a process of its own with its own environment, folder and standard streams; signals,
exit status and SIGKILL are real. Only the imports were done before. What tests run as `PROGRAM` starts as for a person.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Self

_LOADED = (
    *("dataset_mirror.cli.serve", "dataset_mirror.doors.certificates", "cryptography.hazmat.backends.openssl.backend"),
    *("anyio._backends._asyncio", "pydantic.v1", "rich.progress", "uvicorn.lifespan.on", "uvicorn.loops.asyncio", "encodings.idna"),
)
"""What a mirror has loaded soon after its start; what is missing here is loaded by each."""
PATIENCE = 60.0
"""Seconds after which something that must happen is said not to have happened."""
_LENGTH, _NUMBER = struct.Struct("!I"), struct.Struct("!i")


class Process:
    """A started program, as much of `subprocess.Popen` as tests of mirrors need."""

    def __init__(self, arguments: list[str], streams: tuple[int, int, int], env: Mapping[str, str], cwd: Path | None = None) -> None:
        """`streams`: descriptors that become its standard input, output and error; they stay open here."""
        told, tell = os.pipe()
        try:
            request = {"arguments": arguments, "env": dict(env), "cwd": str(cwd or Path.cwd())}
            _ask(json.dumps(request).encode(), [*streams, tell])
        finally:
            os.close(tell)
        self.args = arguments
        self.stdout: IO[str] | None = None
        self._told = os.fdopen(told, "rb", buffering=0)
        self.pid = self._number()
        self.returncode: int | None = None

    @classmethod
    def piped(cls, arguments: list[str], stderr: int, env: Mapping[str, str], cwd: Path) -> Self:
        """Its output is read from `stdout`, which whoever ends it closes; it has no input."""
        read, write = os.pipe()
        try:
            with open(os.devnull) as nothing:  # noqa: PTH123
                process = cls(arguments, (nothing.fileno(), write, stderr), env, cwd)
        finally:
            os.close(write)
        process.stdout = os.fdopen(read)
        return process

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
        self.returncode = os.waitstatus_to_exitcode(self._number())
        self._told.close()

    def _number(self) -> int:
        number: int = _NUMBER.unpack(self._told.read(_NUMBER.size))[0]
        return number

    def send_signal(self, number: int) -> None:
        """Nothing happens if it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def run(*arguments: object, env: Mapping[str, str], cwd: Path | None = None, typed: str = "") -> subprocess.CompletedProcess[str]:
    """A command until it ends by itself, which must be within `PATIENCE`; `typed` is its standard input."""
    done = run_with_bytes(*arguments, env=env, cwd=cwd, content=typed.encode())
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def run_with_bytes(
    *arguments: object, env: Mapping[str, str], cwd: Path | None = None, content: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """The same for a command that reads `content`, or writes what is no text."""
    with TemporaryFile() as keyboard, TemporaryFile() as out, TemporaryFile() as err:
        keyboard.write(content)
        keyboard.seek(0)
        process = Process([*map(str, arguments)], (keyboard.fileno(), out.fileno(), err.fileno()), env, cwd)
        try:
            status = process.wait(PATIENCE)
        finally:
            process.kill()
        for said in (out, err):
            said.seek(0)
        return subprocess.CompletedProcess(process.args, status, out.read(), err.read())


def _ask(request: bytes, descriptors: list[int]) -> None:
    waiting = _waiting()
    socket.send_fds(waiting, [_LENGTH.pack(len(request))], descriptors)
    waiting.sendall(request)


@cache
def _waiting() -> socket.socket:
    """The loaded process of this worker, which ends when this one does."""
    ours, theirs = socket.socketpair()
    with theirs:
        loaded = subprocess.Popen([sys.executable, __file__, str(theirs.fileno())], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)

    def end() -> None:
        ours.close()
        loaded.wait()

    atexit.register(end)
    return ours


# -- The loaded process


def main() -> None:
    """Loads what `serve` needs, then waits for requests; returns in each process that is to be a mirror, and runs it."""
    sys.path[0] = str(Path(sys.executable).parent)  # as for the console script: nothing of the tests can be imported
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the tests end their mirrors themselves
    from dataset_mirror.cli import main as program

    for module in _LOADED:
        import_module(module)
    from dataset_mirror.settings import load
    from dataset_mirror.store.migrations import creation

    load(Path(os.devnull))  # presets, and the patterns in them
    creation()  # of an empty index
    gc.freeze()
    arguments = _requested(socket.socket(fileno=int(sys.argv[1])))
    try:
        program(arguments)
    finally:
        _end(sys.exc_info()[1])


def _end(error: BaseException | None) -> None:
    """Ends as the interpreter does, but for taking apart all that was loaded, which takes a tenth of a second."""
    if isinstance(error, SystemExit) and (error.code is None or isinstance(error.code, int)):
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        with suppress(OSError):  # nobody reads any more: the interpreter has its own way to end then
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(error.code or 0)


def _requested(asking: socket.socket) -> list[str]:
    """Starts what is asked for, and tells how it ended; returns in each process that was started."""
    woken, wake = socket.socketpair()
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    tells: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([asking, woken], [], [])
        if woken in ready:
            woken.recv(4096)
            _tell_ends(tells)
        if asking not in ready:
            continue
        head, descriptors, _, _ = socket.recv_fds(asking, _LENGTH.size, 4)
        if not head:
            sys.exit()
        request = json.loads(asking.recv(_LENGTH.unpack(head)[0], socket.MSG_WAITALL))
        *streams, tell = descriptors
        if not (pid := os.fork()):
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for descriptor in (asking.detach(), woken.detach(), wake.detach(), tell, *tells.values()):
                os.close(descriptor)
            return _become(request, streams)
        for descriptor in streams:
            os.close(descriptor)
        tells[pid] = tell
        os.write(tell, _NUMBER.pack(pid))


def _tell_ends(tells: dict[int, int]) -> None:
    """Tells those that asked for processes how they ended; one that nobody waits for any more is forgotten."""
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            pid, status = ended
            tell = tells.pop(pid)
            with suppress(BrokenPipeError):
                os.write(tell, _NUMBER.pack(status))
            os.close(tell)


def _become(request: dict[str, Any], streams: list[int]) -> list[str]:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdout = os.fdopen(1, "w", closefd=False)  # the former one was made for another kind of file
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    arguments: list[str] = request["arguments"]
    sys.argv[1:] = arguments
    return arguments


if __name__ == "__main__":
    main()
