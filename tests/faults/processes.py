"""What happens to the mirror's process, and which commands run beside it, while clients ask."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests import warm
from tests.serving import environment

if TYPE_CHECKING:
    from tests.faults.world import World

Sudden = Callable[["World", random.Random], None]
_LOCK = threading.Lock()
"""Processes are started one after the other: that of `warm` takes one request at a time."""


def command(world: World, *arguments: object, statuses: tuple[int, ...] = (0, 1)) -> str:
    """Runs a command on the mirror's data folder; what it says must be for people, and its end one that its help names."""
    known = environment(world.mirror.data, world.settings)
    with _LOCK:
        said = warm.run(*arguments, "--data", world.mirror.data, env=known, cwd=world.folder)
    words = f"{said.stdout}\n{said.stderr}"
    if said.returncode not in statuses or "Traceback" in words or "a bug" in words:
        world.report.finding(f"`{' '.join(map(str, arguments))}` ended with {said.returncode}: {words[-3000:]}")
    return said.stdout


def _urls(world: World, random_: random.Random, *, gone: bool) -> list[str]:
    """Some archives; those that the origin has lost only if they may go."""
    there = [archive for archive in world.archives if not (gone and archive.kept)]
    return [f"https://{archive.host}{archive.path}" for archive in random_.sample(there, min(4, len(there)))]


def kill(world: World, random_: random.Random) -> None:
    world.mirror.kill()
    world.start()


def terminate(world: World, random_: random.Random) -> None:
    world.stop()
    world.start()


def kill_twice(world: World, random_: random.Random) -> None:
    """Killed again while it mends what the first one has left."""
    world.mirror.kill()
    world.start()
    world.mirror.kill()
    world.start()


def reload(world: World, random_: random.Random) -> None:
    """SIGHUP with a good configuration, then with bad ones."""
    file = world.mirror.data / "mirror.toml"
    try:
        for text in random_.sample(
            ["memory_cache = 0\n", "max_fills = 2\n", "max_fills = \n", 'nonsense = "x"\n', "\x00", "port = 99999\n"], 4
        ):
            file.write_text(text)
            world.mirror.signal(signal.SIGHUP)
            world.pause(0.2)
    finally:
        file.unlink(missing_ok=True)
        world.mirror.signal(signal.SIGHUP)


def fetch(world: World, random_: random.Random) -> None:
    command(world, "fetch", *_urls(world, random_, gone=False))


def collect(world: World, random_: random.Random) -> None:
    command(world, "gc", *random_.choice([(), ("--dry-run",)]))


def remove(world: World, random_: random.Random) -> None:
    command(world, "rm", "--yes", *_urls(world, random_, gone=True), statuses=(0, 1, 2))


def verify(world: World, random_: random.Random) -> None:
    command(world, "verify")


def carry(world: World, random_: random.Random) -> None:
    """Out in a bundle, and in again, twice."""
    bundle = world.folder / "bundle.tar"
    command(world, "export", bundle, "--all", "--versions")
    if bundle.exists():
        for _ in range(2):
            command(world, "import", bundle)
    bundle.unlink(missing_ok=True)


def look(world: World, random_: random.Random) -> None:
    """Commands that only read."""
    for name in random_.sample(["status", "ls", "wanted", "have", "doctor"], 3):
        command(world, name)


def second(world: World, random_: random.Random) -> None:
    """A second server on the same folder is refused, and hurts nothing."""
    command(world, "serve", "--port", "0", statuses=(1, 2))


def rebuild(world: World, random_: random.Random) -> None:
    """The index is lost or garbled, and is rebuilt."""
    (world.mirror.kill if random_.random() < 0.5 else world.stop)()
    index = world.mirror.data / "index.db"
    if random_.random() < 0.5:
        for side in ("", "-wal", "-shm"):
            index.with_name(index.name + side).unlink(missing_ok=True)
    else:
        index.write_bytes(random_.randbytes(20_000))
    command(world, "doctor", "--rebuild")
    for aside in index.parent.glob("index.db.aside*"):
        aside.unlink()
    world.start()


def torn(world: World, random_: random.Random) -> None:
    """The power goes in the middle of a line of the journal."""
    world.mirror.kill()
    with (world.mirror.data / "archives.ndjson").open("ab") as journal:
        journal.write(random_.choice([b'{"url": "https://data.exam', b"\x00" * 100, b"{}\n", b'{"removed": 5}\n']))
    world.start()


SUDDEN: dict[str, Sudden] = {
    "SIGKILL": kill,
    "SIGKILL twice": kill_twice,
    "SIGTERM": terminate,
    "SIGHUP": reload,
    "fetch": fetch,
    "gc": collect,
    "rm": remove,
    "verify": verify,
    "export, import": carry,
    "status, ls, doctor …": look,
    "second serve": second,
    "doctor --rebuild": rebuild,
    "torn journal": torn,
}
ENDS_PROCESS = {"SIGKILL", "SIGKILL twice", "SIGTERM", "doctor --rebuild", "torn journal"}


def status_of(world: World) -> dict[str, object]:
    """What /status says."""
    known: dict[str, object] = json.loads(world.mirror.get("/status").body)
    return known


@contextmanager
def traced(world: World, *options: str) -> Iterator[None]:
    """System calls of the running mirror fail as strace is told, until the block ends."""
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-p", str(world.mirror.pid), *options],
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    world.pause(0.3)
    try:
        yield
    finally:
        tracer.terminate()
        tracer.wait(30)
