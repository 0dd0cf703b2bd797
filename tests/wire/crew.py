"""Connections to a mirror of several processes, each to the process that a test wants."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dataset_mirror.doors import certificates
from tests.serving import Mirror
from tests.waiting import until
from tests.wire.test_protocol import Wire


def below(pid: int) -> list[int]:
    """The processes that it started, theirs too."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [found for child in map(int, children) for found in (child, *below(child))]


def keeper(mirror: Mirror) -> int:
    """The process that starts workers."""
    return int(Path(f"/proc/{mirror.pid}/task/{mirror.pid}/children").read_text().split()[0])


def workers(mirror: Mirror) -> list[int]:
    return below(keeper(mirror))


def is_there(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def owner(mirror: Mirror, client: socket.socket) -> int:
    """The process at the other end of a connection on the loopback, once it has accepted it."""
    found: list[int] = []

    def look() -> bool:
        inode = _inode(client.getpeername()[1], client.getsockname()[1])
        found[:] = [pid for pid in (mirror.pid, *workers(mirror)) if inode in _sockets(pid)]
        return bool(found)

    until(look)
    return found[0]


def _inode(local: int, remote: int) -> str:
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if (int(fields[1].split(":")[1], 16), int(fields[2].split(":")[1], 16)) == (local, remote):
            return fields[9]
    return ""


def _sockets(pid: int) -> set[str]:
    found: set[str] = set()
    try:
        descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:  # it has just ended
        return found
    for descriptor in descriptors:
        try:
            if match := re.fullmatch(r"socket:\[(\d+)\]", str(descriptor.readlink())):
                found.add(match[1])
        except OSError:
            continue
    return found


def at(mirror: Mirror, *, worker: bool) -> Wire:
    """A new connection to a worker, or else to the process that fills."""
    while True:
        wire = Wire(mirror)
        if (owner(mirror, wire.socket) != mirror.pid) == worker:
            return wire
        wire.socket.close()


def make_certificate(folder: Path) -> str:
    """A certificate of this machine and its key, in one file."""
    file, key = folder / "certificate.pem", certificates.new_key()
    authority = certificates.issue_authority(key, ["localhost"])
    leaf = certificates.issue_leaf(authority, key, key, "localhost")
    file.write_bytes(certificates.to_pem(leaf) + certificates.key_to_pem(key))
    return str(file)


@contextmanager
def standing_still(pid: int) -> Iterator[None]:
    """The process does nothing meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
