"""`adopt`: files that people have already, as they have them."""

import gzip
import json
import os
import shutil
import subprocess
from hashlib import md5, sha256
from pathlib import Path
from typing import Any

import pytest

from dataset_mirror.airgap.files.found import found
from tests import warm
from tests.airgap.keras_sets import BOSTON, BOSTON_URL, FILE, entry
from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, URL, Mirror, environment

FASHION = "datasets/fashion-mnist/t10k-images-idx3-ubyte.gz"
"""An archive of which Keras knows no digest."""
GZIP = gzip.compress(b"images" * 100, mtime=0)
ARCHIVES = [
    entry("own/by-md5", "weights.h5", md5=md5(b"\x89HDF\r\n\x1a\n weights").hexdigest()),
    entry("own/twice", "twice.bin", sha256=sha256(body(900)).hexdigest()),
    entry("own/twice", "again.bin", sha256=sha256(body(900)).hexdigest()),
    entry("own/unproven", "unproven.gz", "datasets/unproven.gz"),
    entry("own/sized", "sized.gz", "datasets/sized.gz", size=10),
]
SETTINGS: dict[str, Any] = {"archives": ARCHIVES, "origins": [{"url": URL, "paths": ["/sets/"]}]}


@pytest.fixture(scope="module")
def offline(start_shared_mirror: StartMirror) -> Mirror:
    """A mirror without any network, for what only one test adopts."""
    return start_shared_mirror(offline=True, archives=ARCHIVES)


def adopt(data: Path, *paths: Path | str, archives: object = ARCHIVES) -> subprocess.CompletedProcess[str]:
    """`dataset-mirror adopt` into this data folder."""
    settings = SETTINGS | {"data": str(data), "archives": archives}
    known = environment(data.parent, {name: value for name, value in settings.items() if value is not None})
    return warm.run("adopt", *paths, cwd=data.parent, env=known)


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def index(data: Path) -> dict[str, str]:
    """Where the digest of each archive is known from, as the journal says."""
    lines = [json.loads(line) for line in (data / "archives.ndjson").read_text().splitlines()]
    return {line["url"]: line["source"] for line in lines}


def test_carried_by_hand(offline: Mirror, tmp_path: Path) -> None:
    """One archive of any name is known by its digest; a live server without network serves it at once, and the file stays."""
    file = shutil.copy(FILE, tmp_path / "from the stick (1).npz")
    assert offline.get(f"/{BOSTON_URL.removeprefix('https://')}").status == 504
    done = adopt(offline.data, file)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == f"adopted  {file} as {BOSTON_URL} (57,026 bytes)"
    answer = offline.get(f"/{BOSTON_URL.removeprefix('https://')}")
    assert (answer.status, answer.body) == (200, FILE.read_bytes())
    assert index(offline.data)[BOSTON_URL] == "catalog"
    assert Path(file).stat().st_nlink == 1
    Path(file).write_bytes(b"written over")
    assert offline.get(f"/{BOSTON_URL.removeprefix('https://')}").body == FILE.read_bytes()


def test_a_keras_home(tmp_path: Path) -> None:
    """Of ~/.keras what Keras downloaded is taken: by digest, or marked as adopted by its place; the rest is passed over with a reason."""
    keras, data = tmp_path / ".keras", tmp_path / "data"
    put(keras / BOSTON, FILE.read_bytes())
    put(keras / FASHION, GZIP)
    put(keras / "keras.json", b"{}")
    put(keras / "datasets/cifar-10-batches-py/data_batch_1", b"extracted")
    done = adopt(data, keras)
    assert done.returncode == 1  # t10k-images has a size in the catalog
    assert "It has" in done.stderr
    put(keras / "datasets/unproven.gz", GZIP)
    (keras / FASHION).unlink()
    done = adopt(data, keras)
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["present", "unknown", "believed", "unknown", "2"]
    assert done.stderr.startswith("Taken on trust: no known digest")
    assert index(data) == {BOSTON_URL: "catalog", f"{URL}/sets/unproven.gz": "adopted"}


def test_hosts_and_paths(tmp_path: Path) -> None:
    """A folder in HOST/PATH form, below whatever it lies, is taken; the state of what nothing proves is adopted."""
    data = tmp_path / "data"
    put(tmp_path / "copy" / HOST / "sets/a b%2Fc?version=2", b"own")
    put(tmp_path / "copy" / "storage.googleapis.com/tensorflow/tf-keras-datasets/boston_housing.npz", FILE.read_bytes())
    done = adopt(data, tmp_path / "copy")
    assert done.returncode == 0, done.stderr
    assert index(data) == {f"{URL}/sets/a%20b%2Fc?version=2": "adopted", BOSTON_URL: "catalog"}
    known = environment(tmp_path, SETTINGS | {"data": str(data)})
    listed = warm.run("ls", "--state", "adopted", env=known)
    assert f"{URL}/sets/a%20b%2Fc?version=2" in listed.stdout
    assert BOSTON_URL not in listed.stdout


def test_other_digests(tmp_path: Path) -> None:
    """An MD5 of the catalog proves an archive, too; bytes that two URLs have are taken for both."""
    data = tmp_path / "data"
    put(tmp_path / "some" / "x.h5", b"\x89HDF\r\n\x1a\n weights")
    put(tmp_path / "some" / "y", body(900))
    assert adopt(data, tmp_path / "some").returncode == 0
    assert index(data) == dict.fromkeys((f"{URL}/sets/{name}" for name in ("weights.h5", "twice.bin", "again.bin")), "catalog")


@pytest.mark.parametrize(
    ("place", "content", "said"),
    [
        (
            BOSTON,
            b"PK other bytes",
            f"{BOSTON_URL}: it has SHA-256 {sha256(b'PK other bytes').hexdigest()}, but the catalog expects f5",
        ),
        (BOSTON, b"<!DOCTYPE html><html>sorry", f"It is not {BOSTON_URL}: it is a web page."),
        ("elsewhere/boston_housing.npz", b"PK other bytes", f"It is not {BOSTON_URL}"),
        ("datasets/unproven.gz", b"\n<HTML>moved", "it is a web page."),
        ("datasets/unproven.gz", b"PK no gzip", "its first bytes are b'PK no gz', but a .gz file begins with"),
        ("datasets/unproven.gz", b"", "It is empty"),
        ("datasets/sized.gz", GZIP, f"but {URL}/sets/sized.gz has 10."),
        (
            "elsewhere/unproven.gz",
            GZIP,
            f"If you trust it, put it into a folder as {HOST}/sets/unproven.gz",
        ),
        (f"{HOST}/others/a.bin", b"a", f"dataset-mirror add '{URL}/others/a.bin'"),
    ],
)
def test_refused(offline: Mirror, tmp_path: Path, place: str, content: bytes, said: str) -> None:
    """What looks like an archive and is none is refused with the reason, and it ends with 1; nothing of it is kept."""
    before = offline.blobs
    put(tmp_path / "some" / place, content)
    done = adopt(offline.data, tmp_path / "some")
    assert done.returncode == 1
    assert done.stderr.startswith(f"failed   {tmp_path}/some/{place}: ")
    assert said in done.stderr
    assert offline.blobs == before
    assert list((offline.data / "partial").iterdir()) == []


def test_what_is_no_file(tmp_path: Path) -> None:
    """Links that lead outside, dangling ones and pipes are passed over, never followed or waited for; inner links count."""
    some, data = tmp_path / "some", tmp_path / "data"
    put(some / "real", FILE.read_bytes())
    put(tmp_path / "secret" / BOSTON, FILE.read_bytes())
    (some / "outside").symlink_to(tmp_path / "secret")
    (some / "nowhere").symlink_to(some / "none")
    (some / "inside").symlink_to("real")
    (some / "loop").symlink_to(some)
    os.mkfifo(some / "pipe")
    done = adopt(data, some)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[:-1]] == ["adopted", "skipped", "skipped", "skipped", "present"]
    assert f"skipped  {some}/outside: it is a link to a path outside, {tmp_path}/secret." in done.stdout


def test_named_and_not_taken(tmp_path: Path) -> None:
    """A path that was named and is no archive ends with 1; one that does not exist with 2."""
    data = tmp_path / "data"
    unknown = put(tmp_path / "notes.txt", b"notes")
    os.mkfifo(pipe := tmp_path / "pipe")
    done = adopt(data, unknown, pipe, FILE)
    assert done.returncode == 1
    assert f"failed   {unknown}: no archive of the catalog has its digest" in done.stderr
    assert f"failed   {pipe}: it is no file." in done.stderr
    assert "adopted  " in done.stdout
    done = adopt(data, tmp_path / "none")
    assert (done.returncode, done.stdout) == (2, "")


def test_other_bytes_of_the_origin(origin: Origin, mirror: Mirror, tmp_path: Path) -> None:
    """What nothing proves never takes the place of what the origin sent; the mirror's own data folder is left out."""
    origin.add("/sets/a.bin", b"the origin's")
    mirror.archive("/sets/a.bin")
    put(mirror.data.parent / HOST / "sets/a.bin", b"somebody's")
    done = adopt(mirror.data, mirror.data.parent)
    assert done.returncode == 1
    assert f"The mirror has other bytes of {URL}/sets/a.bin" in done.stderr
    assert f"skipped  {mirror.data}: it is the mirror's own data." in done.stdout
    assert mirror.archive("/sets/a.bin").body == b"the origin's"


def test_what_the_origin_said_stays(origin: Origin, mirror: Mirror, tmp_path: Path) -> None:
    """The entity tag of bytes that the mirror lost is the same when somebody brings these bytes."""
    origin.add("/sets/twice.bin", body(900), etag='"the-origins"')
    assert mirror.archive("/sets/twice.bin").fields["etag"] == '"the-origins"'
    mirror.blobs[0].unlink()
    done = adopt(mirror.data, put(tmp_path / "carried", body(900)))
    assert done.returncode == 0
    assert mirror.head("/sets/twice.bin").fields["etag"] == '"the-origins"'
    assert len(origin.gets("/sets/twice.bin")) == 1


def test_a_trusted_one(tmp_path: Path) -> None:
    """A refusal says the line that takes these very bytes; with it they are."""
    put(tmp_path / "some" / BOSTON, b"PK other bytes")
    (tmp_path / "data").mkdir()
    line = adopt(tmp_path / "data", tmp_path / "some").stderr.partition("mirror.toml: ")[2].splitlines()[0]
    (tmp_path / "data" / "mirror.toml").write_text(line.replace("]] ", "]]\n").replace('" sha', '"\nsha'))
    done = adopt(tmp_path / "data", tmp_path / "some", archives=None)
    assert done.returncode == 0, done.stderr


def test_nothing_there(tmp_path: Path) -> None:
    """A folder without any archive ends with 1."""
    put(tmp_path / "some" / "notes.txt", b"notes")
    done = adopt(tmp_path / "data", tmp_path / "some")
    assert done.returncode == 1
    assert done.stdout.startswith(f"unknown  {tmp_path}/some/notes.txt: no archive of the catalog has its digest")


def test_a_deep_folder(tmp_path: Path) -> None:
    """Folders in folders in folders are looked through to the last one, in the order of their names."""
    deepest = tmp_path.joinpath(*["d"] * 1200)
    subprocess.run(["mkdir", "-p", deepest], check=True)  # neither Python nor pytest can make or remove it
    try:
        (deepest / "a.txt").touch()
        (tmp_path / "e.txt").touch()
        assert [one.path for one in found(tmp_path, tmp_path / "none")] == [deepest / "a.txt", tmp_path / "e.txt"]
    finally:
        subprocess.run(["rm", "-r", tmp_path / "d"], check=True)


def test_json(tmp_path: Path) -> None:
    """With --json every line is an object with the file, the archive that it is, and how it ended."""
    put(tmp_path / "some" / "notes.txt", b"notes")
    put(tmp_path / "some" / "a", FILE.read_bytes())
    done = adopt(tmp_path / "data", "--json", tmp_path / "some")
    last = [json.loads(line) for line in done.stdout.splitlines() if '"received": 57026' in line or "unknown" in line][-2:]
    assert done.returncode == 0
    assert last[0] == {"url": BOSTON_URL, "state": "adopted", "received": 57026, "total": 57026, "file": f"{tmp_path}/some/a"}
    assert last[1]["state"] == "unknown"


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    """A file name that is not UTF-8, or would command a terminal, is no trouble."""
    (tmp_path / "some").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path / "some") + b"/b\xf6s\x1b[2Je")).write_bytes(FILE.read_bytes())
    done = adopt(tmp_path / "data", tmp_path / "some")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
