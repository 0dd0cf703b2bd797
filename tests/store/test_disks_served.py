"""A real mirror whose disk is full, read-only or damaged serves what is there, and says so."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import warm
from tests.disks import Disk, small_disk
from tests.origin import Origin
from tests.serving import HOST, PROGRAM, URL, environment, mirroring
from tests.status.streams import Viewer


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk", "4m") as disk:
        yield disk


def said(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What a command ends with, beside no server."""
    return warm.run(*arguments, "--data", data, env=environment(data, {}))


@pytest.mark.parametrize("read_only", [False, True], ids=["full", "read-only"])
def test_a_disk_that_takes_nothing_is_served_from(disk: Disk, shared_origin: Origin, tmp_path: Path, read_only: bool) -> None:
    """After a restart hits are served, misses are 507 in a sentence, `/status` and `/` say why, and commands that read work."""
    for name in ("here", "new"):
        shared_origin.add(f"/sets/{name}", name.encode() * 10)
    mirror = mirroring(shared_origin, disk.root, min_free=0)
    with mirror:
        assert mirror.archive("/sets/here").status == 200
        mirror.stop()
        disk.read_only() if read_only else disk.fill()
        mirror.start()
        assert mirror.archive("/sets/here").body == b"here" * 10
        refused = mirror.archive("/sets/new")
        assert refused.status == 507
        assert "bug" not in refused.problem["hint"]
        assert mirror.get("/readyz").status == 200
        why = "Read-only file system" if read_only else "No space left on device"
        assert why in mirror.status["store"]["troubles"][0]
        assert why.encode() in mirror.get("/").body
        mirror.stop()
        mirror.start("--offline")
        assert mirror.archive("/sets/here").status == 200
        mirror.stop()
        for command in (["ls"], ["have"], ["verify"], ["export", str(tmp_path / "bundle.tar"), "--all"]):
            done = said(mirror.data, *command)
            assert done.returncode == 0, done.stderr
            assert "Traceback" not in done.stderr


def test_pages_of_a_full_disk(disk: Disk, shared_origin: Origin) -> None:
    """Every page can be read, and events are told, though what happened meanwhile cannot be written down."""
    shared_origin.add("/sets/here", b"here")
    with mirroring(shared_origin, disk.root, min_free=0) as mirror:
        assert mirror.archive("/sets/here").status == 200
        disk.fill()
        assert mirror.api("reload").status == 507  # the log of changes has no room for its line
        for path in ("/", "/activity", "/archives", f"/archives/{HOST}/sets/here", "/datasets", "/origins", "/wanted", "/status/changes"):
            assert mirror.get(path).status == 200, path
        with Viewer(mirror) as viewer:
            assert viewer.until("health")["state"] == "degraded"
        disk.empty()


def test_a_garbled_index_beside_a_running_mirror(shared_origin: Origin, tmp_path: Path) -> None:
    """Requests get 503 that names the way out, or what is in memory; pages say so; the log says it once, without a traceback."""
    shared_origin.add("/sets/one", b"one")
    shared_origin.add("/sets/two", b"two")
    with mirroring(shared_origin, tmp_path / "data") as mirror:
        for _ in range(2):
            assert mirror.archive("/sets/one").status == 200
        mirror.archive("/sets/two")
        mirror.stop()
        mirror.start()
        assert mirror.archive("/sets/one").status == 200
        index = mirror.data / "index.db"
        with index.open("r+b") as file:
            file.seek(4096)
            file.write(os.urandom(index.stat().st_size - 4096))
        answers = [mirror.archive("/sets/two") for _ in range(20)]
        assert {answer.status for answer in answers} <= {200, 503}
        refused = [answer for answer in answers if answer.status == 503]
        assert all("doctor --rebuild" in answer.problem["hint"] for answer in refused)
        assert mirror.archive("/sets/one").body == b"one"
        if refused:
            assert mirror.get("/readyz").status == 503
            assert "doctor --rebuild" in json.dumps(mirror.status["store"]["troubles"])
            assert b"doctor --rebuild" in mirror.get("/").body
        assert mirror.log.count("is damaged") <= 1


def test_a_bomb_is_refused(shared_origin: Origin, tmp_path: Path) -> None:
    """What decodes to more than there is room for is refused with figures, nothing of it stays, and others go on."""
    shared_origin.add("/sets/bomb.bin", bytes(40_000_000), gzip="encode")
    shared_origin.add("/sets/small", b"small")
    with mirroring(shared_origin, tmp_path / "data", max_size=10_000_000) as mirror:
        answer = mirror.archive("/sets/bomb.bin")
        assert answer.status == 507
        assert answer.problem["type"].endswith("store-full")
        assert list((mirror.data / "partial").iterdir()) == []
        assert mirror.archive("/sets/small").body == b"small"
        assert mirror.status["store"]["promised"] == 0


def test_decoded_bytes_can_be_evicted(shared_origin: Origin, tmp_path: Path) -> None:
    """Bytes that were decoded make room for others as any do, though their origin's size is another one."""
    shared_origin.add("/sets/decoded.bin", bytes(600_000), gzip="encode")
    shared_origin.add("/sets/other", b"x" * 600_000)
    with mirroring(shared_origin, tmp_path / "data", max_size=1_000_000) as mirror:
        assert mirror.archive("/sets/decoded.bin").status == 200
        assert mirror.archive("/sets/other").status == 200
        kept = json.loads(mirror.get("/status/archives").body)["archives"]
        assert [one["url"] for one in kept] == [f"{URL}/sets/other"]


@pytest.mark.parametrize("command", ["serve", "ls", "fetch", "doctor"])
def test_a_file_as_data_folder(tmp_path: Path, command: str) -> None:
    """It is said in a sentence, never by a traceback."""
    (tmp_path / "file").write_bytes(b"")
    done = subprocess.run(
        [PROGRAM, command, *(["keras/mnist"] if command == "fetch" else []), "--data", str(tmp_path / "file")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment(tmp_path, {"offline": "true"}),
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert str(tmp_path / "file") in done.stdout + done.stderr
