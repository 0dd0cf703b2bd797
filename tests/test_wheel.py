"""What is installed: one package of a name of its own, which nothing that lies beside it can hide."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from tests.serving import Mirror, environment

ROOT = Path(__file__).parents[1]
PACKAGE = "dataset_mirror"
TRAP = 'raise RuntimeError("this folder is the user\'s own")\n'


def built(folder: Path, kind: str) -> Path:
    """A wheel of this checkout, made without an index: `standard` or `editable`."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", f"wheel:{kind}", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that people install."""
    return built(tmp_path_factory.mktemp("wheel"), "standard")


@pytest.fixture(scope="module")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of the wheel in an environment that has nothing else of its own; what it needs is borrowed from this one."""
    empty = tmp_path_factory.mktemp("empty")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", empty], check=True)
    python = empty / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", "--no-index", "--no-compile", str(wheel)]
    subprocess.run(command, capture_output=True, check=True)
    (packages,) = empty.glob("lib/python*/site-packages")
    # Of a folder that a .pth file names no .pth file is read: the editable install of this environment stays outside.
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python.with_name("dataset-mirror")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's project with packages of the most usual names, none of which may be imported."""
    for name in ("app", "tests"):
        (tmp_path / name).mkdir()
        for module in ("__init__", "cli", "main"):
            (tmp_path / name / f"{module}.py").write_text(TRAP)
    return tmp_path


def test_beside_packages_of_a_user(program: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installed into an empty environment, commands work in a project with `app` and `tests` packages on PYTHONPATH."""
    monkeypatch.setenv("PYTHONPATH", f".:{folder}")
    mirror = Mirror(folder / "data")
    mirror.program = str(program)
    with mirror:
        assert mirror.get("/healthz").status == 200
        for command in (["ls"], ["explain", "keras/mnist"]):
            known = environment(folder, {"data": str(mirror.data)})
            done = subprocess.run([program, *command], cwd=folder, env=known, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            assert "Traceback" not in done.stderr


def test_a_wheel_has_one_package(wheel: Path) -> None:
    """It gives `dataset_mirror`, with the mark that it is typed, and nothing else at the top level."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (facts,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(facts).decode())
    assert {name.partition("/")[0] for name in names} == {PACKAGE, facts.partition("/")[0]}
    assert f"{PACKAGE}/py.typed" in names
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])
    assert {line.partition(",")[0] for line in metadata.get_all("Project-URL", [])} >= {"Homepage", "Source", "Issues", "Changelog"}


def test_pictures_stay_at_home(wheel: Path, tmp_path: Path) -> None:
    """Neither the wheel nor the source distribution carries what only the README shows."""
    subprocess.run([sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", str(tmp_path)], cwd=ROOT, check=True)
    (source,) = tmp_path.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive, tarfile.open(source) as sources:
        names = archive.namelist() + sources.getnames()
    assert any(name.endswith("README.md") for name in names)
    assert [name for name in names if name.endswith("overview.png")] == []


def test_an_editable_install_has_one_package(tmp_path: Path) -> None:
    """It leads to one folder in which Python finds `dataset_mirror` and nothing else."""
    with zipfile.ZipFile(built(tmp_path, "editable")) as archive:
        (leading,) = (name for name in archive.namelist() if ".dist-info/" not in name)
        (place,) = archive.read(leading).decode().split()
    assert leading.endswith(".pth")
    assert Path(place) == ROOT / "app"
    assert {entry.name for entry in Path(place).iterdir()} - {"__pycache__"} == {PACKAGE}
