"""Another user of the mirror's machine, who may read and not change anything. Needs root, to be somebody else."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.origin import Origin, body
from tests.serving import HOST, PATIENCE, URL, Mirror, mirroring

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("curl"), reason="another user and curl are needed")
NOBODY = 65534
CONTENT = body(100_000)
ARCHIVE = "/sets/shared.bin"


@pytest.fixture(scope="module")
def mirror(shared_origin: Origin) -> Iterator[Mirror]:
    """A mirror with an archive; nothing but the data folder's own permissions keeps others out."""
    shared_origin.add(ARCHIVE, CONTENT)
    with tempfile.TemporaryDirectory() as parent:
        Path(parent).chmod(0o755)
        with mirroring(shared_origin, Path(parent) / "data") as running:
            assert running.archive(ARCHIVE).status == 200
            yield running


def as_nobody(*command: str) -> subprocess.CompletedProcess[bytes]:
    """What comes of a command of the other user."""
    return subprocess.run(command, user=NOBODY, group=NOBODY, extra_groups=[], cwd="/", capture_output=True, timeout=PATIENCE, check=False)


def test_may_read(mirror: Mirror) -> None:
    """The other user gets archives and lists like anybody."""
    assert as_nobody("curl", "-sf", f"{mirror.url}/{HOST}{ARCHIVE}").stdout == CONTENT
    assert URL.encode() in as_nobody("curl", "-sf", f"{mirror.url}/status/archives").stdout


@pytest.mark.parametrize(("verb", "asked"), [("rm", "archives"), ("fetch", "archives"), ("gc", ""), ("verify", "archives"), ("reload", "")])
def test_may_not_change(mirror: Mirror, verb: str, asked: str) -> None:
    """Every verb that changes the mirror is refused over loopback, with or without the guard field, and says what is needed."""
    sent = f'{{"{asked}": ["{URL}{ARCHIVE}"]}}' if asked else "{}"
    command = ["curl", "-s", "-w", "%{http_code}", "-H", "Content-Type: application/json", "-H", "X-Dataset-Mirror: 1", "-d", sent]
    answer = as_nobody(*command, f"{mirror.url}/api/{verb}").stdout
    assert answer.endswith(b"403")
    assert b"token" in answer
    assert mirror.archive(ARCHIVE).body == CONTENT


def test_may_not_see_the_key(mirror: Mirror) -> None:
    """The key, the index and the bytes are out of reach, and nothing can be put beside them."""
    [blob] = mirror.blobs
    for command in (
        ("cat", f"{mirror.data}/api.key"),
        ("cat", f"{mirror.data}/index.db"),
        ("cat", str(blob)),
        ("ls", str(mirror.data)),
        ("touch", f"{mirror.data}/x"),
    ):
        done = as_nobody(*command)
        assert done.returncode != 0
        assert b"denied" in done.stderr
