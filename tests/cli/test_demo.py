"""`demo`, run as a person runs it: as a process of its own."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from dataset_mirror.origins.presets import read_preset
from dataset_mirror.origins.routing import Target, find_archive
from dataset_mirror.origins.table import Origins
from tests.serving import PATIENCE

DEMO = (sys.executable, "-P", "-m", "dataset_mirror.cli", "demo")
SPOILED = """
from dataset_mirror.cli.demo import command as demo
real = demo.generated
demo.generated = lambda name, size, damaged=False: real(name, size // 10)
demo.command()
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the user stands: beside a mirror.toml and a folder `app` that would spoil the demo."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").write_text("raise SystemExit('the wrong app')")
    (tmp_path / "mirror.toml").write_text("this is no TOML")
    return tmp_path


def environment(place: Path) -> dict[str, str]:
    """The test's, with a temporary folder of its own, and a user's settings and proxies that would spoil the demo."""
    proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"), "http://127.0.0.1:9")
    settings = {"DATASET_MIRROR_OFFLINE": "true", "DATASET_MIRROR_PORT": "none", "DATASET_MIRROR_CONFIG": str(place / "mirror.toml")}
    return {**os.environ, **proxies, **settings, "TMPDIR": str(place / "tmp")}


def run(place: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=place, env=environment(place), capture_output=True, text=True, timeout=2 * PATIENCE, check=False)


def left_behind(place: Path) -> list[str]:
    """Files in the demo's temporary folder, and processes that were started with it."""
    mark = f"TMPDIR={place / 'tmp'}".encode()
    found = [str(file) for file in (place / "tmp").iterdir()]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_text())
        except OSError:
            continue  # another user's, or just ended
    return found


@pytest.mark.timed
def test_figures_hold(place: Path) -> None:
    """Every claim holds in the figures themselves, whatever settings, proxies and folders the user has; nothing is left."""
    done = run(place, *DEMO, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    figures: dict[str, Any] = json.loads(done.stdout)
    assert figures["held"] is True
    assert figures["failed"] == []
    assert figures["seconds"] < 30
    direct, miss, hit, crowd = (figures[step] for step in ("direct", "miss", "hit", "crowd"))
    assert miss["sha256"] == hit["sha256"] == direct["sha256"]
    assert miss["first_byte"] < direct["seconds"] / 2
    assert hit["times_faster"] == pytest.approx(direct["seconds"] / hit["seconds"])
    assert (crowd["right"], crowd["origin_requests"], crowd["served_bytes"]) == (20, 1, 20 * crowd["origin_bytes"])
    assert (figures["range"]["status"], figures["range"]["bytes"]) == (206, 1024)
    assert figures["damaged"]["client_saw"]
    assert figures["damaged"]["expected"] in figures["damaged"]["mirror_said"]
    assert figures["damaged"]["got"] in figures["damaged"]["mirror_said"]
    assert figures["gone"]["bytes"] == 2 * direct["bytes"]
    assert left_behind(place) == []


@pytest.mark.timed
def test_lines_in_a_pipe(place: Path) -> None:
    """In a pipe: plain lines of at most 80 columns, no control codes, and at the end two commands that work."""
    done = run(place, *DEMO)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert all(line.isprintable() and len(line) <= 80 for line in lines)
    assert [line[:1] for line in lines if line[:1].isdigit()] == list("123456")
    *_, serve, curl = lines
    assert serve == "dataset-mirror serve"
    path = urlsplit(curl.split()[-1]).path
    keras = Origins([read_preset("keras", place)])
    archive = find_archive(Target(path.encode(), hosts=("127.0.0.1:8080",)), keras, 8080)
    assert archive is not None
    assert keras.expected(archive)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_nothing_behind(place: Path, number: signal.Signals) -> None:
    """Ctrl-C, even twice, ends it in the middle of a step with 1 and one sentence; no file and no process stays."""
    with subprocess.Popen(DEMO, cwd=place, env=environment(place), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        assert any(line.startswith("2 hit") for line in demo.stdout)  # now 20 clients are at work
        assert len(left_behind(place)) == 3  # its folder, itself, and its mirror
        demo.send_signal(number)
        demo.send_signal(number)
        _, said = demo.communicate(timeout=PATIENCE)
    assert (demo.returncode, said) == (1, "Stopped; nothing is left behind.\n")
    assert left_behind(place) == []


@pytest.mark.timed
def test_a_claim_that_does_not_hold(place: Path) -> None:
    """An origin that is not damaged is not refused: the demo says which claims do not hold, and ends with 1."""
    done = run(place, sys.executable, "-P", "-c", SPOILED)
    assert done.returncode == 1
    assert "DOES NOT HOLD: the client sees an error, never a wrong file\n" in done.stdout
    assert "DOES NOT HOLD: nothing is kept\n" in done.stdout
    assert "Not everything held" in done.stdout
    assert "dataset-mirror serve" not in done.stdout
    assert "Fetched https://archives.example/bad.zip" in done.stderr
    assert left_behind(place) == []


def test_a_reader_that_leaves(place: Path) -> None:
    """`demo | head -1` ends without a traceback and leaves nothing."""
    with subprocess.Popen(DEMO, cwd=place, env=environment(place), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        demo.stdout.readline()
        demo.stdout.close()
        assert demo.wait(timeout=PATIENCE) == 1
        assert demo.stderr.read() == ""
    assert left_behind(place) == []


def test_no_temporary_folder(place: Path) -> None:
    """Without a place to write, one sentence says so."""
    wrapper = "import tempfile; tempfile.tempdir = '/nowhere/at/all'; from dataset_mirror.cli import main; main(['demo'])"
    done = run(place, sys.executable, "-P", "-c", wrapper)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "TMPDIR" in done.stderr
