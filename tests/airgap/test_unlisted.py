"""What an offline mirror was asked for and does not know: its clients meet a network that is not there, and it is wanted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dataset_mirror.fetch.misses import Misses
from dataset_mirror.fetch.unlisted import Unlisted
from dataset_mirror.origins.identity import ArchiveId, parse_url
from tests.conftest import StartMirror
from tests.doors.intercepting import asked, connected, curl, secured
from tests.serving import HOST, PATIENCE, Mirror, environment

PUBLIC = "public.example.com"
_RAISES = "\nexcept Exception as error: print(type(error).__module__, *[one.__name__ for one in type(error).__mro__])"
LIBRARIES = {
    "requests": f"import requests\ntry: requests.get('https://{PUBLIC}/x')",
    "httpx": f"import httpx\ntry: httpx.get('https://{PUBLIC}/x')",
    "urllib": f"import urllib.request\ntry: urllib.request.urlopen('https://{PUBLIC}/x')",
}


@pytest.fixture(scope="module")
def offline(start_shared_mirror: StartMirror) -> Mirror:
    return start_shared_mirror(offline=True)


def wanted(mirror: Mirror) -> list[str]:
    """The URLs on the wanted list."""
    return [one["url"] for one in json.loads(mirror.get("/status/wanted").body)["wanted"]]


@pytest.mark.parametrize("library", LIBRARIES)
def test_no_network(offline: Mirror, tmp_path: Path, library: str) -> None:
    """A client whose tunnel an offline mirror refuses takes the host for unreachable, not its proxy for broken."""
    known = environment(tmp_path, {}) | dict.fromkeys(("https_proxy", "HTTPS_PROXY"), offline.url)
    command = [sys.executable, "-c", LIBRARIES[library] + _RAISES]
    said = subprocess.run(command, env=known, capture_output=True, text=True, timeout=PATIENCE, check=False).stdout
    assert "ConnectionError" in said or "ConnectError" in said or "URLError" in said or "ReadError" in said, said
    assert "ProxyError" not in said


def test_what_is_said(offline: Mirror, tmp_path: Path) -> None:
    """curl fails; the log and /status say why, once, and the host is on the wanted list."""
    before = offline.status["doors"]["refused"]
    for _ in range(2):
        assert curl(offline, "https://other.example.com/x", tmp_path).returncode in (35, 56)
    assert offline.status["doors"]["refused"] == before + 2
    (failure,) = [one for one in offline.status["failures"] if one["url"] == "https://other.example.com/"]
    assert failure["detail"] == "The mirror is offline: no tunnel goes to other.example.com. It is on the wanted list now."
    assert offline.log.count("no tunnel goes to other.example.com") == 1
    assert "https://other.example.com/" in wanted(offline)


def test_a_client_that_says_nothing(start_mirror: StartMirror) -> None:
    """A refused tunnel whose client does not speak is reset when its time for TLS is over."""
    mirror = start_mirror(offline=True, idle_timeout=0.2)
    with connected(mirror, f"{PUBLIC}:443") as wire:
        assert wire.head()[0] == 200
        with pytest.raises(ConnectionResetError):
            wire.socket.recv(1)


def test_paths_that_no_origin_lists(offline: Mirror) -> None:
    """What was asked for by URL, or inside a CONNECT, is wanted, without what signs or may be secret; a POST is not."""
    assert offline.get("/unknown.example.com/a/b.zip?v=2&X-Amz-Signature=ab").status == 403
    assert offline.get("/unknown.example.com/c?token=secret").status == 403
    assert offline.get("/unknown.example.com/posted", "POST").status in (403, 405)
    assert offline.get("/no-host").status == 403
    with secured(offline) as wire:
        wire.send(asked("/other/path"))
        assert wire.answer()[0] == 504
    listed = wanted(offline)
    assert {f"https://{HOST}/other/path", "https://unknown.example.com/a/b.zip?v=2", "https://unknown.example.com/c"} <= set(listed)
    assert not [url for url in listed if "secret" in url or "posted" in url or "no-host" in url]


def test_online_nothing_is_wanted_so(start_mirror: StartMirror) -> None:
    """A mirror that is online says how to allow it, and lists nothing."""
    mirror = start_mirror()
    assert mirror.get("/unknown.example.com/a/b.zip").status == 403
    assert wanted(mirror) == []


class _Listed(Misses):
    """Takes down what would be written."""

    def __init__(self) -> None:
        self.noted: list[str] = []

    async def note(self, archive: ArchiveId, asked_by: str | None, count: int = 1) -> bool:
        self.noted.append(str(archive))
        return True


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", None, "unknown"])
async def test_strangers(address: str | None) -> None:
    """Who is not on this machine or a private network fills no list."""
    listed = _Listed()
    assert not await Unlisted(listed).note(parse_url("https://a.example.com/x"), address)
    assert listed.noted == []


@pytest.mark.parametrize("authority", ["localhost", "10.0.0.1", "a..b", "-a.example.com", "a" * 250 + ".com", "x.1", "[::1]"])
async def test_what_is_no_host(authority: str) -> None:
    """What cannot be a public host is not noted."""
    assert not await Unlisted(_Listed()).note(ArchiveId(authority, "/"), "127.0.0.1")


async def test_a_scanner() -> None:
    """However much is asked for, the list gets 200 hosts with 20 paths each."""
    listed = _Listed()
    unlisted = Unlisted(listed)
    results: list[Any] = [
        await unlisted.note(ArchiveId(f"h{host}.example.com", f"/{path}"), "127.0.0.1") for host in range(201) for path in range(21)
    ]
    assert sum(results) == len(listed.noted) == 200 * 20
