"""`/keras-home.tar`, taken by the commands that people type."""

import io
import json
import os
import socket
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.airgap.keras_sets import ARCHIVES, BOSTON, BOSTON_URL, FILE, SIZES, TWO_PLACES, stock
from tests.conftest import StartMirror
from tests.origin import MIB, Origin, body
from tests.serving import HOST, PATIENCE, URL, Mirror, mirroring


@pytest.fixture(scope="module")
def keras(shared_origin: Origin, start_shared_mirror: StartMirror) -> Mirror:
    """A mirror that has the archives of the tests' catalog, but for never.bin."""
    stock(shared_origin)
    mirror = start_shared_mirror(archives=ARCHIVES)
    assert mirror.api("fetch", archives=[BOSTON_URL, *(f"{URL}/sets/{file}" for file in SIZES)]).body.count(b'"fetched"') == 7
    return mirror


def members(mirror: Mirror, only: str) -> dict[str, tarfile.TarInfo]:
    """What is in the tar archive."""
    answer = mirror.get(f"/keras-home.tar?only={only}")
    assert answer.status == 200
    assert int(answer.fields["content-length"]) == len(answer.body)
    with tarfile.open(fileobj=io.BytesIO(answer.body)) as tar:
        return {member.name: member for member in tar}


def shell(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_curl_and_tar(keras: Mirror, tmp_path: Path) -> None:
    """Two commands of a shell make the tree: right bytes, both layouts as one file, plain modes and times."""
    done = shell(f"set -o pipefail; curl -fsS {keras.url}/keras-home.tar | tar -x -C {tmp_path}")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / BOSTON).read_bytes() == FILE.read_bytes()
    assert (tmp_path / "models/a-large.h5").read_bytes() == body(24 * MIB)
    assert (tmp_path / "datasets/shared.npz").read_bytes() == body(2000)
    first, second = (tmp_path / place for place in TWO_PLACES)
    assert first.read_bytes() == body(3000)
    assert first.samefile(second)
    assert first.stat().st_mode & 0o777 == 0o644
    record = next(file for file in json.loads(keras.get("/status/keras-home").body)["files"] if file["name"] == "keras/two")
    assert first.stat().st_mtime == record["modified"]


@pytest.mark.parametrize(
    ("only", "names"),
    [
        ("two", {*TWO_PLACES}),
        ("keras/two,last", {*TWO_PLACES, "models/b-last.h5"}),
        ("l*", {"models/a-large.h5", "models/b-last.h5"}),
        ("two&only=last", {*TWO_PLACES, "models/b-last.h5"}),
        ("part*", {"datasets/part.bin"}),
    ],
)
def test_only(keras: Mirror, only: str, names: set[str]) -> None:
    """`only` takes names with and without `keras/`, several of them, and globs, which mean what is there."""
    assert members(keras, only).keys() == names


@pytest.mark.parametrize(
    ("only", "size"), [("", 2000), ("shared", 2000), ("shared,keras-legacy/shared", 2000), ("keras-legacy/shared", 1000)]
)
def test_a_shared_place(keras: Mirror, only: str, size: int) -> None:
    """A place that two archives claim is the present one's; the former one has it only if it alone is named."""
    assert members(keras, only)["datasets/shared.npz"].size == size


def test_an_unknown_name(keras: Mirror) -> None:
    """An unknown name is a 404 with the nearest names."""
    problem = keras.get("/keras-home.tar?only=two,larg").problem
    assert problem["status"] == 404
    assert "'larg'" in problem["detail"]
    assert "large" in problem["hint"]


def test_an_incomplete_name(keras: Mirror) -> None:
    """A dataset that is not all there is a 404 before the first byte, with the missing archive and the command that fetches it."""
    problem = keras.get("/keras-home.tar?only=parts,two").problem
    assert problem["status"] == 404
    assert problem["missing"] == [f"{URL}/sets/never.bin"]
    assert problem["hint"] == "Fetch it first: dataset-mirror fetch keras/parts"


def test_nothing_there(mirror: Mirror) -> None:
    """An empty mirror says so, and does not send an empty tree."""
    assert mirror.get("/keras-home.tar").problem["title"] == "Not all of it is stored"


def test_head(keras: Mirror) -> None:
    """HEAD has the length that GET has, and no body."""
    head, whole = (keras.get("/keras-home.tar?only=two", method) for method in ("HEAD", "GET"))
    assert (head.status, head.body) == (200, b"")
    assert head.fields["content-length"] == whole.fields["content-length"]


@pytest.fixture
def last(keras: Mirror) -> Iterator[Path]:
    """The blob of `keras/last`, which is whole again at the end."""
    blob = next(blob for blob in keras.blobs if blob.stat().st_size == SIZES["last.bin"])
    yield blob
    blob.write_bytes(body(SIZES["last.bin"]))


def rest(connection: socket.socket) -> bytes:
    """What still comes until the connection is reset, as it must be."""
    received = b""
    try:
        while more := connection.recv(MIB):
            received += more
    except ConnectionResetError:
        return received
    raise AssertionError(f"a clean end after {len(received)} more bytes")


@pytest.mark.parametrize("how", ["gone", "short"])
def test_a_blob_that_goes_meanwhile(keras: Mirror, last: Path, how: str) -> None:
    """A blob that vanishes in mid-body breaks the connection, never at the border of two members, so that tar fails, too."""
    with socket.create_connection(("127.0.0.1", keras.port), PATIENCE) as connection:
        connection.sendall(b"GET /keras-home.tar?only=large,last HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = connection.recv(100_000)  # there is more of it than sockets hold
        last.unlink() if how == "gone" else os.truncate(last, 0)
        received += rest(connection)
    tar = received.partition(b"\r\n\r\n")[2]
    assert len(tar) > SIZES["large.bin"] // 2  # a reset takes away what the client has not read yet
    assert subprocess.run(["tar", "-t"], input=tar, capture_output=True, check=False).returncode == 2
    assert "Broke off an answer: The blob of" in keras.log


def test_a_client_that_leaves(keras: Mirror) -> None:
    """A client that leaves in mid-body is nobody's trouble: the log has no traceback, and the next one is served."""
    with socket.create_connection(("127.0.0.1", keras.port), PATIENCE) as connection:
        connection.sendall(b"GET /keras-home.tar?only=large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert members(keras, "large")["models/a-large.h5"].size == SIZES["large.bin"]
    assert "Traceback" not in keras.log


def test_a_blob_that_is_gone_before(keras: Mirror, last: Path) -> None:
    """A blob that is gone when the tree is asked for counts as missing, before the first byte."""
    last.unlink()
    assert keras.get("/keras-home.tar?only=last").problem["missing"] == [f"{URL}/sets/last.bin"]


def test_private_archives(shared_origin: Origin, tmp_path: Path) -> None:
    """Archives that are for some clients only are a 403 by name, left out otherwise, and what has them is for one client."""
    stock(shared_origin)
    origins = [{"url": URL, "paths": ["/sets/"], "readers": ["10.99.0.0/16"]}]
    with mirroring(shared_origin, tmp_path / "data", archives=ARCHIVES, origins=origins, forwarded_allow_ips=["127.0.0.1"]) as mirror:
        mirror.api("fetch", archives=["keras/two", "keras/boston_housing"])
        assert members(mirror, "").keys() == {BOSTON}
        assert mirror.get("/keras-home.tar?only=two").problem["status"] == 403
        assert mirror.get("/status/keras-home?only=two").problem["status"] == 403
        answer = mirror.get("/keras-home.tar?only=two", fields={"X-Forwarded-For": "10.99.0.7"})
        assert (answer.status, answer.fields["cache-control"]) == (200, "private, no-store")


def test_as_an_archive_of_the_host(keras: Mirror) -> None:
    """The page is the mirror's own: at an origin's host the same path is that origin's."""
    assert keras.get("/keras-home.tar", fields={"Host": HOST}).status == 403
