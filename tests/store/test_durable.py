"""Files that are there whole or not at all."""

import errno
import os
import stat
from pathlib import Path

import pytest

from dataset_mirror.store import durable
from tests.disks import small_disk


@pytest.mark.parametrize("umask", [0o077, 0o000])
def test_permissions(tmp_path: Path, umask: int) -> None:
    """Whatever the umask, the group may read what is kept, and nobody but the owner a secret."""
    before = os.umask(umask)
    try:
        durable.replace(tmp_path / "kept", b"bytes")
        durable.replace(tmp_path / "secret", b"bytes", durable.SECRET)
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("kept", "secret")] == [0o640, 0o600]


def test_a_full_disk(tmp_path: Path) -> None:
    """What does not fit leaves the former file as it was, and nothing beside it."""
    with small_disk(tmp_path / "disk") as disk:
        target = disk.root / "file"
        durable.replace(target, b"before")
        disk.fill(leave=8192)
        with pytest.raises(OSError, match="No space left"):
            durable.replace(target, bytes(100_000))
        assert target.read_bytes() == b"before"
        assert sorted(path.name for path in disk.root.iterdir()) == ["ballast", "file"]


def test_a_write_that_the_disk_cuts_short(tmp_path: Path) -> None:
    """All of it is written, or an error says that it was not: never is a part taken for the whole."""
    with small_disk(tmp_path / "disk") as disk, (disk.root / "file").open("wb", buffering=0) as file:
        disk.fill(leave=4096)
        with pytest.raises(OSError, match="No space left"):
            durable.write_all(file.fileno(), bytes(10_000))


def test_a_block_that_fails(tmp_path: Path) -> None:
    """An error in between leaves the former file, and nothing beside it."""
    (tmp_path / "file").write_bytes(b"before")

    def fail() -> None:
        with durable.replacing(tmp_path / "file") as descriptor:
            os.write(descriptor, b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"before")]


def test_folders_that_cannot_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Where a folder cannot be synced the whole file system is, which the log says once; other errors come out."""
    real, code = os.fsync, errno.EINVAL

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    durable._told.clear()
    for content in (b"one", b"two"):
        durable.replace(tmp_path / "file", content)
    assert (tmp_path / "file").read_bytes() == b"two"
    assert [line.message for line in caplog.records if "cannot fsync folders" in line.message] == [caplog.records[0].message]
    code = errno.EIO
    with pytest.raises(OSError, match="Input/output"):
        durable.replace(tmp_path / "file", b"three")
