"""What people do about downloads and origins, by /api/."""

from __future__ import annotations

import json
import socket
import threading
from typing import Any

import pytest

from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, PATIENCE, URL, Answer, Mirror
from tests.status.html import read
from tests.status.streams import Viewer
from tests.waiting import until


@pytest.fixture(scope="module")
def shared(start_shared_mirror: StartMirror) -> Mirror:
    """A mirror for all tests here."""
    return start_shared_mirror(token="a-long-secret")


def done(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer.body
    found: dict[str, Any] = json.loads(answer.body)
    return found


def logged(mirror: Mirror, kind: str) -> list[tuple[str, str]]:
    """What the log of changes has of a kind, and who did it, the latest first."""
    found = json.loads(mirror.get(f"/status/changes?kind={kind}").body)["changes"]
    return [(one["what"], one["by"]) for one in found]


def test_cancel_and_retry(start_mirror: StartMirror, origin: Origin) -> None:
    """A download is cancelled with its bytes told, its client gets no whole body, and retry begins it again."""
    url, mirror = f"{URL}/sets/slow.bin", start_mirror(token="a-long-secret")
    origin.add("/sets/slow.bin", body(3_000_000), stall_after=1_000_000, times=1)
    failed = threading.Event()

    def ask() -> None:
        try:
            mirror.archive("/sets/slow.bin")
        except OSError:
            failed.set()

    client = threading.Thread(target=ask)
    client.start()
    until(lambda: any(fill["received"] >= 900_000 for fill in mirror.status["fills"]))
    told = done(mirror.api("cancel", archives=[url]))
    client.join()
    assert failed.is_set()
    assert told["names"] == [url]
    assert told["size"] >= 900_000
    assert url in told["said"]
    assert done(mirror.api("cancel", archives=[url]))["names"] == []
    assert "cancelled" in mirror.status["failures"][0]["detail"]
    assert done(mirror.api("retry"))["names"] == [url]
    while mirror.archive("/sets/slow.bin").body != body(3_000_000):
        pass
    assert logged(mirror, "cancelled") == logged(mirror, "retried") == [(url, "operator")]


def test_retry_asks_again(shared: Mirror, shared_origin: Origin) -> None:
    """What an origin did not have a moment ago is asked for again at once."""
    assert shared.archive("/sets/late.bin").status == 404
    shared_origin.add("/sets/late.bin", body(1000))
    assert shared.archive("/sets/late.bin").status == 404
    assert done(shared.api("retry", archives=[f"{URL}/sets/late.bin"]))["names"] == [f"{URL}/sets/late.bin"]
    assert shared.archive("/sets/late.bin").status == 200
    assert done(shared.api("retry", archives=[f"{URL}/sets/late.bin"]))["said"] == "1 archive is there."


def test_unblock(start_mirror: StartMirror, origin: Origin) -> None:
    """An upstream that is on hold is asked again at once; one that is not is a 404."""
    mirror = start_mirror(upstreams={"data.example.org": ["http://127.0.0.1:9", origin.url]})
    origin.add("/sets/a.bin", body(1000))
    mirror.archive("/sets/a.bin")
    resting = [one["place"] for one in mirror.status["upstreams"] if one["resting"]]
    assert resting == ["http://127.0.0.1:9"]
    assert done(mirror.api("unblock", origin="127.0.0.1:9"))["names"] == resting
    assert not any(one["resting"] for one in mirror.status["upstreams"])
    assert mirror.api("unblock", origin="127.0.0.1:9").problem["status"] == 404
    assert logged(mirror, "unblocked") == [("http://127.0.0.1:9", "operator")]


def test_add(origin: Origin, start_mirror: StartMirror) -> None:
    """A URL that no origin lists is allowed, with its folder, and can be fetched at once."""
    origin.add("/more/a.bin", body(1000))
    mirror = start_mirror(upstreams={"more.example.org": [origin.url]}, origins=[])
    mirror.stop()
    mirror = Mirror(mirror.data, upstreams={"more.example.org": [origin.url]}).start()
    try:
        assert mirror.get("/more.example.org/more/a.bin").status == 403
        told = done(mirror.api("add", url="https://more.example.org/more/a.bin"))
        assert told["names"] == ["https://more.example.org/more/"]
        assert mirror.get("/more.example.org/more/a.bin").status == 200
        assert done(mirror.api("add", url="https://more.example.org/more/a.bin"))["names"] == []
        assert logged(mirror, "allowed") == [("https://more.example.org/more/", "operator")]
        for wrong in ("nonsense", "https://other.example.org/", "https://other.example.org"):
            assert mirror.api("add", url=wrong).problem["status"] == 400
    finally:
        mirror.close()


def test_each_action_is_logged(shared: Mirror, shared_origin: Origin) -> None:
    """Pins, removals and reloads say what they did with names and bytes, and leave their lines."""
    shared_origin.add("/sets/a.bin", body(5000))
    shared.archive("/sets/a.bin")
    url = f"{URL}/sets/a.bin"
    for verb, asked, kind, size in (
        ("pin", {"names": [url]}, "pinned", "size"),
        ("unpin", {"names": [url]}, "unpinned", "size"),
        ("rm", {"archives": [url]}, "removed", "freed"),
    ):
        told = done(shared.api(verb, **asked))
        assert url in told["said"]
        assert "5.0 kB" in told["said"]
        assert told[size] == 5000
        assert logged(shared, kind) == [(url, "operator")]
    assert done(shared.api("reload"))
    assert logged(shared, "reloaded")[0][1] == "operator"


def test_who_did_it(shared: Mirror) -> None:
    """With the token the client's address is noted; those who may not change the mirror are told its network, and clients nothing."""
    fields = {"Authorization": "Bearer a-long-secret"}
    with Viewer(shared) as viewer:
        assert shared.get("/api/reload", "POST", fields).status == 200
        assert viewer.until("change", kind="reloaded")["by"] == "127.0.0.0/24"
    assert logged(shared, "reloaded")[0][1] == "127.0.0.0/24"
    assert json.loads(shared.get("/status/changes", fields=fields).body)["changes"][0]["by"] == "127.0.0.1"
    assert "127.0.0.1" not in read(shared.get("/activity").body).one("main").text


def test_who_cancelled(shared: Mirror, shared_origin: Origin) -> None:
    """Clients and everybody else hear that a download was cancelled, not the address of who did it."""
    shared_origin.add("/sets/stalled.bin", body(3_000_000), stall_after=1_000_000, times=1)
    url = f"{URL}/sets/stalled.bin"
    with socket.create_connection(("127.0.0.1", shared.port), PATIENCE) as client:
        client.sendall(f"GET /{HOST}/sets/stalled.bin HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        until(lambda: any(fill["url"] == url for fill in shared.status["fills"]))
        fields = {"Authorization": "Bearer a-long-secret", "Content-Type": "application/json"}
        assert done(shared.get("/api/cancel", "POST", fields, json.dumps({"archives": [url]}).encode()))["names"] == [url]
    (failure,) = until(lambda: [one for one in shared.status["failures"] if one["url"] == url])
    assert "was cancelled" in failure["detail"]
    assert "127.0.0.1" not in failure["detail"]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://evil.example.org"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://mirror.lab"}, 200),
        ({"Origin": "own"}, 200),
        ({}, 200),
    ],
)
def test_other_sites_pages(shared: Mirror, fields: dict[str, str], status: int) -> None:
    """A page of another site cannot do anything, even with the token; rights are looked at before the body."""
    own = {name: value.replace("own", f"http://127.0.0.1:{shared.port}") for name, value in fields.items()}
    secret = {"Authorization": "Bearer a-long-secret"}
    assert shared.get("/api/reload", "POST", secret | own).status == status
    if status == 403:
        assert shared.get("/api/cancel", "POST", secret | own, b"not json").status == 403


def test_the_last_error(shared: Mirror) -> None:
    """Why an archive could not be fetched the last time is a part of its explanation."""
    shared.archive("/sets/none.bin")
    found = json.loads(shared.get(f"/status/explain?url={URL}/sets/none.bin").body)
    assert found["last_error"]["status"] == 404
    assert found["last_error"]["hint"]
    assert json.loads(shared.get(f"/status/explain?url={URL}/sets/other.bin").body)["last_error"] is None
