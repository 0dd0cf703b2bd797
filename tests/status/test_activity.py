"""What the mirror did and is doing: traffic, usage, answers, clients, changes, the report."""

from __future__ import annotations

import csv
import http.client
import io
import json
import socket
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.status.figures import Held
from dataset_mirror.status.usage import held_in
from dataset_mirror.store import history
from dataset_mirror.store.history import Counts
from dataset_mirror.store.store import Store
from tests import warm
from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, PATIENCE, URL, Mirror, environment
from tests.store import archive, record
from tests.waiting import until

GOOGLE = "storage.googleapis.com"
BOSTON = "/tensorflow/tf-keras-datasets/boston_housing.npz"
FILE = Path(__file__).parents[1] / "data" / "origin" / GOOGLE / BOSTON.lstrip("/")
LARGE, SMALL = 3_000_000, FILE.stat().st_size


@pytest.fixture(scope="module")
def used(start_shared_mirror: StartMirror, shared_origin: Origin) -> Mirror:
    """A mirror that was used, killed, and started again: an archive without a name, one of the catalog, and one that is not there."""
    shared_origin.add("/sets/a.bin", body(LARGE))
    shared_origin.add(BOSTON, FILE)
    mirror = start_shared_mirror()
    for path in (f"/{HOST}/sets/a.bin", f"/{GOOGLE}{BOSTON}", f"/{HOST}/sets/a.bin", f"/{GOOGLE}{BOSTON}", f"/{GOOGLE}{BOSTON}"):
        assert mirror.get(path).status == 200
    mirror.archive("/sets/none.bin")
    until(lambda: told(mirror, "usage?by=client")["rows"], "the batch is written")
    until(lambda: _failures_written(mirror), "failed downloads, which have a batch of their own, are written")
    mirror.kill()
    return mirror.start()


@pytest.fixture(scope="module")
def asked(start_shared_mirror: StartMirror, shared_origin: Origin) -> Mirror:
    """One that tests may ask for archives: nobody counts there."""
    shared_origin.add("/sets/a.bin", body(LARGE))
    mirror = start_shared_mirror()
    mirror.archive("/sets/a.bin")
    return mirror


def _failures_written(mirror: Mirror) -> bool:
    """Whether failed downloads are in the index; they have a batch of their own."""
    with closing(sqlite3.connect(f"file:{mirror.data}/index.db?mode=ro", uri=True)) as index:
        return index.execute("select 1 from failures").fetchone() is not None


def told(mirror: Mirror, path: str) -> Any:
    answer = mirror.get(f"/status/{path}")
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def report(mirror: Mirror, *options: str) -> str:
    known = environment(mirror.data.parent, {"data": str(mirror.data)} | mirror._settings)
    done = warm.run("report", *options, cwd=mirror.data.parent, env=known)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("span", "steps"), [("hour", 60), ("day", 96), ("month", 120), ("year", 365)])
def test_traffic(used: Mirror, span: str, steps: int) -> None:
    """What was served and fetched, over any span, also after SIGKILL; quiet steps are there, too."""
    found = told(used, f"traffic?span={span}")
    assert len(found["points"]) == steps
    served, fetched = 2 * LARGE + 3 * SMALL, LARGE + SMALL
    total = {"served": served, "fetched": fetched, "saved": served - fetched, "hits": 3, "misses": 2, "failures": 1}
    assert found["total"] == total
    assert sum(point["served"] for point in found["points"][-2:]) == served
    assert found["hit_ratio"] == pytest.approx((served - fetched) / served)


def test_traffic_of_one(used: Mirror) -> None:
    """Of one origin, one dataset, or one network of clients; not of several of them."""
    for name, served in ((f"origin={HOST}", 2 * LARGE), ("dataset=keras/boston_housing", 3 * SMALL), ("origin=other.example.org", 0)):
        assert told(used, f"traffic?{name}")["total"]["served"] == served
    assert told(used, "traffic?client=127.0.0.0/24")["total"]["hits"] == 3
    assert used.get(f"/status/traffic?origin={HOST}&dataset=keras/mnist").problem["status"] == 400


def test_files_that_come_and_go(tmp_path: Path) -> None:
    """Downloads that begin and end while their files are counted make nothing fail."""
    over = threading.Event()

    def come_and_go() -> None:
        while not over.is_set():
            for number in range(20):
                (tmp_path / str(number)).write_bytes(b"x")
            for number in range(20):
                (tmp_path / str(number)).unlink()

    other = threading.Thread(target=come_and_go)
    other.start()
    try:
        assert all(held_in(tmp_path).size <= 20 for _ in range(300))
    finally:
        over.set()
        other.join()
    (tmp_path / "0").write_bytes(b"xyz")
    assert held_in(tmp_path) == Held(number=1, size=3)
    assert held_in(tmp_path / "none") == Held()


def test_usage(used: Mirror) -> None:
    """What takes the room, and what was asked for of it."""
    by_origin = told(used, "usage")
    assert [(row["name"], row["archives"], row["size"]) for row in by_origin["rows"]] == [(HOST, 1, LARGE), (GOOGLE, 1, SMALL)]
    assert (by_origin["archives"], by_origin["size"]) == (2, LARGE + SMALL)
    by_dataset = told(used, "usage?by=dataset")["rows"]
    assert [(row["name"], row["counts"]["hits"]) for row in by_dataset] == [(f"(no name) {HOST}", 1), ("keras/boston_housing", 2)]
    assert [row["name"] for row in told(used, "usage?by=age")["rows"]] == ["today"]
    assert [row["name"] for row in told(used, "usage?by=client")["rows"]] == ["127.0.0.0/24"]


def test_who_sees_addresses(asked: Mirror) -> None:
    """Everybody sees networks; who may change the mirror sees addresses."""
    asked.archive("/sets/a.bin")
    for fields, seen in (({}, "127.0.0.0/24"), (asked.key, "127.0.0.1")):
        (client,) = json.loads(asked.get("/status/clients", fields=fields).body)
        assert client["address"] == seen
    assert json.loads(asked.get("/api/clients", fields=asked.key).body)[0]["address"] == "127.0.0.1"


def test_answers_under_way(asked: Mirror) -> None:
    """An answer that the kernel sends is told of, with its bytes, while its client takes its time; afterwards it is not."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(PATIENCE)
        client.connect(("127.0.0.1", asked.port))
        client.sendall(f"GET /{HOST}/sets/a.bin HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: mine\r\n\r\n".encode())
        received = len(client.recv(1000))
        (answer,) = told(asked, "answers")
        assert (answer["id"], answer["url"], answer["outcome"], answer["total"]) == ("mine", f"{URL}/sets/a.bin", "hit", LARGE)
        assert 0 < answer["sent"] < LARGE
        while received < LARGE:
            received += len(client.recv(1 << 20))
    until(lambda: not told(asked, "answers"))


def test_an_answer_from_memory_under_way(asked: Mirror, shared_origin: Origin) -> None:
    """One from memory is told of, too, while its client has not taken it."""
    shared_origin.add("/sets/small.bin", body(250_000))
    for _ in range(3):
        asked.archive("/sets/small.bin")
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(PATIENCE)
        client.connect(("127.0.0.1", asked.port))
        request = f"GET /{HOST}/sets/small.bin HTTP/1.1\r\nHost: 127.0.0.1:{asked.port}\r\n\r\n".encode()
        while not (answers := told(asked, "answers")):
            client.sendall(request)
        assert (answers[0]["url"], answers[0]["outcome"], answers[0]["client"]) == (f"{URL}/sets/small.bin", "memory", "127.0.0.0/24")
        assert answers[0]["sent"] < answers[0]["total"]
    until(lambda: not told(asked, "answers"))


def test_changes(used: Mirror) -> None:
    """What came is in the log of changes, over SIGKILL, and who brought it."""
    found = told(used, "changes?kind=added")["changes"]
    assert {(one["what"], one["by"]) for one in found} >= {(f"{URL}/sets/a.bin", "a client"), (f"https://{GOOGLE}{BOSTON}", "a client")}


def test_report(used: Mirror) -> None:
    """For people, for spreadsheets and for programs: what was saved, and how hours are computed."""
    text = report(used)
    assert "saved" in text
    assert "keras/boston_housing" in text
    assert "that the origins gave on average" in text
    known = json.loads(report(used, "--json", "--since", "2d"))
    assert known["hours_saved"] == pytest.approx(known["total"]["saved"] / known["origin_rate"] / 3600)
    (client,) = known["clients"]
    assert client["name"] == "127.0.0.0/24"
    assert client["fetched"] == known["total"]["fetched"]
    lines = list(csv.DictReader(io.StringIO(report(used, "--csv"))))
    assert {line["section"] for line in lines} >= {"total", "dataset", "origin", "client", "failure"}
    assert next(line for line in lines if line["section"] == "failure")["name"] == f"{URL}/sets/none.bin"


def test_report_of_what_nobody_used(used: Mirror) -> None:
    """What was not used since then is named; without a server, and by another mirror's URL it is the same."""
    unused = until(lambda: json.loads(report(used, "--json", "--since", "1s"))["unused"]["size"])
    assert unused >= SMALL
    asked = environment(used.data.parent, {})
    done = warm.run("report", "--csv", "--mirror", used.url, env=asked)
    assert f"{URL}/sets/none.bin" in done.stdout


def test_report_without_a_server(tmp_path: Path) -> None:
    """Of a folder that no server runs on it is the same; what is pinned could not go."""
    store = Store(tmp_path)
    with store.index.transaction() as writing:
        for number in range(4):
            writing.publish(record(b"x" * (number + 1), archive(f"/{number}.bin")), used=1.0 if number else time.time())
        writing.publish(record(b"x", ArchiveId(GOOGLE, BOSTON)), used=1.0)
        history.add(writing.connection, {("all", ""): Counts(served=8, fetched=2, hits=3), ("dataset", "d"): Counts(served=8)}, time.time())
    store.pin([f"https://{archive('/3.bin')}", "keras/boston_housing"])
    store.close()
    done = warm.run("report", "--json", "--data", tmp_path, env=environment(tmp_path, {}))
    assert done.returncode == 0, done.stderr
    known = json.loads(done.stdout)
    assert (known["total"]["saved"], known["total"]["hits"], known["stored"]["number"]) == (6, 3, 5)
    assert [row["name"] for row in known["datasets"]] == ["d"]
    assert (known["unused"]["number"], known["unused"]["size"]) == (2, 5)
    assert [one["url"] for one in known["unused"]["archives"]] == [f"https://{archive(f'/{number}.bin')}" for number in (2, 1)]


@pytest.mark.parametrize(("how", "seen"), [("network", "127.0.0.0/24"), ("all", "anonymous")])
def test_anonymous_clients(start_mirror: StartMirror, origin: Origin, how: str, seen: str) -> None:
    """Nothing tells or keeps more of a client's address than is allowed: clients, log, access log, wanted, history."""
    origin.add("/sets/a.bin", body(1000))
    mirror = start_mirror(anonymise_clients=how)
    mirror.restart("--access-log", str(mirror.data / "access.log"))
    for path in ("a", "b"):
        connection = http.client.HTTPConnection("127.0.0.1", mirror.port, timeout=PATIENCE, source_address=("127.0.0.9", 0))
        connection.request("GET", f"/{HOST}/sets/{path}.bin")
        connection.getresponse().read()
        connection.close()
        origin.stop()
    assert {one["address"] for one in json.loads(mirror.get("/api/clients", fields=mirror.key).body)} == {seen}
    assert {one["client"] for one in json.loads(mirror.get("/api/log", fields=mirror.key).body)} == {seen}
    assert [one["asked_by"] for one in told(mirror, "wanted")["wanted"]] == [seen]
    rows = until(lambda: told(mirror, "usage?by=client")["rows"])
    assert [row["name"] for row in rows] == [seen]
    mirror.stop()
    assert seen in (mirror.data / "access.log").read_text()
    assert not [path for path in mirror.data.rglob("*") if path.is_file() and b"127.0.0.9" in path.read_bytes()]
