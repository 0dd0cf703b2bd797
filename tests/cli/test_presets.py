"""`presets`, run as a person runs it."""

import json
import subprocess
from pathlib import Path
from typing import Any

from tests import warm
from tests.serving import environment


def presets(folder: Path, *arguments: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    return warm.run("presets", *arguments, cwd=folder, env=environment(folder, settings))


def test_the_table(tmp_path: Path) -> None:
    """Each preset has a line with hosts, archives, digests and what it is for, and the end says how to switch one on."""
    done = presets(tmp_path, presets=["keras", "torch"])
    assert (done.returncode, done.stderr) == (0, "")
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line and not line.startswith((" ", "To ", "A "))}
    assert lines["tfds"].split()[1:4] == ["112", "13,254", "13,254"]
    assert lines["torch"].split()[1:5] == ["on", "33", "270", "259"]
    assert "by rule" in lines["zenodo"]
    assert 'presets = ["keras", "torch", "tfds"]' in done.stdout
    assert "mirror.toml" in done.stdout


def test_one_of_them(tmp_path: Path) -> None:
    """A name shows its hosts and what to know before it is switched on."""
    done = presets(tmp_path, "kaggle")
    assert done.stdout.startswith("kaggle (off): ")
    assert "Hosts: www.kaggle.com." in done.stdout
    assert "not kept" in done.stdout


def test_as_json(tmp_path: Path) -> None:
    """`--json` has one object a line with the same facts."""
    found = [json.loads(line) for line in presets(tmp_path, "--json", "scipy", "keras").stdout.splitlines()]
    assert [(one["name"], one["on"], one["archives"], one["with_digest"]) for one in found] == [
        ("scipy", False, 3, 3),
        ("keras", True, 266, 172),
    ]


def test_an_unknown_name(tmp_path: Path) -> None:
    """A name that is none is wrong usage, with the nearest one."""
    done = presets(tmp_path, "tdfs")
    assert done.returncode == 2
    assert "Did you mean tfds?" in done.stderr
