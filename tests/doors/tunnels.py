"""Tunnels to public hosts, in a network of their own where this machine has public addresses. tests/doors/test_tunnel.py runs this."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.conftest import StartMirror
from tests.doors.far import COMMIT, CONTENT, FAR, PAGES, PUBLIC, Far
from tests.doors.intercepting import connected, curl
from tests.origin import MIB, Origin
from tests.serving import HOST, PATIENCE, Mirror, mirroring
from tests.waiting import until
from tests.wire.test_protocol import Wire

OURS = "193.0.0.2"
"""A public address of the mirror."""
REFUSED = {
    "private.example.com": ["10.1.2.3"],
    "loopback.example.com": ["127.0.0.1"],
    "link-local.example.com": ["169.254.1.1"],
    "metadata.example.com": ["169.254.169.254"],
    "shared.example.com": ["100.64.0.1"],
    "multicast.example.com": ["224.0.0.1"],
    "unspecified.example.com": ["0.0.0.0"],
    "nat64.example.com": ["64:ff9b::c100:1"],
    "6to4.example.com": ["2002:c100:1::1"],
    "mapped.example.com": ["::ffff:10.1.2.3"],
    "local6.example.com": ["fd00::1"],
    "mixed.example.com": [FAR, "10.1.2.3"],
}
NAMES = {PUBLIC: [FAR], "sub.public.example.com": [FAR], "mirror.example.com": [OURS]} | REFUSED
HOSTS = "127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, addresses in NAMES.items() for address in addresses)


@pytest.fixture(scope="module")
def shared(start_shared_mirror: StartMirror, far: Far) -> Mirror:
    return start_shared_mirror(host="0.0.0.0", max_tunnels=8, idle_timeout=2)


def tunnel(mirror: Mirror, first: bytes, host: str = PUBLIC) -> socket.socket:
    """The client's end of a tunnel, and the first byte into it."""
    wire = connected(mirror, f"{host}:443")
    assert wire.head()[0] == 200
    wire.send(first)
    return wire.socket


def send_all(connection: socket.socket, content: bytes) -> None:
    connection.sendall(content)
    connection.shutdown(socket.SHUT_WR)


def refusal(mirror: Mirror, host: str) -> int:
    with connected(mirror, f"{host}:443") as wire:
        return wire.head()[0]


def test_an_unmodified_client(shared: Mirror, certificate: Path, tmp_path: Path) -> None:
    """A client reaches a public host through the mirror, and checks that host's own certificate."""
    got = curl(shared, f"https://{PUBLIC}/", tmp_path, "--cacert", str(certificate))
    assert got.stdout == CONTENT, got.stderr
    assert curl(shared, f"https://{PUBLIC}/", tmp_path).returncode == 60, "the mirror's authority is not for this host"
    assert shared.status["doors"]["tunnelled"] == 2
    until(lambda: shared.status["doors"]["tunnels"] == 0)


def test_git_and_pip(shared: Mirror, certificate: Path, tmp_path: Path) -> None:
    """git and pip go on working in a shell whose proxy is the mirror."""
    ways = {"https_proxy": shared.url, "HTTPS_PROXY": shared.url, "no_proxy": "", "NO_PROXY": "", "HOME": str(tmp_path)}
    ways |= dict.fromkeys(("GIT_SSL_CAINFO", "PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), str(certificate))
    git = ["git", "ls-remote", f"https://{PUBLIC}/repository.git"]
    pip = [sys.executable, "-m", "pip", "--isolated", "download", "--no-deps", "--cert", str(certificate), "--proxy", shared.url]
    pip += ["--index-url", f"https://{PUBLIC}/simple/", "-d", str(tmp_path), "tiny"]
    environment = {"PATH": os.environ["PATH"], **ways}
    for command in (git, pip):
        run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert run.returncode == 0, run.stdout + run.stderr
        assert command is pip or COMMIT in run.stdout
    assert (tmp_path / "tiny-1.0-py3-none-any.whl").read_bytes() == PAGES["/tiny-1.0-py3-none-any.whl"][1]


def test_bytes_both_ways(shared: Mirror, far: Far) -> None:
    """Every byte arrives, and when one side has ended the other may go on."""
    with closing(tunnel(shared, b"e")) as connection:
        sender = threading.Thread(target=send_all, args=(connection, CONTENT))
        sender.start()
        received = b"".join(iter(lambda: connection.recv(MIB), b""))
        sender.join()
    assert received == b"e" + CONTENT
    assert far.ended.wait(PATIENCE)


@pytest.mark.parametrize("name", REFUSED)
def test_names_that_are_refused(shared: Mirror, name: str) -> None:
    """A name with an address that is not public, if only one of several, is a 403."""
    assert refusal(shared, name) == 403


def test_clients_from_outside(shared: Mirror) -> None:
    """A client with a public address gets no tunnel; archives it gets."""
    for target, status in ((f"{PUBLIC}:443", 403), (f"{HOST}:443", 200)):
        wire = Wire.__new__(Wire)
        wire.socket, wire._left = socket.create_connection((OURS, shared.port), PATIENCE, source_address=(OURS, 0)), b""
        with wire:
            wire.send(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
            assert wire.head()[0] == status


def test_a_limit(shared: Mirror) -> None:
    """Beyond `max_tunnels` it is a 503 with Retry-After; when one has ended there is room again, and archives are unaffected."""
    with ExitStack() as ends:
        many = [ends.enter_context(closing(tunnel(shared, b"e"))) for _ in range(8)]
        with connected(shared, f"{PUBLIC}:443") as wire:
            status, fields = wire.head()
            assert (status, fields["retry-after"]) == (503, "5")
        assert shared.status["doors"]["tunnels"] == 8
        assert shared.get("/healthz").status == 200
        many[0].close()
        until(lambda: shared.status["doors"]["tunnels"] == 7)
        ends.enter_context(closing(tunnel(shared, b"e")))
    until(lambda: shared.status["doors"]["tunnels"] == 0)


def test_a_client_that_does_not_read(shared: Mirror, far: Far) -> None:
    """What a client does not take waits at the far end, not in the mirror; when the client goes, the far end goes."""
    memory = shared.memory
    with closing(tunnel(shared, b"f")) as connection:
        assert len(connection.recv(MIB)) > 0
        assert not far.broken.wait(0.5)
        assert shared.memory - memory < 8 * MIB
    assert far.broken.wait(PATIENCE)


def test_a_reset_stays_a_reset(shared: Mirror) -> None:
    """A connection that the far end breaks is broken for the client, too."""
    with closing(tunnel(shared, b"r")) as connection, pytest.raises(ConnectionResetError):
        connection.recv(1)


def test_a_host_that_is_down(shared: Mirror) -> None:
    """A public host that does not accept is a 504."""
    assert refusal(shared, "mirror.example.com") == 504


def test_what_the_settings_say(start_mirror: StartMirror, far: Far) -> None:
    """`tunnel` narrows where tunnels lead, down to nowhere; offline each is reset as if there were no network, and no name is resolved."""
    mirror = start_mirror()
    sub = f"sub.{PUBLIC}"
    for line, statuses in (
        ("tunnel = []", {PUBLIC: 403, sub: 403}),
        (f'tunnel = ["{PUBLIC}"]', {PUBLIC: 200, sub: 403}),
        (f'tunnel = ["*.{PUBLIC}"]', {PUBLIC: 403, sub: 200}),
        ("offline = true", {PUBLIC: 200, "private.example.com": 200}),
    ):
        (mirror.data / "mirror.toml").write_text(line)
        assert mirror.api("reload").status == 200
        assert {name: refusal(mirror, name) for name in statuses} == statuses
    with closing(tunnel(mirror, b"e")) as connection, pytest.raises(ConnectionResetError):
        connection.recv(1)


def test_the_mirror_itself(origin: Origin, tmp_path: Path) -> None:
    """A name of the mirror's own public address and port is refused."""
    mirror = mirroring(origin, tmp_path / "data").start("--host", OURS, "--port", "443")
    with closing(mirror), socket.create_connection((OURS, 443), PATIENCE, source_address=("127.0.0.1", 0)) as plain:
        plain.sendall(b"CONNECT mirror.example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"is this mirror itself" in plain.recv(4096)


def test_the_mirrors_end(start_mirror: StartMirror, far: Far) -> None:
    """SIGTERM ends idle tunnels at once, and gives busy ones the grace."""
    mirror = start_mirror(grace=1)
    with closing(tunnel(mirror, b"e")) as idle:
        assert idle.recv(1) == b"e"
        threading.Event().wait(1.2)  # until it counts as idle
        with closing(tunnel(mirror, b"f")) as busy:
            mirror.signal(signal.SIGTERM)
            with pytest.raises(ConnectionResetError):
                idle.recv(1)
            assert read_until_reset(busy) > 16 * MIB
            mirror.ended()


def read_until_reset(connection: socket.socket) -> int:
    """How many bytes came before the connection was reset."""
    received = 0
    try:
        while data := connection.recv(MIB):
            received += len(data)
    except ConnectionResetError:
        return received
    pytest.fail("it ended as if it were whole")


class Proxy:
    """A proxy in front of the internet, which knows all names and wants a password."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://user:p%40ss@127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listening.accept()
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(65536)
            self.asked.append(head)
            if b"dXNlcjpwQHNz" not in head or b"forbidden" in head:
                connection.sendall(b"HTTP/1.1 407 No\r\n\r\n")
                connection.close()
                continue
            far = socket.create_connection((FAR, 443))
            connection.sendall(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n")
            for one, other in ((connection, far), (far, connection)):
                threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def proxy() -> Proxy:
    return Proxy()


def test_through_a_proxy(start_mirror: StartMirror, far: Far, proxy: Proxy) -> None:
    """With `upstream_proxy` tunnels go through it, also to names unknown here; `no_proxy` holds, and private names are refused."""
    mirror = start_mirror(upstream_proxy=proxy.url, no_proxy=["public.example.com"])
    with closing(tunnel(mirror, b"e", "unknown.example.com")) as connection:
        connection.sendall(b"cho")
        assert connection.recv(1, socket.MSG_PEEK) == b"e"
        connection.shutdown(socket.SHUT_WR)
        assert b"".join(iter(lambda: connection.recv(99), b"")) == b"echo"
    assert proxy.asked[0].startswith(b"CONNECT unknown.example.com:443 HTTP/1.1\r\n")
    with closing(tunnel(mirror, b"e")) as connection:
        assert connection.recv(1) == b"e"
    assert refusal(mirror, "private.example.com") == 403
    assert len(proxy.asked) == 1
    assert refusal(mirror, "forbidden.example.com") == 504
