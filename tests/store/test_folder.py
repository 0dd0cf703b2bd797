"""The data folder: whose it is, which layout it has, and who fills it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dataset_mirror.errors import DataFolderError
from dataset_mirror.store import folder as folder_module
from dataset_mirror.store.filling import FillLock, server_of
from dataset_mirror.store.folder import LAYOUT, DataFolder, file_system
from dataset_mirror.store.store import Store
from tests.serving import PATIENCE

HOLDER = """
import sys
from pathlib import Path
from dataset_mirror.store.filling import FillLock
lock = FillLock(Path(sys.argv[1]))
if len(sys.argv) > 2:
    lock.announce(sys.argv[2])
print("held", flush=True)
sys.stdin.read()
lock.release()
"""


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    return folder


@contextmanager
def holder(folder: DataFolder, *url: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until its input ends."""
    command = [sys.executable, "-c", HOLDER, str(folder.lock), *url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.communicate(timeout=PATIENCE)


def contents(root: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in root.rglob("*")}


# Layout


def test_a_new_folder_gets_a_fingerprint(folder: DataFolder) -> None:
    """A folder that is made says which program and which layout it belongs to, and has nothing else in it but partial/."""
    assert json.loads((folder.root / "layout.json").read_bytes()) == {"program": "dataset-mirror", "layout": LAYOUT}
    assert sorted(path.name for path in folder.root.iterdir()) == ["layout.json", "partial"]


def test_preparing_again_changes_nothing(folder: DataFolder) -> None:
    """A folder of this layout is used as it is."""
    folder.blobs.mkdir()
    (folder.blobs / "x").write_bytes(b"x")
    before = contents(folder.root)
    DataFolder(folder.root).prepare()
    assert contents(folder.root) == before


@pytest.mark.parametrize(
    ("fingerprint", "named"),
    [
        pytest.param(b'{"program": "dataset-mirror", "layout": 2}', "layout 2", id="a later layout"),
        pytest.param(b'{"program": "dataset-mirror"}', "layout unknown", id="no layout"),
        pytest.param(b"", "layout unknown", id="empty"),
        pytest.param(b"\xff\xfe\x00", "layout unknown", id="not text"),
        pytest.param(b"[1]", "layout unknown", id="not an object"),
    ],
)
def test_another_layout_is_refused_and_untouched(tmp_path: Path, fingerprint: bytes, named: str) -> None:
    """A folder that another version made is refused with both layouts named; not a byte of it changes."""
    (tmp_path / "layout.json").write_bytes(fingerprint)
    (tmp_path / "archives").mkdir()
    (tmp_path / "archives" / "precious").write_bytes(b"precious")
    before = contents(tmp_path)
    with pytest.raises(DataFolderError, match=f"has {named}; this program knows {LAYOUT}"):
        DataFolder(tmp_path).prepare()
    assert contents(tmp_path) == before


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """Where no folder can be, the error names the place, the reason and the flag."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataFolderError, match=r"file/data cannot be used: Not a directory\. .*--data DIR"):
        DataFolder(tmp_path / "file" / "data").prepare()


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    """A folder of somebody else is an error in one sentence."""
    tmp_path.chmod(0o500)
    with pytest.raises(DataFolderError, match="cannot be used: Permission denied"):
        DataFolder(tmp_path).prepare()
    tmp_path.chmod(0o700)


# The index' place


def test_the_index_is_in_the_folder_unless_configured(folder: DataFolder) -> None:
    """The database's URL is absolute; another one can be configured."""
    assert str(folder.index_url(None)) == f"sqlite:///{folder.root / 'index.db'}"
    assert folder.index_url("sqlite:////var/lib/index.db") == "sqlite:////var/lib/index.db"


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_no_index_on_a_network_file_system(folder: DataFolder, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Where SQLite's WAL does not work the error gives the line that helps, and with that line it goes on."""
    monkeypatch.setattr(folder_module, "file_system", lambda path: kind)  # none can be mounted in a test
    with pytest.raises(DataFolderError, match=f"is on {kind}, .*") as caught:
        folder.index_url(None)
    assert 'database = "sqlite:///' in caught.value.hint
    assert folder.index_url("sqlite:////var/lib/index.db") == "sqlite:////var/lib/index.db"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")
def test_the_kind_of_a_file_system_is_known() -> None:
    """The kernel's list of mounts gives the kind of the file system that a path is on."""
    assert file_system(Path("/proc")) == "proc"


# The lock


def test_a_second_process_is_refused_and_told_who_holds_the_lock(folder: DataFolder) -> None:
    """The error names the process and the URL of the server that fills the folder, and changes neither."""
    with holder(folder, "http://127.0.0.1:8123") as process:
        for _ in range(2):
            with pytest.raises(DataFolderError, match=f"is in use by process {process.pid} at http://127.0.0.1:8123."):
                FillLock(folder.lock)
        assert json.loads(folder.lock.read_bytes()).items() >= {"pid": process.pid, "url": "http://127.0.0.1:8123"}.items()


def test_a_holder_without_url_is_named_too(folder: DataFolder) -> None:
    """A process that serves nothing, such as `fetch`, is named by its number."""
    with holder(folder) as process, pytest.raises(DataFolderError, match=rf"in use by process {process.pid}\. Stop that one"):
        FillLock(folder.lock)


def test_one_process_cannot_take_the_lock_twice(folder: DataFolder) -> None:
    """The lock is of an open file, not of a process."""
    lock = FillLock(folder.lock)
    with pytest.raises(DataFolderError, match=f"process {os.getpid()}"):
        FillLock(folder.lock)
    lock.release()


def test_a_released_lock_can_be_taken(folder: DataFolder) -> None:
    """After its end the next one gets it, and is the one who is named."""
    with holder(folder, "http://127.0.0.1:8123"):
        pass
    lock = FillLock(folder.lock)
    assert json.loads(folder.lock.read_bytes()).items() >= {"pid": os.getpid(), "url": None}.items()
    lock.release()
    assert folder.lock.read_bytes().strip() == b""


def test_a_killed_holder_leaves_no_lock(folder: DataFolder) -> None:
    """After SIGKILL the lock is free and nobody takes the dead server for a live one, though its words are still there."""
    with holder(folder, "http://127.0.0.1:8123") as process:
        process.send_signal(signal.SIGKILL)
    assert b"8123" in folder.lock.read_bytes()
    assert server_of(folder) is None
    FillLock(folder.lock).release()


# The server of a folder


def test_the_live_server_is_found(folder: DataFolder) -> None:
    """Other commands find the URL of the server that holds the lock, as long as it does."""
    assert server_of(folder) is None
    with holder(folder, "http://127.0.0.1:8123"):
        assert server_of(folder) == "http://127.0.0.1:8123"
    assert server_of(folder) is None


def test_a_holder_that_is_no_server_has_no_url(folder: DataFolder) -> None:
    """A process that only fetches cannot be asked."""
    with holder(folder):
        assert server_of(folder) is None


def test_asking_for_the_server_leaves_no_lock(folder: DataFolder) -> None:
    """Who asks does not keep the next one from filling, and leaves no file where there was none."""
    assert server_of(folder) is None
    assert not folder.lock.exists()
    lock = FillLock(folder.lock)
    lock.release()
    assert server_of(folder) is None
    FillLock(folder.lock).release()


def test_a_disk_that_is_not_mounted(tmp_path: Path) -> None:
    """A data folder is not begun anew beside an index that knows one: its disk is missing, and nothing is written in its place."""
    root, database = tmp_path / "data", f"sqlite:///{tmp_path}/index.db"
    Store(root, database=database).close()
    root.rename(tmp_path / "unmounted")
    root.mkdir()
    with pytest.raises(DataFolderError, match=r"index\.db.*Mount"):
        Store(root, database=database)
    assert list(root.iterdir()) == []
    root.rmdir()
    (tmp_path / "unmounted").rename(root)
    Store(root, database=database).close()
