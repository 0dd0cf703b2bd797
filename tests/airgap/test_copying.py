"""Copies that share blocks where the disk can, and are hashed in any case."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataset_mirror.airgap.files.copying import STEP, Copying, clone
from tests.origin import body

CONTENT = body(2 * STEP + 17)


@pytest.fixture
def files(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """Descriptors of a file with content and of an empty one."""
    (tmp_path / "source").write_bytes(CONTENT)
    source, target = os.open(tmp_path / "source", os.O_RDONLY), os.open(tmp_path / "target", os.O_RDWR | os.O_CREAT)
    yield source, target
    os.close(source)
    os.close(target)


def test_a_file(files: tuple[int, int]) -> None:
    """All of a file is copied, and the digests are those of the copy."""
    source, target = files
    copying = Copying(target, md5=True)
    assert list(copying.file(source))[-1] == copying.done == len(CONTENT)
    assert os.pread(target, len(CONTENT) + 1, 0) == CONTENT
    assert copying.digests.all == (hashlib.sha256(CONTENT).hexdigest(), hashlib.md5(CONTENT).hexdigest())


def test_the_copy_is_its_own(files: tuple[int, int], tmp_path: Path) -> None:
    """Who writes into the original afterwards does not change the copy, whether or not they share blocks."""
    source, target = files
    list(Copying(target).file(source))
    with (tmp_path / "source").open("r+b") as original:
        original.write(b"written over")
        original.flush()
        os.fsync(original.fileno())
    assert os.pread(target, 100, 0) == CONTENT[:100]


def test_clone(files: tuple[int, int]) -> None:
    """Sharing blocks gives all of the file, or nothing where the disk cannot."""
    source, target = files
    assert os.fstat(target).st_size == (len(CONTENT) if clone(source, target) else 0)
