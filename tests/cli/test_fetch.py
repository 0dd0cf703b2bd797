"""`fetch`, run as a person runs it: alone, and beside a live server."""

import asyncio
import json
import signal
import subprocess
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from dataset_mirror.cli.local import stepwise
from tests import warm
from tests.origin import Origin, body
from tests.serving import HOST, URL, Mirror, environment

GOOGLE = "storage.googleapis.com"
KERAS = "/tensorflow/tf-keras-datasets/"
BOSTON = KERAS + "boston_housing.npz"
FILES = Path(__file__).parents[1] / "data" / "origin" / GOOGLE


@pytest.fixture
def keras(origin: Origin) -> Origin:
    """The origin, with genuine archives of Keras and one of its own."""
    for file in (FILES / KERAS.strip("/")).iterdir():
        origin.add(KERAS + file.name, file)
    origin.add("/sets/own.bin", body(100_000))
    return origin


def fetch(origin: Origin, data: Path, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    """`dataset-mirror fetch` into this data folder, with the origin for every host."""
    settings: dict[str, Any] = {
        "data": str(data),
        "origins": [{"url": URL, "paths": ["/sets/"]}],
        "upstreams": {host: [origin.url] for host in (HOST, GOOGLE)},
    }
    known = environment(data.parent, settings)
    return warm.run("fetch", *arguments, cwd=data.parent, env=known, typed=typed)


def kept(data: Path, archive: str) -> bytes:
    """The bytes of an archive, by its place in the tree."""
    return (data / "tree" / archive.lstrip("/")).read_bytes()


def test_by_name(keras: Origin, tmp_path: Path) -> None:
    """A name of the catalog is fetched into the data folder, with one GET, and said to be there."""
    done = fetch(keras, tmp_path / "data", "keras/boston_housing")
    assert (done.returncode, done.stderr) == (0, "")
    size = (FILES / BOSTON.lstrip("/")).stat().st_size
    assert done.stdout.splitlines() == [
        f"fetched  https://{GOOGLE}{BOSTON} ({size:,} bytes)",
        f"1 of 1 archive is there ({size:,} bytes).",
    ]
    assert kept(tmp_path / "data", GOOGLE + BOSTON) == (FILES / BOSTON.lstrip("/")).read_bytes()
    assert len(keras.gets(BOSTON)) == 1


def test_by_glob(keras: Origin, tmp_path: Path) -> None:
    """A glob means every archive whose name matches, and no other."""
    done = fetch(keras, tmp_path / "data", "keras/boston*")
    assert (done.returncode, done.stderr) == (0, "")
    assert kept(tmp_path / "data", GOOGLE + BOSTON)
    assert {request.target for request in keras.requests} == {BOSTON}


def test_by_url(keras: Origin, tmp_path: Path) -> None:
    """A URL of a listed origin is fetched, whether the catalog knows it or not."""
    done = fetch(keras, tmp_path / "data", f"{URL}/sets/own.bin", f"https://{GOOGLE}{BOSTON}")
    assert (done.returncode, done.stderr) == (0, "")
    assert kept(tmp_path / "data", f"{HOST}/sets/own.bin") == body(100_000)
    assert done.stdout.splitlines()[-1].startswith("2 of 2 archives are there ")


def test_the_same_twice_in_one_command(keras: Origin, tmp_path: Path) -> None:
    """An archive that is named in two ways is fetched once."""
    done = fetch(keras, tmp_path / "data", "keras/boston_housing", "keras/boston*", f"https://{GOOGLE}{BOSTON}")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].startswith("1 of 1 archive is there ")
    assert len(keras.gets(BOSTON)) == 1


def test_a_second_run(keras: Origin, tmp_path: Path) -> None:
    """What is there already is said to be present, and the origin is asked nothing."""
    assert fetch(keras, tmp_path / "data", "keras/boston_housing").returncode == 0
    keras.clear()
    done = fetch(keras, tmp_path / "data", "keras/boston_housing")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"present  https://{GOOGLE}{BOSTON} ")
    assert (keras.requests, keras.connections) == ([], 0)


def test_beside_a_live_server(keras: Origin, mirror: Mirror) -> None:
    """Beside a live server it asks that one, which then has the archive; the origin sees one GET for all."""
    done = fetch(keras, mirror.data, "keras/boston_housing")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"fetched  https://{GOOGLE}{BOSTON} ")
    answer = mirror.get(f"/{GOOGLE}{BOSTON}")
    assert (answer.status, answer.body) == (200, (FILES / BOSTON.lstrip("/")).read_bytes())
    assert fetch(keras, mirror.data, "keras/boston_housing").stdout.startswith("present  ")
    assert len(keras.gets(BOSTON)) == 1


@pytest.mark.parametrize("live", [False, True], ids=["alone", "beside a server"])
def test_one_that_fails(keras: Origin, mirror: Mirror, tmp_path: Path, live: bool) -> None:
    """A 404 of the origin is said on standard error and ends with 1; the other archives arrive all the same."""
    data = mirror.data if live else tmp_path / "alone"
    done = fetch(keras, data, f"{URL}/sets/none.bin", f"{URL}/sets/own.bin")
    assert done.returncode == 1
    assert done.stderr.startswith(f"failed   {URL}/sets/none.bin: ")
    assert "404" in done.stderr
    assert done.stderr.count("\n") == 1
    assert f"fetched  {URL}/sets/own.bin (100,000 bytes)" in done.stdout
    assert done.stdout.splitlines()[-1] == "1 of 2 archives is there (100,000 bytes), 1 failed."
    assert kept(data, f"{HOST}/sets/own.bin") == body(100_000)


@pytest.mark.parametrize("live", [False, True], ids=["alone", "beside a server"])
def test_json(keras: Origin, mirror: Mirror, tmp_path: Path, live: bool) -> None:
    """With --json every line is an object, and the last one of each archive says how it ended, and why."""
    done = fetch(keras, mirror.data if live else tmp_path / "alone", "--json", f"{URL}/sets/none.bin", f"{URL}/sets/own.bin")
    assert (done.returncode, done.stderr) == (1, "")
    lines: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    last = {line["url"]: line for line in lines}
    own, none = last[f"{URL}/sets/own.bin"], last[f"{URL}/sets/none.bin"]
    assert own == {"url": f"{URL}/sets/own.bin", "state": "fetched", "received": 100_000, "total": 100_000}
    assert none["state"] == "failed"
    assert "404" in none["detail"]
    assert none["hint"]


@pytest.mark.parametrize("live", [False, True], ids=["alone", "beside a server"])
def test_a_wrong_name(keras: Origin, mirror: Mirror, tmp_path: Path, live: bool) -> None:
    """A name that is not in the catalog ends with 2 and the nearest name; nothing is fetched."""
    done = fetch(keras, mirror.data if live else tmp_path / "alone", "keras/boston_huosing")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        "dataset-mirror: The catalog has no archive named 'keras/boston_huosing'. Did you mean keras/boston_housing"
    )
    assert keras.requests == []


def test_a_url_that_no_origin_lists(keras: Origin, tmp_path: Path) -> None:
    """A URL outside of the listed origins is refused in one line, without a packet."""
    done = fetch(keras, tmp_path / "data", "https://elsewhere.example/a.zip")
    assert done.returncode == 1
    assert done.stderr.startswith("Not fetched: 1 archive of elsewhere.example, which no origin lists. To allow it, add")
    assert done.stderr.count("\n") == 1
    assert keras.connections == 0


LIST = f"""# What the cluster wants
keras/boston_housing   # asked for twice

{URL}/sets/own.bin?v=1	# the query is part of it
{URL}/sets/none.bin
"""


@pytest.mark.parametrize("live", [False, True], ids=["alone", "beside a server"])
def test_a_list(keras: Origin, mirror: Mirror, tmp_path: Path, live: bool) -> None:
    """Lists, from files or standard input, are fetched together with what is named; what failed comes last, as such a list."""
    data = mirror.data if live else tmp_path / "alone"
    (tmp_path / "list.txt").write_text(LIST)
    done = fetch(keras, data, f"{URL}/sets/own.bin", "--from", str(tmp_path / "list.txt"), "--from", "-", typed="keras/boston*\n")
    assert done.returncode == 1
    *_, summary, heading, failed = done.stdout.splitlines()
    assert summary.startswith("3 of 4 archives are there ")
    assert summary.endswith(", 1 failed.")
    assert heading.startswith("# ")
    assert failed == f"{URL}/sets/none.bin  # The origin answers 404 for {URL}/sets/none.bin."
    keras.add("/sets/none.bin", body(10))
    keras.clear()
    again = fetch(keras, tmp_path / "other", "--from", "-", typed=f"{heading}\n{failed}\n")
    assert (again.returncode, [request.target for request in keras.requests]) == (0, ["/sets/none.bin"])


@pytest.mark.parametrize("live", [False, True], ids=["alone", "beside a server"])
def test_wrong_lines(keras: Origin, mirror: Mirror, tmp_path: Path, live: bool) -> None:
    """What is wrong with a list is said by line and by host, and ends with 1; the rest of it is fetched, each once."""
    lines = ["\ufeff# first", f"{URL}/sets/own.bin  # once", "keras/boston_huosing", f"{URL}/sets/own.bin", "https://x.example.org/a/b.zip"]
    lines += [f"{URL}/sets/../a.zip", "hf:dataset/org/set", "", "https://x.example.org/a/c.zip"]
    done = fetch(keras, mirror.data if live else tmp_path / "data", "--from", "-", typed="\r\n".join(lines))
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "1 of 1 archive is there (100,000 bytes)."
    first, second, third, last = done.stderr.splitlines()
    assert first.startswith("Not fetched: standard input, line 3: ")
    assert "Did you mean keras/boston_housing" in first
    assert "line 6: " in second
    assert "line 7: " in third
    assert last.startswith("Not fetched: 2 archives of x.example.org, which no origin lists. ")
    assert [request.target for request in keras.requests] == ["/sets/own.bin"]


def test_hosts_that_no_origin_lists(keras: Origin, tmp_path: Path) -> None:
    """Of a list the rest is fetched; what no origin lists is named once for each host, with what allows it. It ends with 1."""
    (tmp_path / "list.txt").write_text("https://elsewhere.example/a.zip\nkeras/boston_housing\nhttps://elsewhere.example/b.zip\n")
    done = fetch(keras, tmp_path / "data", "--from", "list.txt")
    assert done.returncode == 1
    assert "boston_housing" in done.stdout
    said = "Not fetched: 2 archives of elsewhere.example, which no origin lists. To allow it, add to the command: --allow elsewhere.example"
    assert said in done.stderr


@pytest.mark.parametrize("arguments", [(), ("--from", "none.txt"), ("--from", ".")], ids=["nothing", "no file", "a folder"])
def test_nothing_to_read(keras: Origin, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Without names and without a list that can be read it says so, and ends with 2."""
    done = fetch(keras, tmp_path / "data", *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_a_list_that_was_cut_off(keras: Origin, tmp_path: Path) -> None:
    """A run that is repeated fetches only what is missing."""
    data = tmp_path / "data"
    assert fetch(keras, data, f"{URL}/sets/own.bin").returncode == 0
    keras.clear()
    assert fetch(keras, data, "--from", "-", typed=f"{URL}/sets/own.bin\nkeras/boston_housing\n").returncode == 0
    assert {request.target for request in keras.requests} == {BOSTON}


def test_ctrl_c_behind_a_step() -> None:
    """Ctrl-C when a step has just ended, and its loop not yet, ends what follows as at any other moment."""
    ended = []

    async def steps() -> AsyncGenerator[int]:
        try:
            asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)
            yield 1
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            list(stepwise(steps))
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended


def test_ctrl_c_before_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C when a step is about to begin ends what follows as at any other moment, though its Runner forgets that it was one."""
    install, comes = signal.signal, iter([signal.SIGINT])

    def installed(number: signal.Signals, handler: Any) -> Any:
        before = install(number, handler)
        if callable(handler) and handler is not signal.default_int_handler:
            for now in comes:
                signal.raise_signal(now)
        return before

    async def steps() -> AsyncGenerator[int]:
        yield 1

    before = install(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(signal, "signal", installed)
    try:
        with pytest.raises(KeyboardInterrupt):
            list(stepwise(steps))
    finally:
        install(signal.SIGINT, before)
