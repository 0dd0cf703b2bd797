"""Keras itself as the client, in a process of its own."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.origin import Origin
from tests.serving import PATIENCE, Mirror, environment

MISSING = [name for name in ("keras", "openvino") if find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

BOSTON = "/tensorflow/tf-keras-datasets/boston_housing.npz"
SHA256 = "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5"
FILE = Path(__file__).parents[1] / "data" / "origin" / "storage.googleapis.com" / BOSTON.lstrip("/")
LOAD = """
import json, sys
import keras, numpy
url, file_hash = sys.argv[1:]
try:
    path = keras.utils.get_file(origin=url, file_hash=file_hash)
    with numpy.load(path) as sets:
        said = {"x": sets["x"].shape, "y": sets["y"].shape}
except Exception as error:
    said = {"error": f"{type(error).__name__}: {error}"}
print("\\n" + json.dumps(said))
"""


def load(place: Path, mirror: Mirror, file_hash: str = SHA256) -> dict[str, Any]:
    """What a new Python process gets when it loads the archive by Keras from the mirror: shapes, or an error."""
    variables = {"KERAS_BACKEND": "openvino", "KERAS_HOME": str(place / "keras"), "TMPDIR": os.fspath(place)}
    command = [sys.executable, "-c", LOAD, f"{mirror.url}/storage.googleapis.com{BOSTON}", file_hash]
    done = subprocess.run(
        command, cwd=place, env=environment(place, {}) | variables, capture_output=True, text=True, timeout=2 * PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def downloads(place: Path) -> list[Path]:
    """Files that Keras keeps, besides its own configuration."""
    return [file for file in (place / "keras").rglob("*") if file.is_file() and file.name != "keras.json"]


def test_it_loads(mirror: Mirror, origin: Origin, tmp_path: Path) -> None:
    """Keras loads Boston Housing through the mirror, verified by its own digest; a second machine's load is a hit."""
    origin.add(BOSTON, FILE)
    assert load(tmp_path, mirror) == {"x": [506, 13], "y": [506]}
    assert [file.read_bytes() for file in downloads(tmp_path)] == [FILE.read_bytes()]
    (tmp_path / "second").mkdir()
    assert load(tmp_path / "second", mirror) == {"x": [506, 13], "y": [506]}
    assert len(origin.gets(BOSTON)) == 1


def test_a_wrong_digest_of_its_own(mirror: Mirror, origin: Origin, tmp_path: Path) -> None:
    """A digest that Keras does not find raises in Keras; the mirror's bytes are the genuine ones, and load with the right digest."""
    origin.add(BOSTON, FILE)
    assert load(tmp_path, mirror, "0" * 64)["error"].startswith("ValueError: Incomplete or corrupted file detected.")
    assert all(file.read_bytes() == FILE.read_bytes() for file in downloads(tmp_path))  # Keras leaves it for the next try
    assert load(tmp_path, mirror) == {"x": [506, 13], "y": [506]}


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"flip_at": 30_000}, id="flip_at"),
        pytest.param({"cut_after": 30_000}, id="cut_after", marks=pytest.mark.clients),
        pytest.param({"html": True}, id="html", marks=pytest.mark.clients),
        pytest.param({"status": 503}, id="status", marks=pytest.mark.clients),
    ],
)
def test_a_damaged_origin(mirror: Mirror, origin: Origin, tmp_path: Path, fault: dict[str, Any]) -> None:
    """Bytes that an origin damaged raise in Keras before any of them is a file, and nothing is kept on either side."""
    origin.add(BOSTON, FILE, ranges=False, **fault)
    assert "error" in load(tmp_path, mirror)
    assert downloads(tmp_path) == []
    assert mirror.blobs == []
