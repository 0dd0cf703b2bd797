"""What a mirror logs: for people, for programs, for systemd and for logrotate; and never a secret."""

import http.client
import json
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import HOST, PATIENCE, URL, Mirror

SECRET = "s3cr3tS3cr3t0123456789"


def requests(text: str) -> list[dict[str, Any]]:
    """The lines of requests of a log; from the first line in JSON on every line must be."""
    lines = text[text.find("\n{") + 1 :].splitlines() if "\n{" in text else []
    return [known for line in lines if (known := json.loads(line)).get("event") == "request"]


def until_logged(mirror: Mirror, number: int) -> list[dict[str, Any]]:
    """The lines of requests, once there are so many."""
    limit = time.monotonic() + PATIENCE
    while True:
        found = requests(mirror.log)
        if len(found) >= number or time.monotonic() > limit:
            return found
        time.sleep(0.01)


@pytest.fixture(scope="module")
def talkative(start_shared_mirror: StartMirror, shared_origin: Origin) -> Mirror:
    """A mirror that logs JSON."""
    shared_origin.add("/sets/a.bin", body(100_000))
    mirror = start_shared_mirror()
    return mirror.restart("--log-format", "json")


def test_a_line_for_programs(talkative: Mirror) -> None:
    """With --log-format json each request is one object: id, client, archive, outcome, bytes, durations, and why it was a miss."""
    for identity in ("one", "two"):
        answer = talkative.archive("/sets/a.bin", x_request_id=identity)
        assert answer.fields["x-request-id"] == identity
    found = {line.get("request_id"): line for line in until_logged(talkative, 2)}
    miss, hit = found["one"], found["two"]
    assert (miss["outcome"], hit["outcome"]) == ("miss", "hit")
    assert miss["why"].startswith("It was not stored")
    assert "why" not in hit
    for line in (miss, hit):
        assert (line["client"], line["method"], line["status"], line["bytes"]) == ("127.0.0.1", "GET", 200, 100_000)
        assert line["archive"] == f"{HOST}/sets/a.bin"
        assert 0 < line["first_byte"] <= line["duration"] < PATIENCE
        assert line["complete"] is True


def test_an_id_is_made(talkative: Mirror) -> None:
    """A request without an id gets one, and so does one whose id is no plain word; an error has its reason in the log."""
    first, second = talkative.archive("/none.bin"), talkative.archive("/none.bin", x_request_id='a"b c')
    made = [answer.fields["x-request-id"] for answer in (first, second)]
    assert made[0] != made[1]
    assert all(len(each) == 16 and each.isalnum() for each in made)
    (line,) = [line for line in until_logged(talkative, 2) if line.get("request_id") == made[0]]
    assert (line["status"], line["outcome"]) == (403, "not-listed")
    assert "/none.bin" in line["why"]


def test_a_client_that_leaves_is_told_of(talkative: Mirror, shared_origin: Origin) -> None:
    """An answer that did not leave as a whole is said to be incomplete."""
    shared_origin.add("/sets/endless.bin", body(30_000_000))
    connection = http.client.HTTPConnection("127.0.0.1", talkative.port, timeout=PATIENCE)
    connection.request("GET", f"/{HOST}/sets/endless.bin", headers={"X-Request-ID": "left"})
    connection.getresponse().read(1000)
    connection.close()
    limit = time.monotonic() + PATIENCE
    while not (found := [line for line in requests(talkative.log) if line.get("request_id") == "left"]) and time.monotonic() < limit:
        time.sleep(0.01)
    assert found[0]["complete"] is False
    assert found[0]["bytes"] < 30_000_000


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_secret_is_logged(start_mirror: StartMirror, origin: Origin, log_format: str) -> None:
    """However much is logged, no token, credential, Authorization or signed query value is."""
    origin.add("/sets/a.bin", body(1000))
    origins = [{"url": URL, "paths": ["/sets/"], "headers": {"X-Origin-Key": SECRET}}]
    mirror = start_mirror(token=SECRET, origins=origins).restart("--log-level", "debug", "--log-format", log_format, "--access-log")
    fields = {"Authorization": f"Bearer {SECRET}", "Cookie": f"a={SECRET}", "Proxy-Authorization": f"Basic {SECRET}"}
    for query in (f"X-Amz-Signature={SECRET}", f"sig={SECRET}", f"token={SECRET}", f"x=1&X-Goog-Credential={SECRET}"):
        mirror.get(f"/{HOST}/sets/a.bin?{query}", fields=fields)
        mirror.get(f"/{HOST}/other?{query}", fields=fields)
    mirror.get(f"http://user:{SECRET}@{HOST}/sets/a.bin", fields=fields)
    mirror.get("/api/rm", "POST", fields | {"X-Dataset-Mirror": "1"}, b"{}")
    mirror.stop()
    assert mirror.log.count("/sets/a.bin") >= 4
    assert SECRET not in mirror.log


def test_levels_for_systemd(start_mirror: StartMirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the journal reads, a line begins with its priority and has no time; elsewhere it has its time."""
    mirror = start_mirror()
    mirror.archive("/sets/none.bin")
    monkeypatch.setenv("JOURNAL_STREAM", "9:12345")
    mirror.restart()
    mirror.archive("/sets/none.bin")
    mirror.stop()
    before, after = mirror.log.split("<6>", 1)
    assert all(line[2] == ":" for line in before.splitlines())
    assert "<4>WARNING" in after
    assert all(line[0] == "<" for line in after.splitlines()[1:])


@pytest.mark.parametrize("how", ["moved", "moved and told by SIGUSR1"])
def test_an_access_log_in_a_file(start_mirror: StartMirror, origin: Origin, tmp_path: Path, how: str) -> None:
    """--access-log FILE keeps requests apart; after the file was moved the next line goes to a new one."""
    origin.add("/sets/a.bin", body(1000))
    file = tmp_path / "access.log"
    mirror = start_mirror().restart("--access-log", str(file))
    mirror.archive("/sets/a.bin")
    file.rename(tmp_path / "access.log.1")
    if how != "moved":
        mirror.signal(signal.SIGUSR1)
    mirror.archive("/sets/a.bin")
    mirror.stop()
    for each, outcome in ((tmp_path / "access.log.1", "miss"), (file, "hit")):
        (line,) = each.read_text().splitlines()
        assert f'"GET /{HOST}/sets/a.bin HTTP/1.1" 200 {outcome} 1000 bytes' in line
    assert "GET /" not in mirror.log


def test_logrotate(start_mirror: StartMirror, origin: Origin, tmp_path: Path) -> None:
    """logrotate moves it without a line being lost."""
    program = shutil.which("logrotate", path="/usr/sbin:/usr/bin:/sbin")
    if program is None:
        pytest.skip("logrotate is not installed")
    origin.add("/sets/a.bin", body(1000))
    file = tmp_path / "logs" / "access.log"
    file.parent.mkdir(mode=0o755)
    mirror = start_mirror().restart("--access-log", str(file))
    mirror.archive("/sets/a.bin")
    (tmp_path / "rotate").write_text(f"{file} {{\n  rotate 2\n  create\n}}\n")
    (tmp_path / "rotate").chmod(0o644)
    subprocess.run([program, "-f", "-s", tmp_path / "state", tmp_path / "rotate"], check=True, capture_output=True)
    mirror.archive("/sets/a.bin")
    mirror.stop()
    assert [each.read_text().count("GET ") for each in (file.with_name("access.log.1"), file)] == [1, 1]


def test_sigusr1_harms_nobody(mirror: Mirror) -> None:
    """Without a file SIGUSR1 is nothing."""
    mirror.signal(signal.SIGUSR1)
    assert mirror.get("/healthz").status == 200
