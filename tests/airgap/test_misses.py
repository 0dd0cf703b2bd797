"""What clients ask for in vain is on the wanted list before they hear of it."""

from __future__ import annotations

import socket
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, URL, Mirror


@dataclass(frozen=True)
class Row:
    count: int
    asked_by: str | None


def wanted(mirror: Mirror) -> dict[str, Row]:
    """The list as it is on the disk, by path."""
    database = sqlite3.connect(mirror.data / "index.db")
    try:
        rows = database.execute("SELECT key, count, asked_by FROM wanted").fetchall()
    finally:
        database.close()
    return {key.removeprefix(HOST): Row(count, asked_by) for key, count, asked_by in rows}


@pytest.fixture
def offline(start_mirror: StartMirror, origin: Origin) -> Mirror:
    """An offline mirror that has /sets/a.bin."""
    origin.add("/sets/a.bin", body(3000))
    mirror = start_mirror()
    assert mirror.archive("/sets/a.bin").status == 200
    return mirror.restart("--offline")


def test_an_offline_miss(offline: Mirror) -> None:
    """A 504 names the archive, says that it is wanted now and how the list is carried; GET and HEAD count, hits do not."""
    answer = offline.archive("/sets/b.bin?v=1")
    assert (answer.status, answer.problem["type"]) == (504, "urn:dataset-mirror:offline")
    assert wanted(offline) == {"/sets/b.bin?v=1": Row(1, "127.0.0.1")}
    assert f"{URL}/sets/b.bin?v=1" in answer.problem["detail"]
    assert "on the wanted list now" in answer.problem["detail"]
    assert "dataset-mirror wanted --export wanted.txt" in answer.problem["hint"]
    assert offline.head("/sets/b.bin?v=1").status == 504
    assert offline.archive("/sets/a.bin").status == 200
    assert offline.head("/sets/a.bin").status == 200
    assert wanted(offline) == {"/sets/b.bin?v=1": Row(2, "127.0.0.1")}


def test_what_is_no_miss(offline: Mirror) -> None:
    """Pages, wrong methods and explanations leave the list as it is."""
    assert offline.get(f"/{HOST}/sets/b.bin", "POST").status == 405
    explained = offline.get(f"/status/explain?url={URL}/sets/b.bin")
    assert b"wanted now" not in explained.body
    assert wanted(offline) == {}


def test_many_at_once(offline: Mirror) -> None:
    """Misses that come together are all counted, each before its answer, and written in few transactions."""
    with ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(lambda number: offline.archive(f"/sets/{number % 20}.bin").status, range(200)))
    assert answers == [504] * 200
    assert wanted(offline) == {f"/sets/{number}.bin": Row(10, "127.0.0.1") for number in range(20)}


def test_what_arrives_leaves_the_list(offline: Mirror, origin: Origin) -> None:
    """A fill that brings an archive takes it off the list."""
    origin.add("/sets/b.bin", body(2000))
    assert offline.archive("/sets/b.bin").status == 504
    assert offline.archive("/sets/c.bin").status == 504
    offline.restart()
    assert offline.archive("/sets/b.bin").status == 200
    assert set(wanted(offline)) == {"/sets/c.bin"}


@pytest.mark.parametrize(("behaviour", "status"), [({"status": 503, "retry_after": "90"}, 503), ({"html": True}, 502)])
def test_an_origin_that_cannot_give_it(mirror: Mirror, origin: Origin, behaviour: dict[str, Any], status: int) -> None:
    """What an origin, or a proxy that stands for it, cannot give now is wanted, too."""
    origin.add("/sets/b.bin", body(2000), **behaviour)
    assert mirror.archive("/sets/b.bin").status == status
    assert set(wanted(mirror)) == {"/sets/b.bin"}


def test_an_origin_that_says_no(mirror: Mirror) -> None:
    """An origin's own 404 is none: the archive is nowhere."""
    assert mirror.archive("/sets/none.bin").status == 404
    assert wanted(mirror) == {}


def test_nobody_there(start_mirror: StartMirror) -> None:
    """What no upstream could be reached for is wanted."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        mirror = start_mirror(upstreams={HOST: [f"http://127.0.0.1:{closed.getsockname()[1]}"]})
        assert mirror.archive("/sets/b.bin").status == 504
    assert wanted(mirror) == {"/sets/b.bin": Row(1, "127.0.0.1")}


def test_a_client_that_did_not_wait(mirror: Mirror, origin: Origin) -> None:
    """A client that left before the fill failed missed the archive, too."""
    origin.add("/sets/b.bin", b"", status=503)
    with socket.create_connection(("127.0.0.1", mirror.port)) as client:
        client.sendall(f"GET /{HOST}/sets/b.bin HTTP/1.1\r\nHost: mirror\r\n\r\n".encode())
        origin.wait_for(lambda: origin.gets("/sets/b.bin"))
    assert mirror.archive("/sets/b.bin").status == 502
    assert wanted(mirror) == {"/sets/b.bin": Row(2, "127.0.0.1")}


def test_who_asked(start_mirror: StartMirror) -> None:
    """Behind a trusted proxy it is the client's address that is noted; that of an unknown client is none."""
    mirror = start_mirror(offline=True, forwarded_allow_ips=["127.0.0.1"])
    for field, path in (("192.0.2.7", "/sets/b.bin"), ("unknown", "/sets/c.bin")):
        assert mirror.archive(path, x_forwarded_for=field).status == 504
    assert wanted(mirror) == {"/sets/b.bin": Row(1, "192.0.2.7"), "/sets/c.bin": Row(1, None)}
