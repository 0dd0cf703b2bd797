"""Another user of the mirror's machine, who may read and not change anything. Needs root, to be somebody else."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataset_mirror.airgap.files.found import found
from dataset_mirror.cli.importing import bundles_in
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


@pytest.fixture
def disk() -> Iterator[Path]:
    """A disk as root has made it, looked at by somebody else: a bundle, a file, and two folders that are not for everybody."""
    with tempfile.TemporaryDirectory() as name:
        disk = Path(name)
        for folder, mode in ((disk, 0o755), (disk / "lost+found", 0o700), (disk / "listed", 0o744)):
            folder.mkdir(exist_ok=True)
            folder.chmod(mode)
        for file in ("listed/a.npz", "a.tar", "z.npz"):
            (disk / file).touch()
        os.seteuid(NOBODY)
        try:
            yield disk
        finally:
            os.seteuid(0)


def test_a_disk_of_bundles(disk: Path) -> None:
    """A folder that nobody may look into is no bundle, and does not stand in the way of the others."""
    assert bundles_in(str(disk)) == [str(disk / "a.tar")]


def test_a_disk_of_files(disk: Path) -> None:
    """Of a folder or a file that cannot be read that is said; what is beside it is taken."""
    seen = {str(one.path.relative_to(disk)): one.why_not for one in found(disk, disk / "none")}
    assert seen == {
        "a.tar": "",
        "listed/a.npz": "It cannot be read: Permission denied.",
        "lost+found": "It cannot be listed: Permission denied.",
        "z.npz": "",
    }
