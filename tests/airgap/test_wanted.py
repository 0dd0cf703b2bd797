"""The wanted list as people see it: the command, the API, and the page."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dataset_mirror.airgap.lists import entries
from dataset_mirror.airgap.wanted import as_list, select, wishes
from dataset_mirror.errors import UsageError
from dataset_mirror.origins.identity import parse_url
from dataset_mirror.origins.model import Origin
from dataset_mirror.origins.table import Origins
from dataset_mirror.store.wanted import Wanted
from tests import warm
from tests.origin import Origin as Server
from tests.origin import body
from tests.serving import URL, Mirror, environment, mirroring
from tests.status.html import check_accessible, read

B, C = f"{URL}/sets/b.bin", f"{URL}/sets/c.bin?v=1"
NAMED = {"archives": [{"url": B, "name": "sets/b"}]}


@pytest.fixture(scope="module")
def offline(shared_origin: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    """An offline mirror that was asked for B, then C twice."""
    with mirroring(shared_origin, tmp_path_factory.mktemp("mirrors") / "data", offline=True, **NAMED) as mirror:
        for path in ("/sets/b.bin", "/sets/c.bin?v=1", "/sets/c.bin?v=1"):
            assert mirror.archive(path).status == 504
        yield mirror


def run(mirror: Mirror, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    """A command on the mirror's data folder, with its settings."""
    known = environment(mirror.data.parent, {"data": str(mirror.data)} | mirror._settings)
    return warm.run(*arguments, cwd=mirror.data.parent, env=known, typed=typed)


def test_the_command(offline: Mirror) -> None:
    """One line per archive: how often, by whom, its URL and name; and what to do with the list."""
    done = run(offline, "wanted")
    assert done.returncode == 0
    _, b, c = done.stdout.splitlines()
    assert b.split()[0] == "1"
    assert b.endswith(f"127.0.0.1        {B}  (sets/b)")
    assert c.split()[0] == "2"
    assert c.endswith(C)
    assert done.stderr == "2 archives are wanted. Carry the list out: dataset-mirror wanted --export wanted.txt\n"


def test_json(offline: Mirror) -> None:
    """With --json each line is an object."""
    done = run(offline, "wanted", "--json", "sets/b")
    (line,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert {name: line[name] for name in ("url", "name", "count", "asked_by")} == {
        "url": B,
        "name": "sets/b",
        "count": 1,
        "asked_by": "127.0.0.1",
    }
    assert line["first"] == line["last"]


def test_export(offline: Mirror) -> None:
    """The file has one URL a line, with a comment that tells name and count but not who asked; standard output has the same."""
    assert run(offline, "wanted", "--export", "wanted.txt").stderr == "Wrote 2 archives to wanted.txt.\n"
    text = (offline.data.parent / "wanted.txt").read_text()
    assert entries(text) == [B, C]
    assert f"{B}  # sets/b, asked for once, last " in text
    assert f"{C}  # asked for 2 times, last " in text
    assert "127.0.0.1" not in text
    assert run(offline, "wanted", "--export", "-").stdout == text


@pytest.mark.parametrize(
    "arguments",
    [("--export", "-", "--json"), ("--export", "none/wanted.txt"), ("keras/mnist",)],
    ids=["two forms", "no folder", "not wanted"],
)
def test_wrong_usage(offline: Mirror, arguments: tuple[str, ...]) -> None:
    """What cannot be meant is one sentence, and ends with 2."""
    done = run(offline, "wanted", *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_the_api(offline: Mirror) -> None:
    """`/status/wanted` tells the same, page by page, what was asked for last first; `/status` the number."""
    first: dict[str, Any] = json.loads(offline.get("/status/wanted?limit=1").body)
    second: dict[str, Any] = json.loads(offline.get(f"/status/wanted?limit=1&after={first['next']}").body)
    (c,), (b,) = first["wanted"], second["wanted"]
    assert (c["url"], c["name"], c["count"], c["asked_by"]) == (C, "", 2, "127.0.0.0/24")
    whole = json.loads(offline.get("/status/wanted?limit=1", fields=offline.key).body)
    assert whole["wanted"] == [c | {"asked_by": "127.0.0.1"}]  # for who may change the mirror
    assert (b["url"], b["name"], b["count"]) == (B, "sets/b", 1)
    assert b["last"].endswith("+00:00")
    assert second["next"] is None
    assert offline.get("/status/wanted?after=x").status == 400
    assert offline.status["wanted"] == 2
    assert "Requested but unavailable: 2" in run(offline, "status").stdout


def test_the_page(offline: Mirror) -> None:
    """`/wanted` shows the list and the commands that carry it out and bring the archives in."""
    page = read(offline.get("/wanted").body)
    check_accessible(page)
    assert "2 archives were requested but could not be fetched." in page.text.replace("\N{NO-BREAK SPACE}", " ")
    assert "sets/b" in page.text
    commands = [code.text for pre in page.all("pre") for code in pre.all("code")]
    for command in ("wanted --export wanted.txt", "fetch --from wanted.txt", "export bundle.tar --wanted wanted.txt", "import bundle.tar"):
        assert any(f"dataset-mirror {command}" in each for each in commands)


def test_the_loop(offline: Mirror, shared_origin: Server, tmp_path: Path) -> None:
    """What was exported inside is fetched outside; what comes back leaves the list."""
    for path in ("/sets/b.bin", "/sets/c.bin?v=1"):
        shared_origin.add(path, body(1000))
    text = run(offline, "wanted", "--export", "-").stdout
    with mirroring(shared_origin, tmp_path / "outside") as outside:
        done = run(outside, "fetch", "--from", "-", typed=text)
        assert (done.returncode, done.stderr) == (0, "")
        assert outside.archive("/sets/c.bin?v=1").status == 200


@pytest.mark.parametrize("live", [True, False], ids=["beside a server", "without a server"])
def test_clearing(shared_origin: Server, tmp_path: Path, live: bool) -> None:
    """--clear takes off what is listed: that of some names, or all; an empty list says so."""
    with mirroring(shared_origin, tmp_path / "data", offline=True, **NAMED) as mirror:
        for path in ("/sets/b.bin", "/sets/c.bin"):
            assert mirror.archive(path).status == 504
        if not live:
            mirror.stop()
        assert run(mirror, "wanted", "--clear", "sets/*").stderr.splitlines()[-1] == "Took 1 archive off the list."
        assert run(mirror, "wanted", "--clear", "--export", "-").stdout.count(URL) == 1
        assert run(mirror, "wanted").stderr == "0 archives are wanted.\n"


def test_a_host_that_is_no_origin_any_more() -> None:
    """It stays on the list; the scheme is the origin's, else https."""
    origins = Origins([], [Origin(url="http://data.example.org", paths=["/sets/"])], [])
    listed = wishes([Wanted(parse_url(url), 1, 1.0, 1.0) for url in ("data.example.org/sets/a", "gone.example.org/a")], origins)
    assert [wish.url for wish in listed] == ["http://data.example.org/sets/a", "https://gone.example.org/a"]
    assert entries("\n".join(as_list(listed, 1.0))) == [wish.url for wish in listed]
    assert select(listed, ["https://gone*"]) == listed[1:]
    with pytest.raises(UsageError):
        select(listed, [""])
