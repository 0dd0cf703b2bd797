"""`serve`, run as a person runs it: what it says, and how it ends."""

import shlex
import signal
import socket
import subprocess
import time
from pathlib import Path

import click
import pytest

from dataset_mirror.cli import COMMANDS, _group
from tests import warm
from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, PATIENCE, PROGRAM, Mirror, environment

ARCHIVE = "/storage.googleapis.com/tensorflow/tf-keras-datasets/boston_housing.npz"
BOSTON = Path(__file__).parents[1] / "data" / "origin" / ARCHIVE.removeprefix("/")
QUICKLY = 5.0
"""Seconds that an end may take; the mirrors under test have one second of grace."""


def run(place: Path, *arguments: object, **settings: object) -> subprocess.CompletedProcess[str]:
    """The program with these arguments, until it ends by itself."""
    return warm.run(*arguments, cwd=place, env=environment(place, settings))


def complaint(done: subprocess.CompletedProcess[str], status: int) -> str:
    """What a program that ended with this status said: nothing but one line on standard error."""
    assert (done.returncode, done.stdout) == (status, ""), done
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("dataset-mirror: ")
    return done.stderr


@pytest.mark.parametrize("written", ['port = "many"', "prot = 8080", "port = ", 'presets = ["kreas"]'])
def test_a_wrong_setting_in_the_file(tmp_path: Path, written: str) -> None:
    """A wrong mirror.toml ends it with 2 and one line that names the file, or what is wrong in it."""
    (tmp_path / "mirror.toml").write_text(written + "\n")
    said = complaint(run(tmp_path, "serve", "--data", tmp_path), 2)
    assert str(tmp_path / "mirror.toml") in said or "kreas" in said


@pytest.mark.parametrize(("name", "value"), [("PORT", "none"), ("IDLE_TIMEOUT", "-1"), ("UPSTREAMS", "{"), ("PROT", "8080")])
def test_a_wrong_setting_in_the_environment(tmp_path: Path, name: str, value: str) -> None:
    """A wrong variable ends it with 2 and one line that names the variable."""
    assert f"DATASET_MIRROR_{name}" in complaint(run(tmp_path, "serve", "--data", tmp_path, **{name: value}), 2)


@pytest.mark.parametrize(("flag", "value"), [("--port", "70000"), ("--host", ""), ("--config", "nowhere.toml")])
def test_a_wrong_setting_as_a_flag(tmp_path: Path, flag: str, value: str) -> None:
    """A wrong value of a flag ends it with 2 and one line that names the flag."""
    assert flag in complaint(run(tmp_path, "serve", "--data", tmp_path, flag, value), 2)


def test_a_flag_of_the_wrong_type(tmp_path: Path) -> None:
    """A port that is no number ends it with 2, and says what was given."""
    done = run(tmp_path, "serve", "--port", "many")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'--port'" in done.stderr
    assert "'many'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["serv"], "Did you mean serve?"),
        (["ftech", "keras/mnist"], "Did you mean fetch?"),
        (["serve", "--ofline"], "--offline"),
        (["fetch", "--jsn", "keras/mnist"], "--json"),
    ],
)
def test_an_unknown_command_or_option(tmp_path: Path, arguments: list[str], meant: str) -> None:
    """A misspelt command or option ends with 2 and the right spelling."""
    done = run(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert meant in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_port_in_use(tmp_path: Path) -> None:
    """A port that another program listens at ends it with 1 and one line that names the port."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = complaint(run(tmp_path, "serve", "--data", tmp_path / "data", "--port", port), 1)
    assert f"Port {port} of 127.0.0.1 is in use." in said


def test_a_data_folder_in_use(mirror: Mirror) -> None:
    """A second server on the same data folder ends with 1 and says which process has it, at which URL."""
    said = complaint(run(mirror.data.parent, "serve", "--data", mirror.data, "--port", 0), 1)
    assert f"process {mirror.pid} at {mirror.url}." in said
    assert mirror.get("/healthz").status == 200


@pytest.mark.parametrize("options", [["serve", "--port", "0"], ["fetch", "keras/boston_housing"]], ids=["serve", "fetch"])
@pytest.mark.parametrize("configured", [False, True], ids=["defaults", "config"])
def test_a_data_folder_that_is_a_file(tmp_path: Path, options: list[str], configured: bool) -> None:
    """A file in the data folder's place stays as it is; one line names it, and the exit status is no success."""
    place = tmp_path / "data"
    place.write_text("mine")
    (tmp_path / "empty.toml").touch()
    config = ["--config", str(tmp_path / "empty.toml")] if configured else []
    done = run(tmp_path, *options, "--data", place, *config)
    assert str(place) in complaint(done, 1 if configured else done.returncode)
    assert done.returncode in (1, 2)
    assert place.read_text() == "mine"


@pytest.mark.timed
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_a_signal_ends_it(mirror: Mirror, origin: Origin, number: signal.Signals, busy: bool) -> None:
    """Ctrl-C and SIGTERM end it with 0, quickly, even while an origin keeps a client waiting; the client sees no whole answer."""
    origin.add("/sets/stalled.bin", body(1 << 20), stall_after=300_000)
    with socket.create_connection(("127.0.0.1", mirror.port), timeout=PATIENCE) as client:
        received = b""
        if busy:
            client.sendall(f"GET /{HOST}/sets/stalled.bin HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            received = client.recv(1 << 16)
            assert received.startswith(b"HTTP/1.1 200")
        began = time.monotonic()
        mirror.signal(number)
        mirror.ended(0)
        assert time.monotonic() - began < QUICKLY
        if busy:
            with pytest.raises(ConnectionResetError):
                received += b"".join(iter(lambda: client.recv(1 << 16), b""))
        assert len(received) < 1 << 20


def test_its_first_lines(mirror: Mirror, origin: Origin, tmp_path: Path) -> None:
    """It prints where it listens, where its data is, and a curl line that works as it stands."""
    origin.add(ARCHIVE.removeprefix("/storage.googleapis.com"), BOSTON)
    assert mirror.process is not None
    assert mirror.process.stdout is not None
    data, attempt = mirror.process.stdout.readline().split(), mirror.process.stdout.readline()
    assert data[:2] == ["Data:", str(mirror.data)]
    label, _, line = attempt.partition(" ")
    assert label == "Try:"
    command = shlex.split(line)
    assert command == ["curl", "-fO", mirror.url + ARCHIVE]
    answer = mirror.get(command[-1].removeprefix(mirror.url))
    assert (answer.status, answer.body) == (200, BOSTON.read_bytes())
    assert mirror.get("/healthz").status == 200


def test_offline_after_a_restart(start_mirror: StartMirror, origin: Origin) -> None:
    """Restarted with --offline and without its origin, it gives the same bytes and ETag; what it does not have is a 504."""
    origin.add("/sets/there.bin", body(300_000))
    mirror = start_mirror()
    before = mirror.archive("/sets/there.bin")
    assert before.status == 200
    origin.stop()
    mirror.restart("--offline")
    after = mirror.archive("/sets/there.bin")
    assert (after.status, after.body, after.fields["etag"]) == (200, before.body, before.fields["etag"])
    assert before.fields["etag"]
    missing = mirror.archive("/sets/missing.bin")
    assert missing.status == 504
    assert missing.problem["title"] == "The mirror is offline and does not have this archive"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command(tmp_path: Path, name: str) -> None:
    """`--help` of a command lists all of its options, each with a sentence where it is not plain."""
    command = _group.get_command(click.Context(_group), name)
    assert command is not None
    known = environment(tmp_path, {})  # from its first byte on: each verb loads what it needs, and nothing else is loaded
    done = subprocess.run([PROGRAM, name, "--help"], cwd=tmp_path, env=known, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    shown = [parameter for parameter in command.params if isinstance(parameter, click.Option) and not parameter.hidden]
    options = [spelling for parameter in shown for spelling in parameter.opts]
    assert options
    assert [each for each in [*options, "--help"] if each not in done.stdout] == []


def test_help_of_the_program(tmp_path: Path) -> None:
    """`--help` of the program lists all of its commands, and `--version` says which one it is."""
    done = run(tmp_path, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert [name for name in COMMANDS if f"  {name} " not in done.stdout] == []
    assert run(tmp_path, "--version").stdout.startswith("dataset-mirror ")
