"""What the mirror says about itself."""

from __future__ import annotations

import json
import socket

import pytest

from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, PATIENCE, URL, Mirror

DATA = body(100_000, 3)


@pytest.fixture(scope="module")
def shared(start_shared_mirror: StartMirror) -> Mirror:
    """A mirror for tests that do not look at its numbers."""
    return start_shared_mirror()


def test_numbers(mirror: Mirror, origin: Origin) -> None:
    """/status counts archives, hits, misses and bytes; saved is what the origins did not send again."""
    origin.add("/sets/a.bin", DATA)
    for _ in range(3):
        mirror.archive("/sets/a.bin")
    told = mirror.status
    size = len(DATA)
    assert (told["archives"], told["archive_bytes"], told["misses"], told["hits"]) == (1, size, 1, 2)
    assert (told["bytes_served"], told["bytes_fetched"], told["bytes_saved"]) == (3 * size, size, 2 * size)
    assert (told["fills"], told["failures"], told["offline"]) == ([], [], False)


def test_failures(shared: Mirror, shared_origin: Origin) -> None:
    """A fill that failed is listed, the latest first, with what its clients got."""
    for name in ("first", "second"):
        shared_origin.add(f"/sets/{name}.bin", DATA, status=403)
        assert shared.archive(f"/sets/{name}.bin").status == 403
    failures = shared.status["failures"]
    assert [failure["url"] for failure in failures] == [f"{URL}/sets/second.bin", f"{URL}/sets/first.bin"]
    assert failures[0]["status"] == 403
    assert failures[0]["detail"]
    assert failures[0]["hint"]


def test_a_failure_that_is_over(shared: Mirror, shared_origin: Origin) -> None:
    """A fill that failed is not listed any more when the archive has come after all."""
    shared_origin.add("/sets/later.bin", DATA, status=403, times=1)
    assert shared.archive("/sets/later.bin").status == 403
    assert shared.archive("/sets/later.bin").status == 200
    assert f"{URL}/sets/later.bin" not in [failure["url"] for failure in shared.status["failures"]]


def test_a_fill_under_way(mirror: Mirror, origin: Origin) -> None:
    """A fill under way is listed with its bytes, its total and its readers."""
    origin.add("/sets/slow.bin", body(1_000_000), stall_after=600_000)
    with socket.create_connection(("127.0.0.1", mirror.port), PATIENCE) as client:
        client.sendall(f"GET /{HOST}/sets/slow.bin HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        received = 0
        while received < 300_000:
            received += len(client.recv(65536))
        (fill,) = mirror.status["fills"]
        assert (fill["url"], fill["total"], fill["readers"], fill["waiting"]) == (f"{URL}/sets/slow.bin", 1_000_000, 1, False)
        assert 250_000 < fill["received"] <= 600_000


def test_health(shared: Mirror) -> None:
    """/healthz and /readyz answer 200 while the mirror works."""
    for path, said in (("/healthz", "ok"), ("/readyz", "ready")):
        answer = shared.get(path)
        assert (answer.status, json.loads(answer.body)) == (200, {"status": said})


def test_openapi(shared: Mirror) -> None:
    """/openapi.json lists the pages and the API."""
    paths = json.loads(shared.get("/openapi.json").body)["paths"]
    assert "get" in paths["/status"]
    assert "post" in paths["/api/fetch"]


def test_unknown_page(shared: Mirror) -> None:
    """An unknown page of the mirror is a 404 problem."""
    problem = shared.get("/status/nothing-here").problem
    assert (problem["status"], problem["type"]) == (404, "urn:dataset-mirror:no-such-page")


@pytest.mark.parametrize(
    "content", [b"{", b"{}", b'{"archives": []}', b'{"archives": "keras/mnist"}', b'{"archives": ["no-such-archive"]}', b""]
)
def test_wrong_body(shared: Mirror, content: bytes) -> None:
    """A body of /api/fetch that is not what it should be is a 400 problem."""
    assert shared.get("/api/fetch", "POST", shared.key | {"Content-Type": "application/json"}, content).problem["status"] == 400
