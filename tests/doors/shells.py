"""Shells that were set up before an origin was added, where this machine has public addresses. tests/doors/test_tunnel.py runs this."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataset_mirror.rules import environment as names
from tests.doors.far import CONTENT, PUBLIC, Far
from tests.origin import Origin, body
from tests.serving import PATIENCE, Mirror, environment

ARCHIVE = body(200_000, 7)
URL = f"https://{PUBLIC}/sets/new.bin"
LIBRARIES = ("urllib", "requests", "httpx", "aiohttp")
PYTHON = """
import asyncio, sys, urllib.request
from pathlib import Path
import aiohttp, httpx, requests

async def by_aiohttp():
    async with aiohttp.ClientSession(trust_env=True) as session, session.get(sys.argv[1]) as answer:
        return await answer.read()

Path("urllib").write_bytes(urllib.request.urlopen(sys.argv[1]).read())
Path("requests").write_bytes(requests.get(sys.argv[1]).content)
Path("httpx").write_bytes(httpx.get(sys.argv[1]).content)
Path("aiohttp").write_bytes(asyncio.run(by_aiohttp()))
"""
"""All libraries in one process, each into a file of its name: to start one takes longer than to fetch."""
COMMANDS = {"curl": ["curl", "-sSf", "-o", "curl", URL], "wget": ["wget", "-qO", "wget", URL]}
COMMANDS["aria2c"] = ["sh", "-c", 'aria2c -q --ca-certificate="$SSL_CERT_FILE" -o aria2c "$0"', URL]
COMMANDS = {name: command for name, command in COMMANDS.items() if shutil.which(name)}
BEFORE = 'presets = []\n[[origins]]\nurl = "https://data.example.org"\npaths = ["/sets/"]\n'


class Shell:
    """A shell that has evaluated setup.sh; its own authorities are the far host's."""

    def __init__(self, mirror: Mirror, home: Path, own: Path) -> None:
        home.mkdir()
        self.mirror, self.home = mirror, home
        self.known = environment(home, {}) | {"SSL_CERT_FILE": str(own)}
        self.said = self.set_up()

    def set_up(self) -> str:
        """Evaluates setup.sh; returns what it says."""
        done = self.run("sh", "-c", f"""eval "$(curl -fsS '{self.mirror.url}/setup.sh')"; env -0""")
        self.known = dict(pair.split("=", 1) for pair in done.stdout.decode().split("\0") if pair)
        return done.stderr.decode()

    def run(self, *command: str) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(command, env=self.known, cwd=self.home, capture_output=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done

    def got(self, client: str) -> bytes:
        """The archive's bytes, as a client gets them."""
        (self.home / client).unlink(missing_ok=True)
        self.run(*COMMANDS[client])
        return (self.home / client).read_bytes()

    def all_got(self, content: bytes) -> dict[str, bool]:
        """Of each client whether these are the bytes that it gets."""
        for library in LIBRARIES:
            (self.home / library).unlink(missing_ok=True)
        self.run(sys.executable, "-c", PYTHON, URL)
        found = {library: (self.home / library).read_bytes() for library in LIBRARIES}
        return {client: got == content for client, got in (found | {client: self.got(client) for client in COMMANDS}).items()}


@pytest.fixture(scope="module")
def running(far: Far, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    """A mirror that takes its origins from mirror.toml, and a host far away."""
    data = tmp_path_factory.mktemp("shells") / "data"
    data.mkdir()
    (data / "mirror.toml").write_text(BEFORE)
    with Mirror(data) as mirror:
        yield mirror


def has(*hosts: str, origin: Origin) -> str:
    """A mirror.toml with these hosts as origins."""
    blocks = "".join(f'[[origins]]\nurl = "https://{host}"\npaths = ["/sets/"]\n' for host in hosts)
    return f'presets = []\n{blocks}[upstreams]\n"{PUBLIC}" = ["{origin.url}"]\n'


def reload(mirror: Mirror, text: str) -> None:
    (mirror.data / "mirror.toml").write_text(text)
    assert mirror.api("reload").status == 200


def by_hand(mirror: Mirror, home: Path, own: Path) -> dict[str, str]:
    """The environment of somebody who fetched ca.pem and set the proxy: it has no mark."""
    home.mkdir(exist_ok=True)
    trusted = home / "trusted.pem"
    trusted.write_bytes(own.read_bytes() + mirror.get("/ca.pem").body)
    return environment(home, {}) | dict.fromkeys(names.PROXY, mirror.url) | dict.fromkeys(names.TRUST, str(trusted))


def test_an_origin_that_is_added_later(running: Mirror, shared_origin: Origin, certificate: Path, tmp_path: Path) -> None:
    """Whatever client: a host added later stays tunnelled in a shell set up before, until it evaluates setup.sh again."""
    shared_origin.add("/sets/new.bin", ARCHIVE)
    shell, hand = Shell(running, tmp_path / "before", certificate), by_hand(running, tmp_path / "hand", certificate)
    assert {name: shell.known[name] for name in names.PROXY} == dict.fromkeys(names.PROXY, running.url)
    assert shell.got("curl") == CONTENT
    reload(running, has("data.example.org", PUBLIC, origin=shared_origin))
    later = Shell(running, tmp_path / "later", certificate)
    all_of_them = dict.fromkeys((*LIBRARIES, *COMMANDS), True)
    assert shell.all_got(CONTENT) == all_of_them
    assert later.all_got(ARCHIVE) == all_of_them
    reload(running, has("data.example.org", PUBLIC, "third.example.org", origin=shared_origin))
    assert later.got("curl") == ARCHIVE, "what its certificate names goes on, too"
    assert subprocess.run(["curl", "-s", URL], env=hand, capture_output=True, check=False).stdout == CONTENT
    hand = by_hand(running, tmp_path / "hand", certificate)
    assert subprocess.run(["curl", "-s", URL], env=hand, capture_output=True, check=False).stdout == ARCHIVE
    assert "until it evaluates setup.sh again" in shell.set_up()
    assert shell.all_got(ARCHIVE) == all_of_them
    assert len(shared_origin.gets("/sets/new.bin")) == 1
    assert f"was set up before {PUBLIC} was added" in running.log
