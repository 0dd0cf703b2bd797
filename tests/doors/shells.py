"""Shells that were set up before an origin was added, where this machine has public addresses. tests/doors/test_tunnel.py runs this."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dataset_mirror.rules import environment as names
from tests.conftest import StartMirror
from tests.doors.tunnels import CONTENT, PUBLIC, Far, self_signed
from tests.origin import Origin, body
from tests.serving import PATIENCE, Mirror, environment

ARCHIVE = body(200_000, 7)
URL = f"https://{PUBLIC}/sets/new.bin"
_CONTENT = "import sys; sys.stdout.buffer.write("
PYTHON = {
    "urllib": f"import urllib.request; {_CONTENT}urllib.request.urlopen(sys.argv[1]).read())",
    "requests": f"import requests; {_CONTENT}requests.get(sys.argv[1]).content)",
    "httpx": f"import httpx; {_CONTENT}httpx.get(sys.argv[1]).content)",
    "aiohttp": """
import aiohttp, asyncio, sys
async def get():
    async with aiohttp.ClientSession(trust_env=True) as session, session.get(sys.argv[1]) as answer:
        sys.stdout.buffer.write(await answer.read())
asyncio.run(get())
""",
}
CLIENTS = {name: [sys.executable, "-c", program, URL] for name, program in PYTHON.items()}
CLIENTS |= {"curl": ["curl", "-sSf", URL], "wget": ["wget", "-qO-", URL]}
CLIENTS["aria2"] = ["sh", "-c", 'aria2c -q --ca-certificate="$SSL_CERT_FILE" -d "$HOME" -o new "$0" && cat "$HOME/new"', URL]
CLIENTS = {name: command for name, command in CLIENTS.items() if name in PYTHON or shutil.which("aria2c" if name == "aria2" else name)}
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
        (self.home / "new").unlink(missing_ok=True)
        return self.run(*CLIENTS[client]).stdout


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("far") / "far.pem")


@pytest.fixture(scope="module")
def running(start_shared_mirror: StartMirror, certificate: Path) -> Mirror:
    """A mirror that takes its origins from mirror.toml, and a host far away."""
    Far(certificate)
    mirror = start_shared_mirror()
    mirror.stop()
    mirror._settings = {}
    (mirror.data / "mirror.toml").write_text(BEFORE)
    return mirror.start()


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
    assert {client: shell.got(client) == CONTENT for client in CLIENTS} == dict.fromkeys(CLIENTS, True)
    assert {client: later.got(client) == ARCHIVE for client in CLIENTS} == dict.fromkeys(CLIENTS, True)
    reload(running, has("data.example.org", PUBLIC, "third.example.org", origin=shared_origin))
    assert later.got("curl") == ARCHIVE, "what its certificate names goes on, too"
    assert subprocess.run(CLIENTS["curl"], env=hand, capture_output=True, check=False).stdout == CONTENT
    hand = by_hand(running, tmp_path / "hand", certificate)
    assert subprocess.run(CLIENTS["curl"], env=hand, capture_output=True, check=False).stdout == ARCHIVE
    assert "until it evaluates setup.sh again" in shell.set_up()
    assert {client: shell.got(client) == ARCHIVE for client in CLIENTS} == dict.fromkeys(CLIENTS, True)
    assert len(shared_origin.gets("/sets/new.bin")) == 1
    assert f"was set up before {PUBLIC} was added" in running.log
