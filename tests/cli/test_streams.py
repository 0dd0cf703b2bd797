"""Streams that are closed, full, or that nobody reads; terminals that know few characters; Ctrl-C at a question."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.serving import PATIENCE, environment

PROGRAM = f"{sys.executable} -m dataset_mirror.cli"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a mirror with a pin in it."""
    folder = tmp_path_factory.mktemp("pinned")
    known = environment(folder, {"data": str(folder / "data")})
    subprocess.run([*PROGRAM.split(), "pin", "keras/mnist"], env=known, capture_output=True, check=True, timeout=PATIENCE)
    return folder / "data"


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, data: Path) -> None:
    shutil.copytree(data, tmp_path / "data")


def shell(folder: Path, line: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A line for a shell, in which `dm` is the program and `data` its folder, with a pin in it."""
    known = environment(folder, {"data": str(folder / "data")}) | variables
    script = f'dm() {{ {PROGRAM} "$@"; }}; {line}'
    return subprocess.run(["bash", "-c", script], cwd=folder, env=known, capture_output=True, text=True, timeout=PATIENCE, check=False)


@pytest.mark.parametrize("command", ["pin", "have", "report --csv", "completion bash", "man"])
def test_a_full_disk_behind_the_output(tmp_path: Path, command: str) -> None:
    """A command whose words the disk does not take has failed, and says why in one sentence."""
    done = shell(tmp_path, f"dm {command} > /dev/full")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "dataset-mirror: Something cannot be read or written: No space left on device."
    assert "Traceback" not in done.stderr
    assert "ignored" not in done.stderr


@pytest.mark.parametrize("command", ["pin", "have", "report --csv", "man"])
def test_nobody_reads_on(tmp_path: Path, command: str) -> None:
    """Whoever has read enough hears no complaint."""
    done = shell(tmp_path, f"dm {command} | true; exit $((PIPESTATUS[0] > 1))")
    assert done.returncode == 0
    assert {line.partition(" ")[2] for line in done.stderr.splitlines()} <= {"pin"}


@pytest.mark.parametrize(
    ("line", "status"),
    [
        pytest.param("dm have >&-", 0, id="no standard output"),
        pytest.param("dm verify --json 2>&-", 0, id="no standard error"),
        pytest.param("dm verify 2>&- >&-", 0, id="neither"),
        pytest.param("dm import - <&-", 1, id="no standard input"),
        pytest.param("dm export - --all >&-", 2, id="a bundle for nobody"),
    ],
)
def test_a_stream_that_is_closed(tmp_path: Path, line: str, status: int) -> None:
    """It is as good as one that leads nowhere; no file of the mirror takes its place."""
    done = shell(tmp_path, f"{line}; status=$?; cat data/pins.json; exit $status")
    assert done.returncode == status
    assert "Traceback" not in done.stderr


def test_a_terminal_that_knows_few_characters(tmp_path: Path) -> None:
    """What it cannot show is an escape; so is the name of a file that is no text."""
    (tmp_path / os.fsdecode(b"\xff.txt")).write_text("https://x.example/a.zip\n")
    done = shell(tmp_path, r"dm check $'\xff.txt'; dm doctor", PYTHONIOENCODING="latin-1")
    assert r"\udcff.txt:1" in done.stdout
    assert r"\u2192" in done.stdout
    assert "Traceback" not in done.stderr


def test_ctrl_c_at_a_question(tmp_path: Path) -> None:
    """It ends with 130 like anywhere else; "no" ends with 1."""
    for typed, status in ((b"\x03", 130), (b"n\n", 1)):
        ours, theirs = pty.openpty()
        asking = subprocess.Popen(
            [*PROGRAM.split(), "doctor", "--new-ca"],
            env=environment(tmp_path, {"data": str(tmp_path / "data")}),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),  # becomes its terminal
        )
        os.close(theirs)
        said = b""
        while b"[y/N]" not in said:
            said += os.read(ours, 4096)
        for _ in range(30):  # as people do: what is typed just before the answer is read may be lost
            os.write(ours, typed)
            with suppress(subprocess.TimeoutExpired):
                asking.wait(PATIENCE / 30)
                break
        assert asking.returncode == status
        os.close(ours)


def test_a_greeting_that_nobody_takes(tmp_path: Path) -> None:
    """A mirror whose greeting cannot be written serves all the same."""
    wait = "until grep -q greeting log || ! kill -0 $!; do sleep 0.1; done"
    done = shell(tmp_path, f"(exec {PROGRAM} serve --port 0 > /dev/full 2> log) & {wait}; dm status; kill $!; wait $!")
    assert done.returncode == 0
    assert done.stdout.startswith("http://127.0.0.1:")
