"""The image's command line, without an engine: its files built and installed as its Dockerfile says, run as another user."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypedDict

import pytest

from tests.image.dockerfile import ROOT, stages
from tests.origin import Origin
from tests.serving import Mirror
from tests.test_readme import outside, skip_without_index

pytestmark = pytest.mark.long

BUILD, IMAGE = stages()
PLACE = "/opt/mirror"
"""Where the image has its virtual environment."""
ARCHIVE = "/storage.googleapis.com/tensorflow/tf-keras-datasets/boston_housing.npz"
BOSTON = ROOT / "tests" / "data" / "origin" / ARCHIVE.removeprefix("/")
NOBODY = 40_000 + os.getpid() % 20_000
"""A user that nothing else is run as, if we may choose one."""


class User(TypedDict, total=False):
    """Who runs a process, as subprocess takes it."""

    user: int
    group: int
    extra_groups: tuple[int, ...]


AS_NOBODY: User = {"user": NOBODY, "group": NOBODY, "extra_groups": ()} if os.geteuid() == 0 else {}
WRITABLE = ("/tmp", "/var/tmp", "/dev/shm", "/run/lock")
"""Folders in which everybody may write."""


@dataclass(frozen=True)
class Installed:
    """The image's files in another place."""

    place: Path
    data: Path

    def environment(self, **settings: str) -> dict[str, str]:
        """What the image sets, and nothing else; in another place, on the loopback, at a free port."""
        known = {name: self.here(value) for name, value in IMAGE.environment.items()}
        ours = {"DATASET_MIRROR_DATA": str(self.data), "DATASET_MIRROR_HOST": "127.0.0.1", "DATASET_MIRROR_PORT": "0"}
        return known | ours | settings

    def here(self, text: str) -> str:
        return text.replace(PLACE, str(self.place / "mirror"))

    def run(self, command: list[str], **settings: str) -> subprocess.CompletedProcess[str]:
        """The command in the image's environment, as another user, until it ends."""
        known = self.environment(**settings)
        return subprocess.run(
            self.program([self.here(word) for word in command]),
            env=known,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            **AS_NOBODY,
        )

    def program(self, command: list[str]) -> list[str]:
        """The command with its program looked up in the image's PATH."""
        found = shutil.which(command[0], path=self.environment()["PATH"])
        assert found is not None, f"the image has no {command[0]}"
        return [found, *command[1:]]


class InImage(Mirror):
    """The image's ENTRYPOINT and CMD."""

    def __init__(self, installed: Installed, **settings: str) -> None:
        super().__init__(installed.data)
        self._installed, self._known = installed, installed.environment(**settings)

    def start(self, *options: str) -> Self:
        command = self._installed.program([*IMAGE.command("ENTRYPOINT"), *IMAGE.command("CMD"), *options])
        with self._log.open("a") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=self._known, cwd="/", **AS_NOBODY)
        Mirror.running.append(self)
        self.url = self._announced()
        return self


def interpreter() -> str:
    """A Python that the other user may run, too."""
    ours = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    known = [str(ours), shutil.which("python3", path="/usr/local/bin"), shutil.which("python3", path="/usr/bin")]
    attempt = "import sys, sqlite3, ssl, venv; sys.exit(sys.version_info < (3, 11))"
    for program in filter(None, known):
        try:
            done = subprocess.run([program, "-c", attempt], cwd="/", capture_output=True, check=False, **AS_NOBODY)
        except OSError:
            continue
        if done.returncode == 0:
            return program
    pytest.skip("no Python here that another user may run")


def pip(*arguments: object) -> None:
    """Runs pip; skips if it has no index."""
    done = subprocess.run([sys.executable, "-m", "pip", *map(str, arguments)], env=outside(), capture_output=True, text=True, check=False)
    skip_without_index(done.returncode, done.stderr)
    assert done.returncode == 0, done.stderr


def copy(sources: list[str], target: Path) -> None:
    """COPY of a Dockerfile."""
    for source in sources:
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target / source, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, target)


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    """The wheel, built from what the Dockerfile copies, in an empty virtual environment that nobody may write."""
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        place = Path(folder)
        place.chmod(0o755)
        (place / "source").mkdir()
        *to_source, (script, script_place) = BUILD.copied
        for sources, _ in to_source:
            copy(sources, place / "source")
        subprocess.run([interpreter(), "-m", "venv", "--without-pip", place / "mirror"], capture_output=True, check=True)
        python = place / "mirror" / "bin" / "python"
        build: list[str | Path] = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", place / "wheels"]
        subprocess.run(build, cwd=place / "source", capture_output=True, check=True)
        pip("--python", python, "install", "-q", *(place / "wheels").iterdir())
        installed = Installed(place, place / "data")
        copy(script, Path(installed.here(script_place)).parent)
        installed.data.mkdir()
        if AS_NOBODY:
            os.chown(installed.data, NOBODY, NOBODY)
        subprocess.run(["chmod", "-R", "a-w", place / "mirror"], check=True)
        yield installed
        subprocess.run(["chmod", "-R", "u+w", place / "mirror"], check=True)


@pytest.fixture(scope="module")
def untouched(installed: Installed) -> set[Path]:
    """What is there before anything ran."""
    return written(installed)


@pytest.fixture
def running(installed: Installed, untouched: set[Path], origin: Origin) -> Iterator[Mirror]:
    """The image's mirror; its origin is one of ours."""
    origin.add(ARCHIVE.removeprefix("/storage.googleapis.com"), BOSTON)
    with InImage(installed, DATASET_MIRROR_UPSTREAMS=f'{{"storage.googleapis.com": "{origin.url}"}}') as mirror:
        yield mirror


def written(installed: Installed) -> set[Path]:
    """Files and folders beside the data that the other user has, and all there is of the virtual environment, with its times."""
    found = {path / f"{path.lstat().st_mtime_ns}" for path in (installed.place / "mirror").rglob("*")}
    if AS_NOBODY:
        command = ["find", *WRITABLE, "-xdev", "-path", str(installed.data), "-prune", "-o", "-uid", str(NOBODY), "-print"]
        lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
        found |= {Path(line) for line in lines}
    return found


def test_it_serves(installed: Installed, untouched: set[Path], running: Mirror) -> None:
    """It listens, is well, serves an archive, and ends with 0 on SIGTERM; all that it writes is in the data folder."""
    assert running.get("/healthz").status == 200
    answer = running.get(ARCHIVE)
    assert (answer.status, answer.body) == (200, BOSTON.read_bytes())
    assert installed.run(["dataset-mirror", "add", "https://data.example.org/sets/a.zip"]).returncode == 0
    running.stop()
    assert len(running.blobs) == 1
    assert written(installed) == untouched
    if AS_NOBODY:
        assert {path.stat().st_uid for path in installed.data.rglob("*") if not path.is_symlink()} == {NOBODY}


def test_it_is_the_installed_one(installed: Installed) -> None:
    """The program comes from the virtual environment, not from this checkout, and cannot write where it lies; pip is not there."""
    look = "import dataset_mirror, importlib.util, os; print(dataset_mirror.__file__); "
    look += "print(os.access(os.path.dirname(dataset_mirror.__file__), os.W_OK)); "
    done = installed.run(["python", "-c", look + "print(importlib.util.find_spec('pip'))"])
    place, writable, pip_found = done.stdout.split()
    assert place.startswith(str(installed.place / "mirror")), done.stderr
    assert (writable, pip_found) == ("False", "None")


def test_health_check(installed: Installed, running: Mirror) -> None:
    """The image's health check ends with 0 while the mirror runs, whatever its port; afterwards with 1 and a sentence."""
    command = IMAGE.command("HEALTHCHECK")
    well = installed.run(command)
    assert (well.returncode, well.stderr) == (0, "")
    running.stop()
    ill = installed.run(command)
    assert (ill.returncode, ill.stderr.count("\n")) == (1, 1)
    assert ill.stderr.startswith("The mirror does not answer: ")


def test_health_check_of_a_killed_mirror(installed: Installed, running: Mirror) -> None:
    """A mirror that left its lock's file behind and does not answer is not well."""
    running.kill()
    ill = installed.run(IMAGE.command("HEALTHCHECK"), HTTP_PROXY="http://127.0.0.1:9")
    assert (ill.returncode, ill.stderr.count("\n")) == (1, 1)
    assert "refused" in ill.stderr
