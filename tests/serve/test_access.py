"""Who may change the mirror."""

from __future__ import annotations

import json
import socket

import pytest

from dataset_mirror.serve.access import is_loopback
from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import PATIENCE, URL, Answer, Mirror

GUARD = {"X-Dataset-Mirror": "1", "Content-Type": "application/json"}
TOKEN = "a-long-secret"


@pytest.fixture(scope="module")
def local(start_shared_mirror: StartMirror) -> Mirror:
    """A mirror without a token."""
    return start_shared_mirror()


@pytest.fixture(scope="module")
def guarded(start_shared_mirror: StartMirror) -> Mirror:
    """A mirror with a token."""
    return start_shared_mirror(token=TOKEN)


def fetch(mirror: Mirror, path: str, fields: dict[str, str]) -> Answer:
    """POST /api/fetch of one archive."""
    return mirror.get("/api/fetch", "POST", fields, json.dumps({"archives": [URL + path]}).encode())


def test_a_command_on_this_machine_may_fetch(local: Mirror, shared_origin: Origin) -> None:
    """With the guard field, from loopback, archives are fetched and each one's end is told."""
    shared_origin.add("/sets/local.bin", body(1000))
    answer = fetch(local, "/sets/local.bin", GUARD)
    last = json.loads(answer.body.splitlines()[-1])
    assert (answer.status, answer.fields["content-type"]) == (200, "application/x-ndjson")
    assert (last["url"], last["state"], last["received"]) == (URL + "/sets/local.bin", "fetched", 1000)
    assert json.loads(fetch(local, "/sets/local.bin", GUARD).body)["state"] == "present"


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"Content-Type": "application/json"}, id="no guard field"),
        pytest.param(GUARD | {"X-Dataset-Mirror": "0"}, id="another guard value"),
        pytest.param(GUARD | {"Host": "attacker.example"}, id="forged Host"),
        pytest.param(GUARD | {"Host": "localhost.attacker.example"}, id="Host that begins well"),
        pytest.param(GUARD | {"X-Forwarded-For": "10.0.0.1"}, id="X-Forwarded-For"),
        pytest.param(GUARD | {"Forwarded": "for=10.0.0.1"}, id="Forwarded"),
        pytest.param({"Origin": "http://attacker.example", "Content-Type": "application/x-www-form-urlencoded"}, id="cross-site form"),
    ],
)
def test_anybody_else_may_not(local: Mirror, shared_origin: Origin, fields: dict[str, str]) -> None:
    """Whoever may be another machine or a web page gets 403, and nothing is fetched."""
    shared_origin.add("/sets/never.bin", body(1000))
    answer = fetch(local, "/sets/never.bin", fields)
    assert (answer.status, answer.problem["type"]) == (403, "urn:dataset-mirror:forbidden")
    assert shared_origin.gets("/sets/never.bin") == []


@pytest.mark.parametrize("given", [None, "Bearer another-secret", "Bearer ", TOKEN, "Basic " + TOKEN])
def test_wrong_tokens(guarded: Mirror, given: str | None) -> None:
    """With a token configured, whoever does not send it gets 403, even with the guard field."""
    fields = GUARD | ({"Authorization": given} if given is not None else {})
    assert fetch(guarded, "/sets/never.bin", fields).problem["type"] == "urn:dataset-mirror:forbidden"


def test_the_right_token(guarded: Mirror, shared_origin: Origin) -> None:
    """With the right token no guard field is needed, whatever the Host; the token is never logged."""
    shared_origin.add("/sets/token.bin", body(1000))
    fields = {"Authorization": f"Bearer {TOKEN}", "Host": "mirror.lab", "Content-Type": "application/json"}
    answer = fetch(guarded, "/sets/token.bin", fields)
    assert json.loads(answer.body.splitlines()[-1])["state"] == "fetched"
    assert TOKEN not in guarded.log


def test_the_refusal_does_not_wait_for_the_body(local: Mirror) -> None:
    """403 comes when only the head was sent."""
    with socket.create_connection(("127.0.0.1", local.port), PATIENCE) as client:
        client.sendall(b"POST /api/fetch HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 403"


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        (None, True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:10.0.0.1", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        ("fe80::1%eth0", False),
        ("localhost", False),
        ("", False),
    ],
)
def test_is_loopback(peer: str | None, expected: bool) -> None:
    """Only addresses of this machine, and Unix sockets, are loopback."""
    assert is_loopback(peer) is expected
