"""`keras-home`: folders in which Keras finds its archives; from the data folder, and over HTTP."""

import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from dataset_mirror.airgap.files.keras_folder import KerasFolder
from dataset_mirror.airgap.files.keras_home import KerasFile
from tests import warm
from tests.airgap.keras_sets import ARCHIVES, BOSTON, BOSTON_URL, FILE, SIZES, TWO_PLACES, stock
from tests.conftest import StartMirror
from tests.origin import MIB, Origin, body
from tests.serving import PATIENCE, URL, Mirror, environment

LOAD = """
import keras
(x, y), (a, b) = keras.datasets.boston_housing.load_data()
print("shapes", x.shape, b.shape)
"""
WAYS = pytest.mark.parametrize("way", ["here", "over HTTP"])


@pytest.fixture(scope="module")
def keras(shared_origin: Origin, start_shared_mirror: StartMirror) -> Mirror:
    """A mirror that has the archives of the tests' catalog, but for never.bin."""
    stock(shared_origin)
    mirror = start_shared_mirror(archives=ARCHIVES)
    mirror.api("fetch", archives=[BOSTON_URL, *(f"{URL}/sets/{file}" for file in SIZES)])
    return mirror


def keras_home(mirror: Mirror, way: str, folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`dataset-mirror keras-home`, beside the mirror, or on a machine that has nothing but its URL."""
    here = {"data": str(mirror.data), "archives": ARCHIVES, "origins": [{"url": URL, "paths": ["/sets/"]}]}
    elsewhere: dict[str, Any] = {"data": str(folder.parent / "none")}
    known = environment(folder.parent, here if way == "here" else elsewhere) | variables
    where = () if way == "here" else ("--mirror", mirror.url)
    return warm.run("keras-home", folder, *arguments, *where, cwd=folder.parent, env=known)


def load(place: Path, home: Path) -> str:
    """What the whole of Keras' own loader says that is given this KERAS_HOME, and no network."""
    refused = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    variables = {"KERAS_BACKEND": "openvino", "KERAS_HOME": str(home), "TMPDIR": str(place)} | refused
    done = subprocess.run(
        [sys.executable, "-c", LOAD],
        cwd=place,
        env=environment(place, {}) | variables,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    return done.stdout + done.stderr


def files(folder: Path) -> dict[str, int]:
    """Sizes of all files, by their places."""
    return {str(file.relative_to(folder)): file.stat().st_size for file in sorted(folder.rglob("*")) if file.is_file()}


@WAYS
def test_all_that_is_there(keras: Mirror, tmp_path: Path, way: str) -> None:
    """Without names all that the mirror has arrives, whole; the layouts are one file, and none is the mirror's own blob."""
    home = tmp_path / "deep" / "home"
    home.parent.mkdir()
    done = keras_home(keras, way, home)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("6 of 6 archives are there ")
    assert files(home).keys() == {BOSTON, *TWO_PLACES, "datasets/shared.npz", "datasets/part.bin", "models/a-large.h5", "models/b-last.h5"}
    assert (home / "models/a-large.h5").read_bytes() == body(24 * MIB)
    assert (home / "datasets/shared.npz").read_bytes() == body(2000)
    first, second = (home / place for place in TWO_PLACES)
    assert first.samefile(second)
    assert {file.stat().st_ino for file in home.rglob("*")}.isdisjoint({blob.stat().st_ino for blob in keras.blobs})
    assert first.stat().st_mode & 0o777 == 0o644
    assert f"export KERAS_HOME={home}" in done.stderr
    assert "dataset-mirror keras-home ~/.keras" in done.stderr


@WAYS
def test_keras_finds_it(keras: Mirror, tmp_path: Path, way: str) -> None:
    """The loader of an unmodified Keras works with that folder and a refused network, and did not without it."""
    home = tmp_path / "home"
    if way == "here":
        home.mkdir()
        assert "URL fetch failure" in load(tmp_path, home)
    assert keras_home(keras, way, home, "boston_housing").returncode == 0
    if way == "here":  # as those are told to do who may not write to it
        subprocess.run(["cp", "-rs", f"{home}/.", tmp_path / "mine"], check=True)
        home = tmp_path / "mine"
    assert "shapes (404, 13) (102,)" in load(tmp_path, home)


def test_keras_finds_what_curl_brought(keras: Mirror, tmp_path: Path) -> None:
    """The same from the tar, and by numpy alone."""
    import numpy

    subprocess.run(
        ["bash", "-c", f"set -e -o pipefail; curl -fsS {keras.url}/keras-home.tar?only=boston_housing | tar -x"], cwd=tmp_path, check=True
    )
    assert "shapes (404, 13) (102,)" in load(tmp_path, tmp_path)
    with numpy.load(f"{tmp_path}/{BOSTON}") as sets:
        assert sets["x"].shape == (506, 13)


def test_a_second_run(keras: Mirror, tmp_path: Path) -> None:
    """What is there and right is verified and never replaced; what is missing of it is linked, and nothing is left over."""
    home = tmp_path / "home"
    assert keras_home(keras, "here", home, "two", "last").returncode == 0
    first, second = (home / place for place in TWO_PLACES)
    before = first.stat().st_ino
    second.unlink()
    done = keras_home(keras, "here", home, "two", "last")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()[:-1]] == ["written", "present"]
    assert first.stat().st_ino == second.stat().st_ino == before
    assert files(home).keys() == {*TWO_PLACES, "models/b-last.h5"}


def test_a_wrong_file(keras: Mirror, tmp_path: Path) -> None:
    """A file that the catalog's digest proves wrong is set aside, and said; the right one is in its place."""
    (place := tmp_path / BOSTON).parent.mkdir()
    for number, name in enumerate(["boston_housing.npz.set-aside", "boston_housing.npz.set-aside-2"]):
        place.write_bytes(b"wrong %d" % number)
        done = keras_home(keras, "here", tmp_path, "boston_housing")
        assert done.returncode == 0
        assert place.read_bytes() == FILE.read_bytes()
        assert place.with_name(name).read_bytes() == b"wrong %d" % number
        assert f"it is {name} now" in done.stderr


def test_a_good_file_that_is_a_link(tmp_path: Path) -> None:
    """A place that is a link to the right file is good; other places get the bytes, not a link that leads nowhere from there."""
    digest, places = sha256(b"right").hexdigest(), ("datasets/a.bin", "datasets/deep/a.bin")
    one = KerasFile(url=f"{URL}/a", name="a", paths=places, size=5, sha256=digest, modified=1.0, digests=(), expected_size=None)
    for folder in ("datasets", "elsewhere"):
        (tmp_path / folder).mkdir()
    (tmp_path / "elsewhere/a.bin").write_bytes(b"right")
    (tmp_path / places[0]).symlink_to("../elsewhere/a.bin")
    assert [put.state for put in KerasFolder(tmp_path).put(one, Mock())][-1] == "written"
    assert (tmp_path / places[0]).is_symlink()
    assert (tmp_path / places[1]).read_bytes() == b"right"


def test_an_unknown_file(keras: Mirror, tmp_path: Path) -> None:
    """A file of which no digest tells whether it is right stays; that is said, the others arrive, and it ends with 1."""
    (place := tmp_path / TWO_PLACES[1]).parent.mkdir()
    place.write_bytes(b"somebody's own")
    done = keras_home(keras, "here", tmp_path, "two", "last")
    assert done.returncode == 1
    assert f"{place} is another file than the mirror's" in done.stderr
    assert files(tmp_path) == {TWO_PLACES[1]: 14, "models/b-last.h5": 5000}


@pytest.mark.parametrize("content", [b"", None], ids=["empty", "a dangling link"])
def test_what_cannot_be_an_archive(keras: Mirror, tmp_path: Path, content: bytes | None) -> None:
    """An empty file and a link to nowhere are set aside, whether or not a digest is known."""
    (place := tmp_path / "models/b-last.h5").parent.mkdir()
    place.symlink_to("/nowhere/at-all") if content is None else place.write_bytes(content)
    assert keras_home(keras, "here", tmp_path, "last").returncode == 0
    assert place.read_bytes() == body(5000)
    assert os.path.lexists(place.with_name("b-last.h5.set-aside"))


def test_a_folder_in_its_place(keras: Mirror, tmp_path: Path) -> None:
    """A folder in the place of a file is an error for that archive, and stays."""
    (tmp_path / "models/b-last.h5").mkdir(parents=True)
    done = keras_home(keras, "here", tmp_path, "last")
    assert done.returncode == 1
    assert "models/b-last.h5 is a folder" in done.stderr
    assert "Traceback" not in done.stderr


@WAYS
def test_an_incomplete_name(keras: Mirror, tmp_path: Path, way: str) -> None:
    """Of a dataset that is not all there the rest arrives; the missing one is said with the command, and it ends with 1."""
    done = keras_home(keras, way, tmp_path / "home", "parts")
    assert done.returncode == 1
    assert f"failed   {URL}/sets/never.bin: The mirror does not have" in done.stderr
    assert "dataset-mirror fetch keras/parts" in done.stderr
    assert files(tmp_path / "home").keys() == {"datasets/part.bin"}


@WAYS
def test_an_unknown_name(keras: Mirror, tmp_path: Path, way: str) -> None:
    """An unknown name ends with 2 and the nearest one, and nothing is made."""
    done = keras_home(keras, way, tmp_path / "home", "larg")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "dataset-mirror: The catalog has nothing named 'larg' that Keras keeps on its disk. Did you mean large, last?\n"
    assert not (tmp_path / "home").exists()


def test_a_former_one_by_name(keras: Mirror, tmp_path: Path) -> None:
    """Of two archives with one place the former comes by its name alone; beside the present one it is said to be left out."""
    assert keras_home(keras, "here", tmp_path, "keras-legacy/shared").returncode == 0
    assert files(tmp_path) == {"datasets/shared.npz": 1000}
    done = keras_home(keras, "here", tmp_path, "keras-legacy/shared", "shared")
    assert done.returncode == 0
    assert f"{URL}/sets/old.bin (keras-legacy/shared) is left out" in done.stderr
    assert files(tmp_path) == {"datasets/shared.npz": 2000, "datasets/shared.npz.set-aside": 1000}


@WAYS
def test_a_damaged_blob(keras: Mirror, tmp_path: Path, way: str) -> None:
    """Bytes that are not what the index says never get into the folder."""
    blob = next(blob for blob in keras.blobs if blob.stat().st_size == SIZES["large.bin"])
    good = blob.read_bytes()
    blob.write_bytes(b"X" + good[1:])
    try:
        done = keras_home(keras, way, tmp_path / "home", "large")
    finally:
        blob.write_bytes(good)
    assert done.returncode == 1
    assert "dataset-mirror verify" in done.stderr
    assert files(tmp_path / "home") == {}


def test_a_mirror_that_is_not_there(tmp_path: Path) -> None:
    """A URL where nothing listens is one sentence, and so is a machine without a mirror's data."""
    for arguments, said in ((["--mirror", "127.0.0.1:9"], "does not answer"), ([], "There is no mirror's data in")):
        known = environment(tmp_path, {"data": str(tmp_path / "none")})
        done = warm.run("keras-home", tmp_path / "home", *arguments, env=known)
        assert done.returncode == 1
        assert said in done.stderr
        assert done.stderr.count("\n") == 1


def test_the_usual_folder(keras: Mirror, tmp_path: Path) -> None:
    """For ~/.keras there is nothing to say, but for a KERAS_HOME that leads elsewhere."""
    done = keras_home(keras, "here", tmp_path / ".keras", "last", HOME=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    done = keras_home(keras, "here", tmp_path / ".keras", "last", HOME=str(tmp_path), KERAS_HOME="/elsewhere")
    assert done.stderr == "KERAS_HOME is /elsewhere here: Keras 3 looks there, Keras 2 and tf_keras here.\n"


def test_json(keras: Mirror, tmp_path: Path) -> None:
    """With --json every line is an object, and the last one of each archive says how it ended."""
    lines = [json.loads(line) for line in keras_home(keras, "here", tmp_path, "parts", "--json").stdout.splitlines()]
    last = {line["url"]: line["state"] for line in lines}
    assert last == {f"{URL}/sets/never.bin": "missing", f"{URL}/sets/part.bin": "written"}
