"""The state of the mirror, told honestly: on the page, by /status, /readyz, /metrics, and by the command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests import warm
from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, PATIENCE, URL, Mirror, environment

DATA = body(20_000, 9)


def checks(mirror: Mirror) -> dict[str, dict[str, Any]]:
    """The checks of /status, by name."""
    return {check["name"]: check for check in mirror.status["health"]["checks"]}


def run(mirror: Mirror, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command beside the mirror."""
    known = environment(mirror.data.parent, {"data": str(mirror.data)} | mirror._settings)
    return warm.run(*arguments, env=known)


def test_all_is_well(mirror: Mirror) -> None:
    """A mirror that has nothing to complain about says so everywhere, check by check."""
    health = mirror.status["health"]
    assert (health["state"], all(check["ok"] and check["detail"] and not check["hint"] for check in health["checks"])) == ("ok", True)
    assert set(checks(mirror)) == {"disk", "room", "index", "journal", "archives", "upstreams", "configuration", "clock"}
    assert json.loads(mirror.get("/readyz?writing=true").body) == {"status": "ready"}
    assert b'dataset_mirror_check_ok{check="disk"} 1.0' in mirror.get("/metrics").body
    assert b"Needs attention" not in mirror.get("/").body
    assert "PROBLEM" not in run(mirror, "status").stdout


def test_a_full_disk(origin: Origin, start_mirror: StartMirror) -> None:
    """A full disk is no green dot: the page, /status, /metrics and the command say it; reading stays ready, writing is not."""
    origin.add("/sets/a.bin", DATA)
    mirror = start_mirror()
    assert mirror.archive("/sets/a.bin").status == 200
    mirror._settings["min_free"] = 10**18
    mirror.restart()
    room = checks(mirror)["room"]
    assert (room["ok"], "min_free" in room["detail"], "gc" in room["hint"]) == (False, True, True)
    assert mirror.status["health"]["state"] == "degraded"
    ready = json.loads(mirror.get("/readyz").body)
    assert (ready["status"], ready["reading"], ready["writing"]) == ("read-only", True, False)
    writing = mirror.get("/readyz?writing=true")
    assert (writing.status, writing.problem["type"], writing.problem["writing"]) == (503, "urn:dataset-mirror:not-ready", False)
    assert mirror.archive("/sets/a.bin").body == DATA
    assert b'dataset_mirror_check_ok{check="room"} 0.0' in mirror.get("/metrics").body
    page = mirror.get("/").body
    assert b"<title>Degraded: Overview" in page
    assert b"favicon-degraded" in page
    assert b"The disk is full" in page
    assert "PROBLEM (room): The disk is full" in run(mirror, "status").stdout


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(mirror: Mirror) -> None:
    """A data folder without the right to write is told."""
    partial = mirror.data / "partial"
    partial.chmod(0o500)
    assert checks(mirror)["disk"]["ok"] is False
    partial.chmod(0o700)
    assert checks(mirror)["disk"]["ok"] is True


def test_a_folder_that_has_gone(mirror: Mirror) -> None:
    """A data folder that new archives cannot be written into is told, whoever runs the mirror, by the page, too."""
    partial = mirror.data / "partial"
    partial.rmdir()
    assert (checks(mirror)["disk"]["ok"], mirror.get("/readyz").status, mirror.get("/readyz?writing=1").status) == (False, 200, 503)
    page = mirror.get("/")
    assert (page.status, b"<title>Degraded: Overview" in page.body) == (200, True)
    assert json.loads(mirror.get("/status/usage").body)["partial"] == {"number": 0, "size": 0}
    partial.mkdir()


def test_a_refused_configuration(mirror: Mirror) -> None:
    """A configuration that was refused at SIGHUP is told until a right one is taken up."""
    file = mirror.data / "mirror.toml"
    file.write_text("nonsense = 1\n")
    mirror.signal(signal.SIGHUP)
    mirror_waits_for(mirror, lambda: not checks(mirror)["configuration"]["ok"])
    assert "nonsense" in checks(mirror)["configuration"]["detail"]
    file.write_text("")
    assert mirror.api("reload").status == 200
    assert checks(mirror)["configuration"]["ok"] is True


def test_an_upstream_on_hold(origin: Origin, mirror: Mirror) -> None:
    """An upstream that fails is told, with what it said."""
    origin.add("/sets/a.bin", DATA, status=500)
    assert mirror.archive("/sets/a.bin").status == 502
    told = checks(mirror)["upstreams"]
    assert (told["ok"], "500" in told["detail"]) == (False, True)
    assert mirror.status["health"]["state"] == "degraded"


def test_a_wrong_clock(origin: Origin, mirror: Mirror) -> None:
    """A clock that is hours off from the upstreams' is told."""
    origin.add("/sets/a.bin", DATA, headers={"Date": "Mon, 01 Jan 2024 00:00:00 GMT"})
    assert mirror.archive("/sets/a.bin").status == 200
    told = checks(mirror)["clock"]
    assert (told["ok"], "ahead" in told["detail"]) == (False, True)


def test_a_damaged_archive_whose_origin_is_away(origin: Origin, mirror: Mirror, tmp_path: Path) -> None:
    """It stays listed as damaged, is wanted, is on the exported list, and heals from a bundle made of that list."""
    for name in ("a", "b"):
        origin.add(f"/sets/{name}.bin", body(1000 + ord(name), ord(name)))
        assert mirror.archive(f"/sets/{name}.bin").status == 200
    bundle, listed, b = tmp_path / "bundle.tar", tmp_path / "wanted.txt", f"{URL}/sets/b.bin"
    assert run(mirror, "export", str(bundle), b).returncode == 0
    (blob,) = (blob for blob in mirror.blobs if blob.stat().st_size == 1000 + ord("b"))
    blob.write_bytes(b"?" * blob.stat().st_size)
    origin.change("/sets/b.bin", status=503)
    verified = run(mirror, "verify")
    assert (verified.returncode, "1 of 2 archives is good" in verified.stdout) == (1, True)
    for _ in range(2):  # over a restart, too
        assert (mirror.status["damaged"], mirror.status["wanted"], checks(mirror)["archives"]["ok"]) == (1, 1, False)
        assert b in checks(mirror)["archives"]["detail"]
        assert [json.loads(line)["url"] for line in run(mirror, "ls", "--json", "--state", "damaged").stdout.splitlines()] == [b]
        assert [json.loads(line)["state"] for line in run(mirror, "ls", "--json").stdout.splitlines()] == ["computed", "damaged"]
        mirror.restart()
    assert run(mirror, "wanted", "--export", str(listed)).returncode == 0
    assert b in listed.read_text()
    assert run(mirror, "import", str(bundle)).returncode == 0
    assert (mirror.status["damaged"], mirror.status["wanted"], checks(mirror)["archives"]["ok"]) == (0, 0, True)
    assert mirror.archive("/sets/b.bin").body == body(1000 + ord("b"), ord("b"))


def test_a_damaged_archive_comes_again(origin: Origin, mirror: Mirror) -> None:
    """When its origin answers again, the next `verify` fetches it, and it is neither damaged nor wanted any more."""
    origin.add("/sets/a.bin", DATA)
    assert mirror.archive("/sets/a.bin").status == 200
    mirror.blobs[0].write_bytes(b"?" * len(DATA))
    origin.change("/sets/a.bin", status=503)
    assert run(mirror, "verify").returncode == 1
    assert run(mirror, "ls", "--json").stdout.count("damaged") == 1
    origin.add("/sets/a.bin", DATA)
    assert run(mirror, "verify").returncode == 0
    assert (mirror.status["damaged"], mirror.status["wanted"]) == (0, 0)


def test_a_damaged_archive_that_nobody_needs(origin: Origin, mirror: Mirror) -> None:
    """`rm` takes a damaged archive off both lists."""
    origin.add("/sets/a.bin", DATA)
    assert mirror.archive("/sets/a.bin").status == 200
    mirror.blobs[0].write_bytes(b"?" * len(DATA))
    origin.change("/sets/a.bin", status=503)
    assert run(mirror, "verify").returncode == 1
    assert run(mirror, "rm", "--yes", f"{URL}/sets/a.bin").returncode == 0
    assert (mirror.status["damaged"], mirror.status["wanted"]) == (0, 0)


def test_failures_survive_a_restart(origin: Origin, mirror: Mirror) -> None:
    """What failed is told after a restart, too, at most fifty of it, until it comes after all."""
    for number in range(60):
        origin.add(f"/sets/{number}.bin", DATA, status=403)
        assert mirror.archive(f"/sets/{number}.bin").status == 403
    before = mirror.status["failures"]
    mirror.restart()
    assert mirror.status["failures"] == before
    assert (len(before), before[0]["url"], before[0]["status"]) == (50, f"{URL}/sets/59.bin", 403)
    origin.add("/sets/59.bin", DATA)
    assert mirror.archive("/sets/59.bin").status == 200
    assert f"https://{HOST}/sets/59.bin" not in [failure["url"] for failure in mirror.status["failures"]]


def mirror_waits_for(mirror: Mirror, event: Any) -> None:
    """Until the mirror has handled a signal."""
    import time

    until = time.monotonic() + PATIENCE
    while not event():
        assert time.monotonic() < until, mirror.log
        time.sleep(0.02)
