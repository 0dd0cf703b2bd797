"""The program itself across an air gap: its wheels are gathered outside and installed inside, where there is no network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.airgap.alone import why_not

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[1]
_NO_INDEX = re.compile(r"No matching distribution|Could not find a version|ConnectionError|NewConnectionError|No module named pip")


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that is carried inside: the program and all that it needs."""
    folder = tmp_path_factory.mktemp("outside") / "wheels"
    done = run(sys.executable, "-m", "pip", "wheel", "-q", ".", "-w", folder, PIP_NO_BUILD_ISOLATION="0")  # hatchling is here
    if done.returncode and (said := _NO_INDEX.search(done.stderr)):
        pytest.skip(f"wheels cannot be gathered here: {said[0]}")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.timeout(300)
@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_installed_without_a_network(wheels: Path, tmp_path: Path) -> None:
    """In a network namespace without any route, pip installs it from those wheels alone, and it runs."""
    assert run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "inside").returncode == 0
    python = tmp_path / "inside" / "bin" / "python"
    pip = ("unshare", "-rn", sys.executable, "-m", "pip", "--isolated", "--python", python)  # no other index, no other wheels
    done = run(*pip, "install", "-q", "--no-compile", "--no-index", "--find-links", wheels, "dataset-mirror", PIP_CONFIG_FILE=os.devnull)
    assert done.returncode == 0, done.stderr
    helped = run("unshare", "-rn", python.with_name("dataset-mirror"), "--help")
    assert (helped.returncode, helped.stderr) == (0, "")
    assert "wanted" in helped.stdout
