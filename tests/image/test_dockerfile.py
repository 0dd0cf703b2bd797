"""The Dockerfile: lint, and what the image promises to those who run it."""

import re
import subprocess
import sys
from pathlib import Path

from tests.image.dockerfile import DOCKERFILE, ROOT, stages

*BUILD, FINAL = stages()
BUILD_TOOLS = re.compile(r"\b(apt-get|apk|gcc|make|git|curl|hatch|build-essential|pip3? install)\b")


def test_lint() -> None:
    """hadolint has nothing to say of it."""
    program = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([program, "--no-color", DOCKERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_bases() -> None:
    """There are two stages, each on the slim Python of one minor version."""
    assert [stage.base.removesuffix(" AS build") for stage in (*BUILD, FINAL)] == ["python:3.13-slim"] * 2


def test_nobody_of_importance() -> None:
    """It runs as a user that is not root, by number, so that a supervisor can see it; the last USER is the one in force."""
    user, group = map(int, FINAL.one("USER").split(":"))
    assert min(user, group) >= 1000
    assert f"--uid {user} " in FINAL.one("RUN")
    assert f"--gid {group} " in FINAL.one("RUN")


def test_no_build_tools() -> None:
    """The final stage installs nothing, takes pip away, and copies only what the build stage made."""
    assert not BUILD_TOOLS.search(FINAL.one("RUN"))
    assert "pip uninstall" in FINAL.one("RUN")
    assert FINAL.copied == []
    assert FINAL.all("COPY") == ["--from=build /opt/mirror /opt/mirror"]
    assert "venv --without-pip /opt/mirror" in BUILD[0].one("RUN")


def test_data_and_port() -> None:
    """All data is in the volume /data, it listens on every address of the container, and writes no compiled Python."""
    environment = FINAL.environment
    assert FINAL.one("VOLUME") == environment["DATASET_MIRROR_DATA"] == "/data"
    assert environment["DATASET_MIRROR_HOST"] == "0.0.0.0"
    assert environment["PYTHONDONTWRITEBYTECODE"] == environment["PYTHONUNBUFFERED"] == "1"
    assert FINAL.one("EXPOSE") == "8080"


def test_command() -> None:
    """It runs `dataset-mirror serve` without a shell, which would keep SIGTERM from it."""
    assert (FINAL.command("ENTRYPOINT"), FINAL.command("CMD")) == (["dataset-mirror"], ["serve"])
    assert FINAL.one("STOPSIGNAL") == "SIGTERM"


def test_labels() -> None:
    """Its labels say what pyproject.toml says."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', FINAL.one("LABEL")))
    assert f'name = "{labels["title"]}"' in project
    assert f'license = "{labels["licenses"]}"' in project
    assert f'description = "{labels["description"][:-1]}' in project


def test_build_context() -> None:
    """.dockerignore lets through exactly what the Dockerfile copies."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_through = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = {source for stage in BUILD for sources, _ in stage.copied for source in sources}
    assert let_through == copied
    assert "*" in lines
    assert [source for source in copied if not (ROOT / source).exists()] == []
