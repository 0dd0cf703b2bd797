"""`add URL` looks where the URL goes, and allows that too."""

from __future__ import annotations

import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import warm
from tests.cli.test_add import add
from tests.origin import Origin, body
from tests.serving import Mirror, environment

HOST, FIRST, LAST = "more.example.org", "hop.example.net", "cdn.example.com"
URL = f"https://{HOST}/sets/a.zip"
DATA = b"PK\x03\x04" + body(99_996)


@pytest.fixture(scope="module")
def upstreams(shared_origin: Origin) -> dict[str, Any]:
    """Three hosts of one server: the first redirects to the second, that to the third, which has the archive."""
    shared_origin.add("/sets/a.zip", b"", redirect=f"https://{FIRST}/b?sign=secret")
    shared_origin.add("/first/b", b"", redirect=f"https://{LAST}/c")
    shared_origin.add("/last/c", DATA, headers={"Content-Type": "application/zip"})
    return {HOST: [shared_origin.url], FIRST: [f"{shared_origin.url}/first"], LAST: [f"{shared_origin.url}/last"]}


@pytest.fixture
def mirror(upstreams: dict[str, Any], tmp_path: Path) -> Iterator[Mirror]:
    with Mirror(tmp_path / "data", upstreams=upstreams) as running:
        yield running


def written(data: Path) -> list[dict[str, Any]]:
    """The [[origins]] blocks of mirror.toml."""
    blocks: list[dict[str, Any]] = tomllib.loads((data / "mirror.toml").read_text())["origins"]
    return blocks


def alone(data: Path, upstreams: dict[str, Any], *arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    """`add` without a running mirror, which looks itself."""
    return warm.run("add", "--data", data, *arguments, env=environment(data.parent, {"upstreams": upstreams, **settings}))


def test_a_refused_redirect_names_what_allows_it(mirror: Mirror) -> None:
    """The client is told the command; running it beside the mirror shows the hosts, writes them, and the archive arrives."""
    add(mirror.data, URL)
    refused = mirror.get(f"/{HOST}/sets/a.zip")
    assert (refused.status, refused.problem["command"]) == (403, f"dataset-mirror add '{URL}' --yes")
    assert FIRST in refused.problem["detail"]
    done = add(mirror.data, URL, "--yes")
    assert done.returncode == 0, done.stderr
    assert f"redirects to {FIRST}\n  redirects to {LAST}\n  answers 200, 100 kB, application/zip" in done.stdout
    assert "secret" not in done.stdout + done.stderr
    assert written(mirror.data) == [{"url": f"https://{HOST}", "paths": ["/sets/"], "redirects_to": [FIRST, LAST]}]
    assert mirror.get(f"/{HOST}/sets/a.zip").body == DATA
    assert "is already allowed" in add(mirror.data, URL).stdout


def test_nobody_to_ask(mirror: Mirror) -> None:
    """Without a terminal and without --yes the archive is allowed, not where it redirects to; what to do is said."""
    done = add(mirror.data, URL)
    assert (done.returncode, "redirects_to" in written(mirror.data)[0]) == (0, False)
    assert f"dataset-mirror add '{URL}' --yes" in done.stderr


def test_without_a_mirror(upstreams: dict[str, Any], tmp_path: Path) -> None:
    """No mirror runs: the command looks itself."""
    done = alone(tmp_path, upstreams, URL, "-y")
    assert done.returncode == 0, done.stderr
    assert written(tmp_path)[0]["redirects_to"] == [FIRST, LAST]
    assert f"Shells that were set up before reach {HOST} through a tunnel" in done.stdout


def test_offline(upstreams: dict[str, Any], tmp_path: Path) -> None:
    """Offline nothing is looked at, which is said; the archive is allowed all the same."""
    done = alone(tmp_path, upstreams, URL, "--yes", offline="true")
    assert (done.returncode, written(tmp_path)[0]["paths"]) == (0, ["/sets/"])
    assert "offline" in done.stderr


@pytest.mark.parametrize(
    ("location", "words"),
    [
        (f"https://{HOST}/sets/loop.zip", "redirects more than 5 times"),
        ("http://cdn.example.com/c", "away from https"),
        ("https://localhost/c", "not an address of the public internet"),
        ("ftp://x/y", "away from https"),
    ],
)
def test_where_nobody_should_go(shared_origin: Origin, upstreams: dict[str, Any], tmp_path: Path, location: str, words: str) -> None:
    """Loops, plain http, other schemes and private addresses are said, and never followed."""
    shared_origin.add("/sets/loop.zip", b"", redirect=location)
    done = alone(tmp_path, upstreams, f"https://{HOST}/sets/loop.zip", "--yes")
    assert done.returncode == 0
    assert words in done.stderr, done.stderr


def test_head_that_is_refused(shared_origin: Origin, upstreams: dict[str, Any], tmp_path: Path) -> None:
    """Where HEAD is refused one byte is asked for, and the whole size is known from that."""
    shared_origin.add("/sets/nohead.zip", DATA, refuse_head=405)
    done = alone(tmp_path, upstreams, f"https://{HOST}/sets/nohead.zip")
    assert "answers 200, 100 kB" in done.stdout, done.stdout + done.stderr
    assert shared_origin.bytes_sent_for("/sets/nohead.zip") <= 1


def test_plain_http(upstreams: dict[str, Any], tmp_path: Path) -> None:
    """Of an origin over plain http it is said that setup.sh needs ?http=1 for it."""
    done = alone(tmp_path, upstreams, f"http://{HOST}/sets/a.zip")
    assert "setup.sh?http=1" in done.stdout
    assert written(tmp_path)[0]["url"] == f"http://{HOST}"


def test_what_is_not_there(upstreams: dict[str, Any], tmp_path: Path) -> None:
    """A URL that answers 404 is said to be no archive."""
    assert "answers 404" in alone(tmp_path, upstreams, f"https://{HOST}/sets/none.zip").stdout
