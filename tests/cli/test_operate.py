"""du, top, log, clients, ls on a terminal, completion, man, exit codes, and Ctrl-C: what an operator types."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import pytest

from dataset_mirror.cli import COMMANDS, program
from dataset_mirror.cli.columns import shortened
from dataset_mirror.cli.log import seconds_since
from dataset_mirror.cli.total import Total
from dataset_mirror.errors import UsageError
from tests import warm
from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, PATIENCE, PROGRAM, URL, Mirror, environment

GOOGLE = "storage.googleapis.com"
BOSTON = "/tensorflow/tf-keras-datasets/boston_housing.npz"
FILE = Path(__file__).parents[1] / "data" / "origin" / GOOGLE / BOSTON.lstrip("/")
SIZE = FILE.stat().st_size


@pytest.fixture(scope="module")
def used(start_shared_mirror: StartMirror, shared_origin: Origin) -> Mirror:
    """A mirror that was used: two archives of equal bytes, and one of the catalog."""
    shared_origin.add("/sets/a.bin", body(3000))
    shared_origin.add(f"/sets/{'long/' * 20}b.bin", body(3000))
    shared_origin.add(BOSTON, FILE)
    mirror = start_shared_mirror()
    for path in (f"/{HOST}/sets/a.bin", f"/{HOST}/sets/{'long/' * 20}b.bin", f"/{GOOGLE}{BOSTON}", f"/{HOST}/sets/a.bin"):
        assert mirror.get(path).status == 200
    mirror.archive("/sets/none.bin")
    return mirror


def known(mirror: Mirror, **more: str) -> dict[str, str]:
    return environment(mirror.data.parent, {"data": str(mirror.data)} | mirror._settings) | more


def run(mirror: Mirror, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """A command on the mirror's data folder."""
    return warm.run(*arguments, cwd=mirror.data.parent, env=known(mirror, **more))


def rows(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def on_terminal(mirror: Mirror, *arguments: str, interrupt: str = "", **more: str) -> tuple[int, str]:
    """The status and the output of a command on a terminal of 80 columns; Ctrl-C is typed when it has said `interrupt`."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, True)
    environ = known(mirror, TERM="xterm", **more)
    environ.pop("COLUMNS", None)
    import fcntl
    import struct
    import termios

    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen([PROGRAM, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=environ, start_new_session=True)
    os.close(theirs)
    said, typed = "", False
    while True:
        try:
            some = os.read(ours, 65536).decode(errors="replace")
        except OSError:
            break
        if not some:
            break
        said += some
        if interrupt and interrupt in said and not typed:
            typed = True
            process.send_signal(signal.SIGINT)
    os.close(ours)
    return process.wait(PATIENCE), said


def test_du_by_origin(used: Mirror) -> None:
    """By default bytes by origin, the largest first; equal bytes are counted once."""
    assert rows(run(used, "du", "--json")) == [
        {"origin": GOOGLE, "archives": 1, "size": SIZE},
        {"origin": HOST, "archives": 2, "size": 3000},
    ]
    done = run(used, "du")
    assert done.stdout.splitlines()[0].split() == ["size", "archives", "origin"]
    assert done.stderr.endswith("in all\n")


def test_du_by_others(used: Mirror) -> None:
    """By dataset, by last use, and what each client was sent."""
    assert [row["dataset"] for row in rows(run(used, "du", "--by", "dataset", "--json"))] == ["keras/boston_housing", f"(no name) {HOST}"]
    assert [(row["age"], row["archives"]) for row in rows(run(used, "du", "--by", "age", "--json"))] == [("today", 3)]
    (client,) = rows(run(used, "du", "--by", "client", "--json"))
    assert client["client"] == "127.0.0.1"
    assert client["size"] >= SIZE + 6000


def test_clients(used: Mirror) -> None:
    """Who asked, how often, and how much they were sent, answers from memory included."""
    (client,) = rows(run(used, "clients", "--json"))
    assert (client["address"], client["requests"], client["hits"], client["misses"]) == ("127.0.0.1", 5, 1, 3)
    assert run(used, "clients").stdout.splitlines()[0].split()[0] == "client"


def test_log(used: Mirror) -> None:
    """What was asked for lately, with its outcome, in local time; --since looks back so far."""
    found = rows(run(used, "log", "--json"))
    assert [row["outcome"] for row in found][:3] == ["miss"] * 3
    last = [row for row in found if row["status"] != 403][-1]  # those are of another test here
    assert last["status"] == 404
    assert "404" in last["why"]
    lines = run(used, "log", "--since", "2h").stdout.splitlines()
    assert lines[0].startswith(f"{datetime.now():%Y-%m-%d} ")
    assert "127.0.0.1" in lines[0]
    assert run(used, "log", "--since", f"{datetime.now():%Y-%m-%d} 23:59:59.9").stdout == ""
    assert run(used, "log", "--client", "192.0.2.1").stdout == ""
    assert run(used, "log", "--since", "soon").returncode == 2


@pytest.mark.parametrize(("text", "seconds"), [("10m", 600), ("2h", 7200), ("1d", 86_400), ("90 seconds ago", 90), ("1.5h", 5400)])
def test_since_as_a_duration(text: str, seconds: float) -> None:
    """A number and a unit is a duration."""
    assert seconds_since(text) == seconds


def test_since_as_a_moment() -> None:
    """A time of day is its last occurrence; a date with a time is that moment, in local time unless it says otherwise."""
    assert 0 <= seconds_since(f"{datetime.now():%H:%M}") < 61
    assert 0 <= seconds_since("00:00") <= 90_000
    assert abs(seconds_since(f"{datetime.now():%Y-%m-%dT%H:%M:%S}")) < 60
    for wrong in ("", "x", "25:00", "2026-13-01"):
        with pytest.raises(UsageError):
            seconds_since(wrong)


def test_who_is_told_of_clients(used: Mirror) -> None:
    """Who may not change the mirror is not told who uses it; without a running one nobody knows."""
    for path in ("/api/clients", "/api/log"):
        assert used.get(path).status == 403
        assert used.get(path, fields=used.key).status == 200


@pytest.mark.parametrize("command", ["clients", "log"])
def test_without_a_running_mirror(tmp_path: Path, command: str) -> None:
    """It says, in one line, that none is running."""
    done = warm.run(command, "--data", str(tmp_path / "none"), cwd=tmp_path, env=environment(tmp_path, {}))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "No mirror is running" in done.stderr


def test_top(used: Mirror) -> None:
    """Once or watched, it has the mirror's state and its clients; `status --watch` is the same."""
    assert "127.0.0.1" in run(used, "top", "--once").stdout
    assert json.loads(run(used, "top", "--json").stdout)["clients"][0]["address"] == "127.0.0.1"
    for command in (["top"], ["status", "--watch"]):
        status, said = on_terminal(used, *command, interrupt="Now: serving")
        assert (status, "Clients:" in said) == (0, True), said


def test_ls_on_a_terminal(used: Mirror) -> None:
    """It has a header, and no line is wider than the terminal: of a long URL the middle goes, not its end."""
    status, said = on_terminal(used, "ls")
    lines = said.replace("\r", "").splitlines()
    assert status == 0
    assert lines[0].split()[:2] == ["size", "state"]
    assert max(map(len, lines)) <= 80
    assert any("…" in line and line.endswith("b.bin") for line in lines)
    assert f"{URL}/sets/{'long/' * 20}b.bin" in run(used, "ls").stdout


@pytest.mark.parametrize("most", [1, 2, 10, 40])
def test_shortening(most: int) -> None:
    """What is shortened has exactly the columns there are, its beginning and more of its end."""
    text = "".join(chr(97 + number % 26) for number in range(60))
    found = shortened(text, most)
    assert len(found) == most
    assert found[-1] == text[-1]
    assert shortened("short", 10) == "short"


def test_no_color(used: Mirror) -> None:
    """Colours are for terminals whose user did not refuse them."""
    assert "\x1b[3" in on_terminal(used, "log")[1]
    assert "\x1b[3" not in on_terminal(used, "log", NO_COLOR="1")[1]
    assert "\x1b[" not in run(used, "log").stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_each_help_says_the_exit_status(name: str) -> None:
    """--help of every command says what its exit status means."""
    command = program.get_command(click.Context(program), name)
    assert command is not None
    assert (command.epilog or "").startswith("Exit status: ")


def test_what_speaks_json() -> None:
    """Every command has --json but those that start something else, or whose output has a form of its own."""
    without = set()
    for name in COMMANDS:
        command = program.get_command(click.Context(program), name)
        assert command is not None
        if not any("--json" in parameter.opts for parameter in command.params):
            without.add(name)
    assert without == {"serve", "run", "completion", "man"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str, tmp_path: Path) -> None:
    """The script is one that the shell takes, and the program proposes commands, options and names to it."""
    script = subprocess.run([PROGRAM, "completion", shell], capture_output=True, text=True, check=True, env=environment(tmp_path, {}))
    if (path := shutil.which(shell)) is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "script").write_text(script.stdout)
    flags = ["--no-execute"] if shell == "fish" else ["-n"]
    subprocess.run([path, *flags, tmp_path / "script"], check=True, capture_output=True)
    proposed = []
    for words in ("dataset-mirror fet", "dataset-mirror ls --so", "dataset-mirror fetch keras/mni"):
        ours = {"_DATASET_MIRROR_COMPLETE": f"{shell}_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
        ours["COMP_CWORD"] = words.split()[-1] if shell == "fish" else ours["COMP_CWORD"]
        done = subprocess.run([PROGRAM], capture_output=True, text=True, check=False, env=environment(tmp_path, {}) | ours)
        proposed.append(done.stdout)
    for said, wanted in zip(proposed, ("fetch", "--sort", "keras/mnist"), strict=True):
        assert wanted in said


def test_bash_completes(tmp_path: Path) -> None:
    """In a bash that has the script, what is begun is completed."""
    script = 'eval "$(dataset-mirror completion bash)"; COMP_WORDS=(dataset-mirror unp); COMP_CWORD=1; '
    script += '_dataset_mirror_completion dataset-mirror; printf "%s\\n" "${COMPREPLY[@]}"'
    path = f"{Path(PROGRAM).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=False, env=environment(tmp_path, {}) | {"PATH": path}
    )
    assert (done.stdout, done.stderr) == ("unpin\n", "")


def test_the_manual_page(tmp_path: Path) -> None:
    """It has every command, every option and every setting, and `man` shows it without a warning."""
    page = subprocess.run([PROGRAM, "man"], capture_output=True, text=True, check=True, env=environment(tmp_path, {})).stdout
    plain = page.replace("\\-", "-")
    for name in COMMANDS:
        assert f".SS dataset-mirror {name} " in plain
    assert "--log-format" in plain
    assert "DATASET_MIRROR_MAX_FILLS" in plain
    assert not re.search(r"^\.(?!TH|SH|SS|PP|TP|B |BR|I |RI|nf|fi)", page, re.MULTILINE)
    if shutil.which("man") is None:
        pytest.skip("man is not installed")
    (tmp_path / "dataset-mirror.1").write_text(page)
    ours = {**os.environ, "MANWIDTH": "100", "LC_ALL": "C.UTF-8", "MANPAGER": "cat"}
    done = subprocess.run(
        ["man", "--warnings", "-l", str(tmp_path / "dataset-mirror.1")], capture_output=True, text=True, check=False, env=ours
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "EXIT STATUS" in re.sub(".\b", "", done.stdout)


@pytest.mark.parametrize("where", ["beside a server", "alone"])
def test_ctrl_c_in_fetch(start_mirror: StartMirror, origin: Origin, where: str) -> None:
    """It ends with 130 and says what is kept, and what becomes of the rest."""
    origin.add("/sets/a.bin", body(1000))
    origin.add("/sets/slow.bin", body(2_000_000), rate=100_000)
    mirror = start_mirror()
    if where == "alone":
        mirror.stop()
    process = subprocess.Popen(
        [PROGRAM, "fetch", f"{URL}/sets/a.bin", f"{URL}/sets/slow.bin"],
        env=known(mirror),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("fetched")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, said
    assert "Interrupted. 1 of 2 archives is stored and kept." in said
    assert ("finishes the downloads that have started" in said) == (where == "beside a server")
    assert "Traceback" not in said


def test_who_reaches_it(tmp_path: Path) -> None:
    """`serve` says at its start when only this machine can reach it, and nothing of it otherwise."""
    for host, only_here in (("127.0.0.1", True), ("0.0.0.0", False)):
        process = subprocess.Popen(
            [PROGRAM, "serve", "--data", str(tmp_path / host), "--port", "0", "--host", host],
            env=environment(tmp_path, {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        said = process.stdout.readline()
        while "Try:" not in said:
            said += process.stdout.readline()
        process.terminate()
        said += process.stdout.read()  # not communicate: it does not know what was read ahead
        process.stdout.close()
        process.wait(PATIENCE)
        assert ("only this machine can reach it" in said) == only_here


def test_one_total() -> None:
    """The total has what is still to come; what was there is no work, and sizes that nobody knows are taken for the mean."""
    total = Total(4, {"//a/1": 1000, "//a/2": 3000, "//a/3": None, "//a/4": 500})
    assert total.size == 1000 + 3000 + 500 + 1500
    total.take("https://a/4", 500, 500, over=True, failed=False, there=True, now=0.0)
    assert (total.size, total.done) == (1000 + 3000 + 1500, 0)
    total.take("https://a/3", 0, 2000, over=False, failed=False, there=False, now=0.0)
    assert total.size == 6000


def test_what_is_left() -> None:
    """The time left is what is missing at the speed of the last seconds, whatever was there before."""
    total = Total(3, {"//a/1": 10_000, "//a/2": 10_000, "//a/3": 90_000})
    assert total.left(0.0) == ""
    total.take("https://a/3", 90_000, 90_000, over=True, failed=False, there=True, now=0.0)
    for second in range(1, 6):
        total.take("https://a/1", second * 1000, 10_000, over=False, failed=False, there=False, now=float(second))
    seconds = total.seconds(6.0)
    assert seconds is not None
    assert 12 <= seconds <= 18
    assert re.fullmatch(r"0:00:1\d left", total.left(6.0))
    total.take("https://a/1", 5000, 10_000, over=True, failed=True, there=False, now=6.0)
    assert total.size == 15_000


@pytest.mark.timed
def test_a_long_list_is_summed_quickly() -> None:
    """Ten thousand archives that are there are told of in a moment."""
    total = Total(10_000, {f"//a/{number}": 10 for number in range(10_000)})
    began = time.monotonic()
    for number in range(10_000):
        total.take(f"https://a/{number}", 10, 10, over=True, failed=False, there=True)
    assert total.size == 0
    assert time.monotonic() - began < 2
