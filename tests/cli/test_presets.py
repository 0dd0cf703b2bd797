"""`presets`, run as a person runs it."""

import json
import subprocess
from pathlib import Path
from typing import Any

from tests import warm
from tests.conftest import StartMirror
from tests.origin import Origin, body
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
    assert "Hosts: api.kaggle.com, www.kaggle.com." in done.stdout
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


def test_their_names_work(origin: Origin, start_mirror: StartMirror, tmp_path: Path) -> None:
    """Archives of a catalog file are fetched, listed and checked by name, and other bytes than its digest says are refused."""
    base = "/nltk/nltk_data/gh-pages"
    origin.add(f"{base}/packages/tokenizers/punkt_tab.zip", b"PK\x03\x04" + body(900))
    origin.add("/scipy/dataset-face/main/face.dat", body(900))
    settings: dict[str, Any] = {"presets": ["nltk", "scipy"], "upstreams": {"raw.githubusercontent.com": [origin.url]}}
    mirror = start_mirror(**settings)
    known = environment(tmp_path, settings)
    done = {
        verb: warm.run(verb, "--data", str(mirror.data), "nltk/punkt_tab", cwd=tmp_path, env=known) for verb in ("fetch", "ls", "check")
    }
    assert [each.returncode for each in done.values()] == [0, 0, 0]
    assert "/packages/tokenizers/punkt_tab.zip" in done["ls"].stdout
    refused = mirror.get("/raw.githubusercontent.com/scipy/dataset-face/main/face.dat")
    assert (refused.status, refused.problem["type"]) == (502, "urn:dataset-mirror:digest-mismatch")
