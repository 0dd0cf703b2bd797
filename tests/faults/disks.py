"""Disks that fail under the mirror, and clocks that are wrong: each lasts while clients ask, and ends well."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.processes import traced
from tests.serving import PROGRAM

if TYPE_CHECKING:
    from tests.faults.world import World

Around = Callable[["World", random.Random], AbstractContextManager[None]]
CALLS = (
    "fsync,fdatasync",
    "pwrite64",
    "rename,renameat2",
    "mkdir",
    "unlink,unlinkat",
    "symlink,symlinkat",
    "sendfile",
    "pread64",
    "ftruncate",
)


def mounted(folder: Path, size: str) -> str | None:
    """Mounts a small disk; why that cannot be, if it cannot."""
    if os.geteuid() != 0:
        return "mounting a small disk needs root"
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},nr_inodes=4000,mode=0750", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    return None if made.returncode == 0 else f"mounting a small disk fails: {made.stderr.strip()}"


def _remount(folder: Path, *options: str) -> bool:
    return subprocess.run(["mount", "-o", f"remount,{','.join(options)}", str(folder)], capture_output=True, check=False).returncode == 0


@contextmanager
def full(world: World, random_: random.Random) -> Iterator[None]:
    """Nothing, or very little, can be written."""
    ballast = world.mirror.data / "ballast"
    leave = random_.choice([0, 0, 4096, 40_000, 500_000])
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 16))
    with contextlib.suppress(OSError), ballast.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(512))
    os.truncate(ballast, max(0, ballast.stat().st_size - leave))
    try:
        yield
    finally:
        ballast.unlink(missing_ok=True)


@contextmanager
def full_at_start(world: World, random_: random.Random) -> Iterator[None]:
    """Full, and the mirror is started again on it."""
    (world.mirror.kill if random_.random() < 0.5 else world.stop)()
    with full(world, random_):
        world.start()
        yield


@contextmanager
def no_inodes(world: World, random_: random.Random) -> Iterator[None]:
    """No file can be made."""
    many = world.mirror.data / "many"
    many.mkdir()
    try:
        with contextlib.suppress(OSError):
            for number in range(100_000):
                (many / str(number)).touch()
        yield
    finally:
        shutil.rmtree(many)


@contextmanager
def read_only(world: World, random_: random.Random) -> Iterator[None]:
    """The disk was mounted for reading, and the mirror started on it, offline or not."""
    world.stop()
    if not _remount(world.mirror.data, "ro"):
        world.report.skip("read-only disk", "the disk cannot be mounted for reading again")
        world.start()
        yield
        return
    try:
        world.start(*random_.choice([(), ("--offline",)]))
        yield
        world.stop()
    finally:
        _remount(world.mirror.data, "rw")
        world.end()
        world.start()


@contextmanager
def errors(world: World, random_: random.Random) -> Iterator[None]:
    """Some system calls on files fail with EIO, now and then."""
    calls = random_.choice(CALLS)
    with traced(
        world, "-e", f"trace={calls}", "-e", f"inject={calls}:error={random_.choice(['EIO', 'ENOSPC'])}:when={random_.randrange(1, 4)}+3"
    ):
        yield


@contextmanager
def small_files(world: World, random_: random.Random) -> Iterator[None]:
    """No file may become larger than this (EFBIG)."""
    _, hard = resource.prlimit(world.mirror.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(world.mirror.pid, resource.RLIMIT_FSIZE, (random_.choice([10_000, 200_000]), hard))
    try:
        yield
    finally:
        if world.mirror.process is not None:
            resource.prlimit(world.mirror.pid, resource.RLIMIT_FSIZE, (hard, hard))


@contextmanager
def few_descriptors(world: World, random_: random.Random) -> Iterator[None]:
    """The process may open few files more."""
    soft, hard = resource.prlimit(world.mirror.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(world.mirror.pid, resource.RLIMIT_NOFILE, (world.descriptors() + random_.choice([2, 10, 40]), hard))
    try:
        yield
    finally:
        if world.mirror.process is not None:
            resource.prlimit(world.mirror.pid, resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def wrong_clock(world: World, random_: random.Random) -> Iterator[None]:
    """The clock is years or hours off, and right again afterwards."""
    [library] = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    wrapper = world.folder / "at-another-time"
    offset = random_.choice(["+10y", "-10y", "+2d", "-2d", "+3600", "-3600"])
    wrapper.write_text(f'#!/bin/sh\nLD_PRELOAD={library} FAKETIME={offset} FAKETIME_DONT_FAKE_MONOTONIC=1 exec {PROGRAM} "$@"\n')
    wrapper.chmod(0o755)
    world.stop()
    world.start(program=str(wrapper))
    try:
        yield
        world.stop()
    finally:
        world.end()
        world.start()


AROUND: dict[str, Around] = {
    "wrong clock": wrong_clock,
    "full disk": full,
    "full disk at start": full_at_start,
    "no inodes": no_inodes,
    "read-only disk": read_only,
    "EIO": errors,
    "file size limit": small_files,
    "few descriptors": few_descriptors,
}
NEEDS_DISK = {"full disk", "full disk at start", "no inodes", "read-only disk"}


def impossible(own_disk: str | None) -> dict[str, str]:
    """Faults that cannot be had on this machine, and why; `own_disk` tells why there is no small disk."""
    found = dict.fromkeys(NEEDS_DISK, own_disk) if own_disk else {}
    if not list(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")):
        found["wrong clock"] = "libfaketime is not installed"
    if os.geteuid() != 0 or not shutil.which("strace"):
        found["EIO"] = "strace, as root, is needed"
    return {name: why for name, why in found.items() if why}
