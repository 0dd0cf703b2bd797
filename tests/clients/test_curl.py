"""curl and wget as clients."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.origin import Origin, body
from tests.serving import PATIENCE, Mirror, environment

CONTENT = body(300_000)
CLIENTS = {"curl": ["curl", "-sSfO"], "wget": ["wget", "-q", "--tries=1"]}


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> list[str]:
    """A client's command, to which the URL is added."""
    name: str = request.param
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    return CLIENTS[name]


def download(command: list[str], place: Path, url: str) -> int:
    """The exit status of the client, run in `place`."""
    place.mkdir(exist_ok=True)
    done = subprocess.run([*command, url], cwd=place, env=environment(place, {}), capture_output=True, timeout=PATIENCE, check=False)
    return done.returncode


def test_a_download(client: list[str], mirror: Mirror, origin: Origin, tmp_path: Path) -> None:
    """The path form gives the archive under its name, from the origin at first and from the mirror afterwards."""
    origin.add("/sets/a.bin", CONTENT)
    for place in (tmp_path / "miss", tmp_path / "hit"):
        assert download(client, place, mirror.at("/sets/a.bin")) == 0
        assert (place / "a.bin").read_bytes() == CONTENT
    assert len(origin.gets("/sets/a.bin")) == 1


def test_a_missing_archive(client: list[str], mirror: Mirror, tmp_path: Path) -> None:
    """A 404 of the origin is a failure of the client, and leaves no file."""
    place = tmp_path / "place"
    assert download(client, place, mirror.at("/sets/none.bin")) != 0
    assert list(place.iterdir()) == []


def test_an_origin_that_breaks_off(client: list[str], mirror: Mirror, origin: Origin, tmp_path: Path) -> None:
    """An answer that breaks off for good is a failure of the client, never a short file with a good exit status."""
    origin.add("/sets/a.bin", CONTENT, ranges=False, lie_length=len(CONTENT) + 1)
    assert download(client, tmp_path / "place", mirror.at("/sets/a.bin")) != 0
    assert mirror.blobs == []
