"""Real clients, unmodified, each in a process of its own, led to the mirror by nothing but `/setup.sh`: the README's table of truth."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tarfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.clients.doors import CLIENTS, Client, table
from tests.clients.test_keras import BOSTON, FILE
from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, URL, Mirror, environment
from tests.status.test_setup import evaluated

CONTENT = body(200_000, 11)
CDN = "cdn.example.org"
ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
LOAD = "import keras; print(keras.datasets.boston_housing.load_data()[0][0].shape)"
HERE = [client for client in CLIENTS if not client.apart and (client.source or client.command)]


@pytest.fixture(scope="module")
def mirror(start_shared_mirror: StartMirror, shared_origin: Origin) -> Mirror:
    """A mirror of an origin that redirects to a host of its own."""
    origins = [{"url": URL, "paths": ["/sets/"], "redirects_to": [CDN]}]
    return start_shared_mirror(origins=origins, upstreams={host: [shared_origin.url] for host in (HOST, CDN, "storage.googleapis.com")})


@pytest.fixture(scope="module")
def led(mirror: Mirror, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a shell that has evaluated /setup.sh."""
    known, _ = evaluated(mirror.url, tmp_path_factory.mktemp("home"))
    return known


def skip_unless_there(client: Client) -> None:
    missing = [name for name in client.packages if find_spec(name) is None]
    missing += [name for name in client.command[:1] if shutil.which(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if client.command[:1] == ("node",) and not subprocess.run(["node", "-v"], capture_output=True, check=True).stdout >= b"v24":
        pytest.skip("this node knows no proxy")


def add(origin: Origin, client: Client) -> str:
    """Puts the client's archive at the origin. The path that is really fetched."""
    if client.archive == "redirected":
        real = f"{client.path}.real"
        origin.add(real, CONTENT)
        origin.add(client.path, b"", redirect=f"https://{CDN}{real}")
        return real
    origin.add(client.path, packed() if client.archive.endswith(".tar.gz") else CONTENT)
    return client.path


def packed() -> bytes:
    """A tar file with the content in it."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as tar:
        member = tarfile.TarInfo("folder/inner.bin")
        member.size = len(CONTENT)
        tar.addfile(member, io.BytesIO(CONTENT))
    return file.getvalue()


def machine(place: Path, led: dict[str, str]) -> dict[str, str]:
    """The led environment on a machine that has nothing yet."""
    place.mkdir()
    return led | {"HOME": str(place), "TMPDIR": str(place), "KERAS_HOME": str(place / "keras"), "KERAS_BACKEND": "openvino"}


@pytest.mark.parametrize("client", HERE, ids=lambda client: client.name)
def test_a_client(client: Client, mirror: Mirror, shared_origin: Origin, led: dict[str, str], tmp_path: Path) -> None:
    """It gets the archive at the origin's own URL, from the origin at first, and on a second machine from the mirror alone."""
    skip_unless_there(client)
    fetched = add(shared_origin, client)
    for number in (1, 2):
        place = tmp_path / str(number)
        command = client.arguments(f"{URL}{client.path}", str(place), str(Path(led["SSL_CERT_FILE"]).parent))
        done = subprocess.run(command, env=machine(place, led), cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0, done.stderr
        assert (place / "file").read_bytes() == CONTENT
        assert len(shared_origin.gets(fetched)) == 1


def test_keras_as_it_is(mirror: Mirror, shared_origin: Origin, tmp_path: Path) -> None:
    """In an empty folder one line of shell leads `keras.datasets` to the mirror; the origin sees one GET, of a second run none."""
    skip_unless_there(next(client for client in CLIENTS if "keras.datasets" in client.name))
    shared_origin.add(BOSTON, FILE)
    script = f"""eval "$(curl -fsS {mirror.url}/setup.sh)"; '{sys.executable}' -c '{LOAD}'"""
    for number in (1, 2):
        place = tmp_path / str(number)
        known = machine(place, environment(place, {}))
        done = subprocess.run(["sh", "-c", script], env=known, cwd=place, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.stdout.splitlines()[-1:] == ["(404, 13)"], done.stderr
        assert (place / "keras" / "datasets" / FILE.name).read_bytes() == FILE.read_bytes()
        assert len(shared_origin.gets(BOSTON)) == 1


def pythons() -> list[str]:
    """Other Pythons of this machine: on the PATH by their version, or installed by pyenv. Some may not start."""
    named = [shutil.which(f"python3.{minor}") for minor in range(6, 20)]
    return [*filter(None, named), *map(str, sorted((Path.home() / ".pyenv" / "versions").glob("3.*/bin/python3")))]


def test_other_pythons(mirror: Mirror, shared_origin: Origin, led: dict[str, str], tmp_path: Path) -> None:
    """Whatever version of Python there is: its own `urllib.request` gets the archive, and trusts the mirror."""
    shared_origin.add("/sets/pythons.bin", CONTENT)
    source = f"import sys, urllib.request as u; print(sys.version_info[1], len(u.urlopen('{URL}/sets/pythons.bin').read()))"
    known, seen = machine(tmp_path / "machine", led), set()
    for python in pythons():
        if subprocess.run([python, "-c", "import ssl"], env=known, capture_output=True, check=False).returncode == 0:
            done = subprocess.run([python, "-c", source], env=known, capture_output=True, text=True, timeout=PATIENCE, check=False)
            minor, _, size = done.stdout.strip().partition(" ")
            assert size == str(len(CONTENT)), f"{python}: {done.stderr}"
            seen.add(int(minor))
    if seen <= {sys.version_info[1]}:
        pytest.skip("there is no other Python")
    assert len(shared_origin.gets("/sets/pythons.bin")) == 1


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of git and pip in a network of their own, with a TLS server at a public address."""
    missing = [name for name in ("unshare", "ip", "mount", "git", "curl") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if subprocess.run(["unshare", "-rnm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system allows no network of one's own (unshare -rnm)")
    place = tmp_path_factory.mktemp("apart")
    command = ["unshare", "-rnm", sys.executable, "-m", "tests.clients.apart", str(place)]
    done = subprocess.run(command, cwd=ROOT, env=environment(place, {}), capture_output=True, text=True, timeout=2 * PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def test_git(apart: dict[str, Any]) -> None:
    """git reaches a host that is no origin, by a tunnel, and verifies it by the client's own authority."""
    assert apart["git"].endswith("\tHEAD\n") or "refs/heads/" in apart["git"], apart


def test_pip(apart: dict[str, Any]) -> None:
    """So does pip."""
    assert "tiny-1.0-py3-none-any.whl" in apart["pip"], apart


def test_the_tunnels(apart: dict[str, Any]) -> None:
    """Both came through the mirror, which knows of it."""
    assert apart["doors"]["tunnelled"] >= 2, apart


def test_the_table() -> None:
    """README has the table as these tests have it: a row for each client, and no other."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    if "| client |" not in readme:
        pytest.skip("README has no table of clients")
    assert table() in readme


def test_what_is_tested() -> None:
    """Each row of the table has its test."""
    rest = [client.name for client in CLIENTS if client not in HERE]
    assert rest == ["Keras 3, `keras.datasets`", "git", "pip"]
