"""`check`, run as a person runs it: beside a server, without one, and of a mirror elsewhere."""

import json
import sqlite3
import subprocess
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests import warm
from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, PATIENCE, URL, Mirror, environment

GOOGLE = "https://storage.googleapis.com"
BOSTON = "/tensorflow/tf-keras-datasets/boston_housing.npz"
FILES = Path(__file__).parents[1] / "data" / "origin" / "storage.googleapis.com"
ORIGINS = [{"url": URL, "paths": ["/sets/"]}]
SCRIPT = f"""
import keras
keras.datasets.boston_housing.load_data()
keras.utils.get_file("a.bin", "{URL}/sets/a.bin")
"""


@pytest.fixture(scope="module")
def mirror(shared_origin: Origin, start_shared_mirror: StartMirror) -> Mirror:
    """A mirror that has a data set of Keras and an archive of its own."""
    shared_origin.add(BOSTON, FILES / BOSTON.lstrip("/"))
    shared_origin.add("/sets/a.bin", body(5000))
    mirror = start_shared_mirror()
    assert mirror.get("/storage.googleapis.com" + BOSTON).status == 200
    assert mirror.archive("/sets/a.bin").status == 200
    return mirror


def check(folder: Path, *arguments: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    """`dataset-mirror check` in a folder."""
    known = environment(folder, {"origins": ORIGINS} | settings)
    return warm.run("check", *arguments, cwd=folder, env=known)


def rows(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """The rows of `--json`."""
    return [json.loads(line) for line in done.stdout.splitlines()]


def wanted(data: Path) -> set[str]:
    """What is on the wanted list."""
    connection = sqlite3.connect(data / "index.db")
    try:
        return {key for (key,) in connection.execute("SELECT key FROM wanted")}
    finally:
        connection.close()


def test_all_there(mirror: Mirror, tmp_path: Path) -> None:
    """Beside a server, of that mirror by URL, the answer is 0 and a table that says where each archive is asked for."""
    (tmp_path / "train.py").write_text(SCRIPT)
    for where in (("--data", str(mirror.data)), ("--mirror", mirror.url)):
        done = check(tmp_path, *where, "train.py")
        assert (done.returncode, done.stderr) == (0, "")
        header, boston, own, summary = done.stdout.splitlines()
        assert header.split("  ")[0] == "archive"
        assert boston.split()[:5] == ["keras/boston_housing", "boston_housing.npz", "train.py:3", "yes", "yes"]
        assert own.split()[:4] == [f"{URL}/sets/a.bin", "train.py:4", "yes", "no"]
        assert summary == "All 2 archives are there."


def test_without_a_server(origin: Origin, start_mirror: StartMirror, tmp_path: Path) -> None:
    """A data folder is asked itself when no server runs; a blob that has gone is missing."""
    origin.add("/sets/a.bin", body(5000))
    mirror = start_mirror()
    assert mirror.archive("/sets/a.bin").status == 200
    mirror.stop()
    arguments = ("--data", str(mirror.data), "--json", f"{URL}/sets/a.bin")
    assert [row["state"] for row in rows(check(tmp_path, *arguments))] == ["present"]
    mirror.blobs[0].unlink()
    done = check(tmp_path, "--want", *arguments)
    assert (done.returncode, [row["state"] for row in rows(done)]) == (1, ["missing"])


def test_something_is_missing(mirror: Mirror, tmp_path: Path) -> None:
    """What is missing or cannot be told makes it 1; the last line has the command for it."""
    (tmp_path / "n.ipynb").write_text(
        json.dumps({"cells": [{"cell_type": "code", "source": "%time\nimport keras as k\nk.datasets.imdb.load_data()"}]})
    )
    (tmp_path / "list.txt").write_text(f"# for the cluster\nkeras/boston_housing # small\n{URL}/sets/b.bin\n")
    done = check(tmp_path, "--data", str(mirror.data), "n.ipynb", "list.txt")
    assert done.returncode == 1
    assert "n.ipynb cell 1, line 3" in done.stdout
    assert "list.txt:3" in done.stdout
    imdb = f"{GOOGLE}/tensorflow/tf-keras-datasets/imdb.npz"
    assert done.stdout.splitlines()[-1] == f"1 of 3 archives is there; 2 are not: dataset-mirror fetch {imdb} {URL}/sets/b.bin."


def test_cannot_tell(mirror: Mirror, tmp_path: Path) -> None:
    """What only a run can tell is a row with its lines, and makes it 1."""
    (tmp_path / "a.py").write_text("import keras\ngetattr(keras.datasets, name)\n\ngetattr(keras.datasets, name)")
    done = check(tmp_path, "--mirror", mirror.url, "--json", "a.py")
    assert done.returncode == 1
    assert rows(done) == [
        {
            "state": "cannot tell",
            "places": ["a.py:2", "a.py:4"],
            "present": False,
            "verified": False,
            "reason": "a part of keras.datasets that a variable names",
        }
    ]


def test_not_listed(mirror: Mirror, tmp_path: Path) -> None:
    """What no origin lists comes with the command that lists it; the mirror's own origins count, not those of the client."""
    done = check(tmp_path, "--mirror", mirror.url, f"{URL}/sets/a.bin", "https://b.example.org/x/y.zip", origins=[])
    assert done.returncode == 1
    assert (
        done.stdout.splitlines()[-1]
        == "1 of 2 archives is there; 1 is not: dataset-mirror add https://b.example.org/x/y.zip (on that mirror's machine)."
    )


def test_on_its_way(mirror: Mirror, shared_origin: Origin, tmp_path: Path) -> None:
    """What is being fetched is not there yet, and needs no command."""
    shared_origin.add("/sets/slow.bin", body(5_000_000), rate=100_000)
    connection = HTTPConnection("127.0.0.1", mirror.port, timeout=PATIENCE)
    connection.request("GET", f"/{HOST}/sets/slow.bin")
    shared_origin.wait_for(lambda: shared_origin.gets("/sets/slow.bin"))
    done = check(tmp_path, "--mirror", mirror.url, "--json", f"{URL}/sets/slow.bin")
    connection.close()
    assert (done.returncode, [(row["state"], "get" in row) for row in rows(done)]) == (1, [("fetching", False)])


@pytest.mark.parametrize("beside", ["--data", "--mirror"])
def test_want(mirror: Mirror, tmp_path: Path, beside: str) -> None:
    """`--want` puts what is missing, and nothing else, on the list of the mirror that was asked."""
    where = ("--data", str(mirror.data), *(["--mirror", mirror.url] if beside == "--mirror" else []))  # with the folder comes its key
    missing = f"/sets/{beside}.bin"
    done = check(tmp_path, *where, "--want", f"{URL}/sets/a.bin", URL + missing)
    assert (done.returncode, done.stderr) == (1, "1 is on the wanted list now: dataset-mirror wanted\n")
    assert HOST + missing in wanted(mirror.data)
    assert f"{HOST}/sets/a.bin" not in wanted(mirror.data)


def test_want_needs_the_token(start_mirror: StartMirror, tmp_path: Path) -> None:
    """Checking is for everybody; `--want` changes the mirror, and needs its token."""
    mirror = start_mirror(token="a-long-secret", offline=True)
    arguments = ("--mirror", mirror.url, "keras/mnist")
    done = check(tmp_path, *arguments)
    assert done.stdout.endswith("dataset-mirror fetch keras/mnist (where there is a network).\n")
    done = check(tmp_path, "--want", *arguments)
    assert (done.returncode, wanted(mirror.data)) == (1, set())
    assert "token" in done.stderr
    check(tmp_path, "--want", *arguments, token="a-long-secret")
    assert wanted(mirror.data) == {"storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"}


def test_many_at_once(mirror: Mirror, tmp_path: Path) -> None:
    """More URLs than one request can carry, some of them long, are asked for in several; each has its row."""
    names = [f"{URL}/sets/{'n' * (number % 7) * 300}{number}" for number in range(1200)]
    (tmp_path / "list.txt").write_text("\n".join([*names, f"{URL}/sets/a.bin?x=1&y=%20", "keras/*"]))
    done = check(tmp_path, "--mirror", mirror.url, "--json", "list.txt")
    assert done.returncode == 1
    found = rows(done)
    assert [row["url"] for row in found[:1200]] == names
    assert [row["name"] for row in found if row["state"] == "present"] == ["keras/boston_housing"]
    assert len(found) > 1450


@pytest.mark.parametrize(("given", "said"), [("broken.py", "broken.py:2: this is not Python"), ("keras/mnst", "Did you mean keras/mnist")])
def test_wrong_usage(mirror: Mirror, tmp_path: Path, given: str, said: str) -> None:
    """What cannot be read is one sentence, with the line where there is one, and 2."""
    (tmp_path / "broken.py").write_text("x = 1\nx = = 2")
    done = check(tmp_path, "--data", str(mirror.data), given)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_nothing_is_asked_for(mirror: Mirror, tmp_path: Path) -> None:
    """A script that asks for nothing is well."""
    (tmp_path / "a.py").write_text("import keras\n")
    done = check(tmp_path, "--data", str(mirror.data), "a.py")
    assert (done.returncode, done.stdout) == (0, "No archive is asked for.\n")


def test_another_server(shared_origin: Origin, tmp_path: Path) -> None:
    """A server that is no mirror, and one that is not there, are one sentence."""
    for url, said in ((shared_origin.url, "404"), ("http://127.0.0.1:9", "does not answer")):
        done = check(tmp_path, "--mirror", url, "keras/mnist")
        assert done.returncode == 1
        assert said in done.stderr
    assert check(tmp_path, "--mirror", "mirror:8080", "keras/mnist").returncode == 2
