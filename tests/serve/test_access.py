"""Who may change the mirror."""

from __future__ import annotations

import json
import socket

import pytest

from dataset_mirror.serve.access import is_loopback
from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import PATIENCE, URL, Answer, Mirror

JSON = {"Content-Type": "application/json"}
TOKEN = "ein-langes-Geheimnis-ü"


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
    return mirror.get("/api/fetch", "POST", JSON | fields, json.dumps({"archives": [URL + path]}).encode())


def test_the_owner_on_this_machine_may_fetch(local: Mirror, shared_origin: Origin) -> None:
    """With the data folder's key and the guard field, from loopback, archives are fetched and each one's end is told."""
    shared_origin.add("/sets/local.bin", body(1000))
    answer = fetch(local, "/sets/local.bin", local.key)
    last = json.loads(answer.body.splitlines()[-1])
    assert (answer.status, answer.fields["content-type"]) == (200, "application/x-ndjson")
    assert (last["url"], last["state"], last["received"]) == (URL + "/sets/local.bin", "fetched", 1000)
    assert json.loads(fetch(local, "/sets/local.bin", local.key).body)["state"] == "present"


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"X-Dataset-Mirror": "0"}, id="another guard value"),
        pytest.param({"X-Dataset-Mirror": ""}, id="no guard value"),
        pytest.param({"Host": "attacker.example"}, id="forged Host"),
        pytest.param({"Host": "localhost.attacker.example"}, id="Host that begins well"),
        pytest.param({"X-Forwarded-For": "10.0.0.1"}, id="X-Forwarded-For"),
        pytest.param({"Forwarded": "for=10.0.0.1"}, id="Forwarded"),
        pytest.param({"Authorization": ""}, id="loopback and guard field alone"),
        pytest.param({"Authorization": "Bearer wrong"}, id="another key"),
        pytest.param({"Authorization": "Bearer \xe4\xf6\xfc"}, id="another key beyond ASCII"),
    ],
)
def test_anybody_else_may_not(local: Mirror, shared_origin: Origin, fields: dict[str, str]) -> None:
    """Whoever may be another user, another machine or a web page gets 403 with a hint, and nothing is fetched."""
    shared_origin.add("/sets/never.bin", body(1000))
    answer = fetch(local, "/sets/never.bin", local.key | fields)
    assert (answer.status, answer.problem["type"]) == (403, "urn:dataset-mirror:forbidden")
    assert "token" in answer.problem["hint"]
    assert shared_origin.gets("/sets/never.bin") == []


@pytest.mark.parametrize("given", [None, "Bearer another-secret", "Bearer ", TOKEN, "Basic " + TOKEN])
def test_wrong_tokens(guarded: Mirror, given: str | None) -> None:
    """With a token configured, whoever sends neither it nor the key gets 403, even with the guard field."""
    fields = {"X-Dataset-Mirror": "1"} | ({"Authorization": given} if given is not None else {})
    assert fetch(guarded, "/sets/never.bin", fields).problem["type"] == "urn:dataset-mirror:forbidden"


@pytest.mark.parametrize("given", [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER  {TOKEN}", f"Bearer {TOKEN.encode().decode('latin-1')}"])
def test_the_right_token(guarded: Mirror, shared_origin: Origin, given: str) -> None:
    """The token is enough, whatever the Host and the case of the scheme, in UTF-8 or ISO 8859-1; it is never logged."""
    shared_origin.add("/sets/token.bin", body(1000))
    answer = fetch(guarded, "/sets/token.bin", {"Authorization": given, "Host": "mirror.lab"})
    assert json.loads(answer.body.splitlines()[-1])["state"] in ("fetched", "present")
    assert TOKEN not in guarded.log


def test_the_key_beside_a_token(guarded: Mirror) -> None:
    """With a token configured, the owner's commands on the machine go on working without it."""
    assert guarded.api("want", archives=[f"{URL}/sets/want.bin"]).status == 200


def test_the_key_is_for_its_owner(local: Mirror) -> None:
    """The key is a file for its owner alone, stays over restarts, and is made again if others could read it."""
    file = local.data / "api.key"
    first = file.read_text()
    assert (file.stat().st_mode & 0o777, len(first) > 40) == (0o600, True)
    local.restart()
    assert file.read_text() == first
    file.chmod(0o644)
    local.restart()
    assert (file.stat().st_mode & 0o777, file.read_text() != first) == (0o600, True)
    assert first.strip() not in local.log


@pytest.mark.parametrize("path", ["fetch", "rm", "gc", "reload", "verify", "want", "unwant", "nothing", "a/b"])
def test_the_refusal_does_not_wait_for_the_body(local: Mirror, path: str) -> None:
    """403 comes when only the head was sent, for all of /api/."""
    with socket.create_connection(("127.0.0.1", local.port), PATIENCE) as client:
        client.sendall(f"POST /api/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n".encode())
        assert client.recv(12) == b"HTTP/1.1 403"


@pytest.mark.parametrize("framing", ["Content-Length: 9000000000", "Transfer-Encoding: chunked"])
def test_the_body_is_bounded(local: Mirror, framing: str) -> None:
    """A body over 8 MiB is 413, announced or not, before the rest of it comes."""
    head = "".join(f"{name}: {value}\r\n" for name, value in local.key.items())
    with socket.create_connection(("127.0.0.1", local.port), PATIENCE) as client:
        client.sendall(f"POST /api/fetch HTTP/1.1\r\nHost: localhost\r\n{head}{framing}\r\n\r\n".encode())
        if framing.startswith("Transfer"):
            for _ in range(9):
                client.sendall(b"100000\r\n" + b"x" * 0x100000 + b"\r\n")
        assert client.recv(12) == b"HTTP/1.1 413"


def test_what_is_not_there(local: Mirror) -> None:
    """Who may change the mirror is told what does not exist, as a problem."""
    assert local.api("nothing").problem["status"] == 404
    assert local.get("/api/fetch", fields=local.key).problem["status"] in (404, 405)


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
