"""`adopt` in the middle of a file: a server that starts meanwhile leaves it alone; one that was killed leaves nothing."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.origin import MIB
from tests.serving import HOST, PATIENCE, PROGRAM, URL, Mirror, environment

SIZE = 200 * MIB
ORIGINS: list[dict[str, Any]] = [{"url": URL, "paths": ["/sets/"]}]


@pytest.fixture
def copying(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`adopt` of a large file, stopped while it copies."""
    (file := tmp_path / HOST / "sets" / "large.bin").parent.mkdir(parents=True)
    file.touch()
    os.truncate(file, SIZE)
    known = environment(tmp_path, {"data": str(tmp_path / "data"), "origins": ORIGINS})
    command = [PROGRAM, "adopt", "--json", str(tmp_path / HOST)]
    with subprocess.Popen(command, env=known, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        next(line for line in process.stdout if '"copying"' in line)
        process.send_signal(signal.SIGSTOP)
        yield process
        process.kill()


def partial(mirror: Mirror) -> list[Path]:
    return list((mirror.data / "partial").iterdir())


def test_a_server_that_starts_meanwhile(copying: subprocess.Popen[str], tmp_path: Path) -> None:
    """A server that starts clears what others left, but not what is being copied; when that is done it has the archive."""
    with Mirror(tmp_path / "data", origins=ORIGINS, offline=True) as mirror:
        assert len(partial(mirror)) == 1
        assert mirror.head("/sets/large.bin").status == 504
        copying.send_signal(signal.SIGCONT)
        assert copying.wait(PATIENCE) == 0
        assert partial(mirror) == []
        answer = mirror.head("/sets/large.bin")
        assert (answer.status, int(answer.fields["content-length"])) == (200, SIZE)


def test_killed(copying: subprocess.Popen[str], tmp_path: Path) -> None:
    """One that was killed has published nothing, and the next start of the mirror clears what it left."""
    copying.kill()
    copying.wait(PATIENCE)
    with Mirror(tmp_path / "data", origins=ORIGINS, offline=True) as mirror:
        assert partial(mirror) == []
        assert mirror.blobs == []
        assert mirror.head("/sets/large.bin").status == 504
