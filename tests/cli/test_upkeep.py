"""ls, status, explain, verify, rm and gc, run as a person runs them: beside a live server, and without one."""

import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import warm
from tests.origin import Origin, body
from tests.serving import HOST, PATIENCE, PROGRAM, URL, Mirror, environment, mirroring

A, B = f"{URL}/sets/a.bin", f"{URL}/sets/b.bin"


@dataclass
class Desk:
    """A data folder with two archives, the origin they came from, and a shell to type commands into."""

    data: Path
    origin: Origin
    settings: dict[str, Any]

    def run(self, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        known = environment(self.data.parent, {"data": str(self.data)} | self.settings)
        return warm.run(*arguments, cwd=self.data.parent, env=known, typed=typed)

    def urls(self) -> list[str]:
        return [json.loads(line)["url"] for line in self.run("ls", "--json").stdout.splitlines()]

    def damage(self, size: int) -> None:
        (blob,) = (blob for blob in (self.data / "blobs").glob("sha256/*/*") if blob.stat().st_size == size)
        blob.write_bytes(b"?" * size)


@pytest.fixture(params=["beside a server", "without a server"])
def desk(request: pytest.FixtureRequest, origin: Origin, tmp_path: Path) -> Iterator[Desk]:
    origin.add("/sets/a.bin", body(3000, 1))
    origin.add("/sets/b.bin", body(1000, 2))
    with mirroring(origin, tmp_path / "data") as mirror:
        for path in ("/sets/a.bin", "/sets/b.bin", "/sets/b.bin"):
            assert mirror.archive(path).status == 200
        if request.param == "without a server":
            mirror.stop()
        yield Desk(mirror.data, origin, {name: value for name, value in mirror._settings.items() if name != "grace"})


def test_ls(desk: Desk) -> None:
    """One line per archive with size, state and URL, and a sum; sorted and filtered as asked; JSON for programs."""
    done = desk.run("ls")
    assert (done.returncode, done.stderr) == (0, "2 archives, 4.0 kB\n")
    assert [line.split()[-1] for line in done.stdout.splitlines()] == [A, B]
    assert done.stdout.splitlines()[0].split()[:3] == ["3.0", "kB", "computed"]
    assert [line.split()[-1] for line in desk.run("ls", "--sort", "size").stdout.splitlines()] == [B, A]
    assert [line.split()[-1] for line in desk.run("ls", "--sort", "size", "--reverse", B, A).stdout.splitlines()] == [A, B]
    assert desk.run("ls", "--state", "verified").stdout == ""
    assert desk.run("ls", "--origin", HOST, "https://data.example.org/sets/a*").stdout.count("\n") == 1
    known = json.loads(desk.run("ls", "--json", B).stdout)
    assert (known["url"], known["size"], known["state"]) == (B, 1000, "computed")
    assert known["sha256"] in desk.run("ls", "--long", B).stdout


def test_ls_of_what_is_not_there(desk: Desk) -> None:
    """A name that means nothing is wrong usage."""
    done = desk.run("ls", "keras/mnist")
    assert (done.returncode, done.stdout) == (2, "")
    assert "No stored archive matches 'keras/mnist'" in done.stderr


def test_status(desk: Desk) -> None:
    """What is stored, what may still come, and where, in a few lines; JSON for programs."""
    done = desk.run("status")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"2 archives, 4.0 kB in {desk.data}" in done.stdout
    assert "1.0 GB stay free (min_free)" in done.stdout
    known = json.loads(desk.run("status", "--json").stdout)
    assert (known["archives"], known["store"]["blob_bytes"]) == (2, 4000)


def test_explain(desk: Desk) -> None:
    """Hit, miss and refusal, each with its reason; a refusal ends with 1."""
    hit, miss = desk.run("explain", A), desk.run("explain", f"{URL}/sets/new.bin")
    assert (hit.returncode, hit.stdout.split()[0]) == (0, "HIT")
    assert (miss.returncode, miss.stdout.split()[0]) == (0, "MISS")
    no = desk.run("explain", "https://other.example.org/x.zip")
    assert (no.returncode, no.stdout.split()[0]) == (1, "REFUSAL")
    assert "dataset-mirror add 'https://other.example.org/x.zip'" in no.stdout
    assert desk.run("explain", "ftp://x/y").returncode == 2


def test_verify(desk: Desk) -> None:
    """A damaged blob is told and fetched again; in the end all are good."""
    done = desk.run("verify")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "2 of 2 archives are good (4,000 bytes).")
    desk.damage(1000)
    done = desk.run("verify")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["good", "damaged", "fetched", "2"]
    assert (desk.data / "tree" / HOST / "sets" / "b.bin").read_bytes() == body(1000, 2)


def test_verify_without_an_origin(desk: Desk) -> None:
    """A damaged blob that cannot be fetched again ends with 1, and says why."""
    desk.damage(1000)
    desk.origin.change("/sets/b.bin", status=404)
    done = desk.run("verify", B)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "0 of 1 archive is good (0 bytes), 1 failed."
    assert "404" in done.stderr
    assert desk.urls() == [A]


def test_rm_asks(desk: Desk) -> None:
    """What would go is shown, and only a yes removes it."""
    for typed in ("n\n", ""):
        done = desk.run("rm", B, typed=typed)
        assert done.returncode == 1
        assert B in done.stdout
    assert desk.urls() == [A, B]
    assert desk.run("rm", B, typed="y\n").stdout.splitlines()[-1].endswith("Removed 1 archive; 1.0 kB are free again.")
    assert desk.urls() == [A]


def test_rm_by_glob(desk: Desk) -> None:
    """With --yes it does not ask; a glob of URLs means several."""
    done = desk.run("rm", "--yes", f"{URL}/sets/*")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "Removed 2 archives; 4.0 kB are free again.")
    assert desk.urls() == []
    assert desk.run("rm", "--yes", f"{URL}/sets/*").returncode == 2


def test_gc(desk: Desk) -> None:
    """A dry run tells what would go, and nothing goes; then it goes."""
    assert desk.run("gc").stdout == "There was nothing to remove.\n"
    orphan = desk.data / "blobs" / "sha256" / "cd" / ("cd" * 32)
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"x" * 5000)
    leftover = desk.data / "partial" / "1-1"
    leftover.write_bytes(b"x" * 2000)
    os.utime(leftover, (time.time() - 3600,) * 2)
    done = desk.run("gc", "--dry-run")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "Would free 7.0 kB. Nothing was removed.")
    assert orphan.exists()
    assert leftover.exists()
    assert desk.run("gc").stdout.splitlines()[-1] == "Freed 7.0 kB."
    assert not orphan.exists()
    assert not leftover.exists()
    assert desk.urls() == [A, B]


def test_gc_over_a_limit(desk: Desk) -> None:
    """Archives over max_size go if their origin confirms them; if it does not, the end is 1 and says what helps."""
    if (desk.data / "serve.lock").read_bytes().strip():
        pytest.skip("a running server has its own max_size")
    desk.settings["max_size"] = 1500
    done = desk.run("gc")
    assert (done.returncode, desk.urls()) == (0, [B])
    desk.settings["max_size"] = 500
    desk.origin.change("/sets/b.bin", etag='"other"')
    done = desk.run("gc")
    assert (done.returncode, desk.urls()) == (1, [B])
    assert "gc --last-copies" in done.stderr
    assert desk.run("gc", "--last-copies").returncode == 0
    assert desk.urls() == []


@pytest.mark.parametrize("command", [["ls"], ["status"], ["verify"], ["rm", "x/y"], ["gc"], ["explain", A]], ids=lambda command: command[0])
def test_a_folder_without_a_mirror(tmp_path: Path, command: list[str]) -> None:
    """A mistyped data folder is one sentence, and is not made."""
    known = environment(tmp_path, {})
    done = warm.run(*command, "--data", tmp_path / "typo", env=known)
    assert (done.returncode, done.stdout) == (1, "")
    assert "There is no mirror's data in" in done.stderr
    assert not (tmp_path / "typo").exists()


def test_watching(origin: Origin, mirror: Mirror, tmp_path: Path) -> None:
    """`status --watch` on a terminal shows a download as it grows, and Ctrl-C ends it with 0."""
    origin.add("/sets/slow.bin", body(3_000_000), stall_after=2_000_000)
    ours, theirs = pty.openpty()
    known = environment(tmp_path, {"data": str(mirror.data)}) | {"TERM": "xterm", "COLUMNS": "200"}
    with subprocess.Popen(
        [PROGRAM, "fetch", f"{URL}/sets/slow.bin"],
        env=known | {"DATASET_MIRROR_ORIGINS": json.dumps([{"url": URL, "paths": ["/sets/"]}])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as fetching:
        with subprocess.Popen([PROGRAM, "status", "--watch"], env=known, stdin=theirs, stdout=theirs, stderr=theirs) as watching:
            os.close(theirs)
            seen = b""
            while b"of 3.0 MB" not in seen:
                seen += os.read(ours, 10_000)
            watching.send_signal(signal.SIGINT)
            while True:
                try:
                    if not os.read(ours, 10_000):
                        break
                except OSError:  # the terminal is closed
                    break
            assert watching.wait(PATIENCE) == 0
        fetching.kill()
    os.close(ours)
    assert b"slow.bin" in seen
    assert b"Traceback" not in seen
