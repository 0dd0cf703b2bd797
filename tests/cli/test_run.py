"""`run`: one program led through the mirror."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from dataset_mirror.rules import environment as names
from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import PATIENCE, PROGRAM, URL, Mirror, environment
from tests.status.test_setup import authorities, evaluated

SET = (*names.PROXY, *names.EXCEPT, *names.TRUST, names.WGET)
TELL = "import json, os; print(json.dumps(dict(os.environ)))"


@pytest.fixture(scope="module")
def shared(start_shared_mirror: StartMirror) -> Mirror:
    """A mirror of `shared_origin`."""
    return start_shared_mirror()


def outside(home: Path) -> dict[str, str]:
    """An environment in which no proxy and no authority is set."""
    return {name: value for name, value in environment(home, {}).items() if name not in SET}


def started(home: Path, *arguments: str, known: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """`dataset-mirror run` with these arguments."""
    return subprocess.Popen(
        [PROGRAM, "run", *arguments],
        cwd=home,
        env=outside(home) | dict(known or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(home: Path, *arguments: str, known: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Exit status and output of `dataset-mirror run`."""
    with started(home, *arguments, known=known) as process:
        said, errors = process.communicate(timeout=PATIENCE)
    return process.returncode, said, errors


def test_the_environment(shared: Mirror, tmp_path: Path) -> None:
    """The program has what /setup.sh sets in a shell, of the same bundle, and all else as it was."""
    status, said, _ = run(tmp_path, "--mirror", shared.url, "--", sys.executable, "-c", TELL, known={"MINE": "1", "no_proxy": "a.lab"})
    known = json.loads(said)
    in_shell, _ = evaluated(shared.url, tmp_path, known={"no_proxy": "a.lab"})
    assert status == 0
    assert known["MINE"] == "1"
    same = (*names.PROXY, *names.EXCEPT)
    assert {name: known[name] for name in same} == {name: in_shell[name] for name in same}
    assert {known[name] for name in names.TRUST} == {known["SSL_CERT_FILE"]}
    bundle = Path(known["SSL_CERT_FILE"])
    assert bundle.read_bytes() == Path(in_shell["SSL_CERT_FILE"]).read_bytes()
    assert Path(known["WGETRC"]).read_text() == f"ca_certificate = {bundle}\n"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (bundle.parents[2], bundle)] == [0o700, 0o600]
    assert not set(names.PLAIN_PROXY) & known.keys()


def test_inside_of_setup(shared: Mirror, tmp_path: Path) -> None:
    """Where /setup.sh or `run` led already, nothing changes but the folder; the mirror's authority is not taken for the client's."""
    known, _ = evaluated(shared.url, tmp_path)
    _, said, _ = run(
        tmp_path, "--mirror", shared.url, "--", PROGRAM, "run", "--mirror", shared.url, sys.executable, "-c", TELL, known=known
    )
    inside = json.loads(said)
    assert authorities(inside["SSL_CERT_FILE"]) == authorities(known["SSL_CERT_FILE"])
    assert inside["NO_PROXY"] == known["NO_PROXY"]


def test_a_download(shared: Mirror, shared_origin: Origin, tmp_path: Path) -> None:
    """A program that knows nothing of a mirror gets the archive from it, by default from the live one of the data folder."""
    shared_origin.add("/sets/run.bin", body(10_000))
    load = f"import urllib.request; print(len(urllib.request.urlopen('{URL}/sets/run.bin').read()))"
    for _ in range(2):
        assert run(tmp_path, "--data", str(shared.data), "--", sys.executable, "-c", load)[:2] == (0, "10000\n")
    assert len(shared_origin.gets("/sets/run.bin")) == 1


def test_plain_http(shared: Mirror, tmp_path: Path) -> None:
    """--http leads plain http this way, too."""
    _, said, _ = run(tmp_path, "--http", "--mirror", shared.url, sys.executable, "-c", TELL)
    assert {json.loads(said)[name] for name in names.PLAIN_PROXY} == {shared.url}


@pytest.mark.parametrize("code", [0, 3])
def test_the_exit_code(shared: Mirror, tmp_path: Path, code: int) -> None:
    """The program's exit code is the command's; its options are its own."""
    assert run(tmp_path, "--mirror", shared.url, "--", "sh", "-c", f"exit {code}", "--help")[0] == code


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals(shared: Mirror, tmp_path: Path, number: signal.Signals) -> None:
    """A signal reaches the program, which does what it does about it."""
    wait = f"import signal, sys; signal.signal({int(number)}, lambda *_: sys.exit(7)); print('ready', flush=True); signal.pause()"
    with started(tmp_path, "--mirror", shared.url, "--", sys.executable, "-c", wait) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.wait(PATIENCE) == 7


def test_a_program_that_is_killed(shared: Mirror, tmp_path: Path) -> None:
    """A program killed by a signal is seen as killed by it: 128 + its number, for a shell."""
    command = f"{PROGRAM} run --mirror {shared.url} -- sh -c 'kill -TERM $$'; echo $?"
    done = subprocess.run(["sh", "-c", command], env=outside(tmp_path), capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stdout == f"{128 + signal.SIGTERM}\n"


def test_a_broken_pipe(shared: Mirror, tmp_path: Path) -> None:
    """The program does not inherit that Python ignores SIGPIPE."""
    ignored = "grep SigIgn /proc/self/status"
    _, said, _ = run(tmp_path, "--mirror", shared.url, "--", "sh", "-c", ignored)
    assert int(said.split()[1], 16) & (1 << (signal.SIGPIPE - 1)) == 0


def test_what_cannot_be_run(shared: Mirror, tmp_path: Path) -> None:
    """A program that is not there ends as in a shell, with a sentence; so does one that cannot be run."""
    status, _, said = run(tmp_path, "--mirror", shared.url, "--", "no-such-program")
    assert (status, said) == (127, "dataset-mirror: no-such-program cannot be run: No such file or directory.\n")
    assert run(tmp_path, "--mirror", shared.url, "--", os.fspath(tmp_path))[0] == 126
    status, _, said = run(tmp_path, "--mirror", shared.url, "--htpp", "true")
    assert (status, "No such option '--htpp'" in said) == (2, True)


def test_no_mirror(tmp_path: Path, shared_origin: Origin) -> None:
    """Without a mirror, or with something else in its place, the program is not run, and one sentence says why."""
    status, said, errors = run(tmp_path, "--data", str(tmp_path / "none"), "--", "echo", "run")
    assert (status, said) == (2, "")
    assert "dataset-mirror serve, or name one: --mirror" in errors
    for address, expected, word in (
        ("http://127.0.0.1:9", 1, "does not answer"),
        (shared_origin.url, 1, "has no certificate authority"),
        ("mirror.lab:8080", 2, "cannot be a proxy"),
        ("http://[::1", 2, "cannot be a proxy"),
    ):
        status, said, errors = run(tmp_path, "--mirror", address, "--", "echo", "run")
        assert (status, said) == (expected, ""), errors
        assert word in errors


def test_no_place_for_the_bundle(shared: Mirror, tmp_path: Path) -> None:
    """Without a folder for the bundle the program is not run."""
    (tmp_path / "file").write_text("")
    known = {"XDG_CACHE_HOME": str(tmp_path / "file")}
    status, said, errors = run(tmp_path, "--mirror", shared.url, "--", "echo", "run", known=known)
    assert (status, said) == (1, "")
    assert "XDG_CACHE_HOME" in errors
