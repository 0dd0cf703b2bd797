"""Tunnels to public hosts: tests/doors/tunnels.py and shells.py in a network of their own, and their limit of silence."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dataset_mirror.doors.tunnel import End, Tunnel
from tests.conftest import StartMirror
from tests.doors import tunnels
from tests.doors.far import FAR
from tests.doors.intercepting import connected

ROOT = Path(__file__).parents[2]
INSIDE = f"""
ip link set lo up
ip addr add {FAR}/32 dev lo
ip addr add {tunnels.OURS}/32 dev lo
mount --bind "$HOSTS_OF_TEST" /etc/hosts
exec "$@"
"""


def why_not() -> str | None:
    """Why this machine cannot give a process a network of its own, if so."""
    for program in ("unshare", "ip", "mount", "openssl", "git"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    tried = subprocess.run(["unshare", "-rnm", "ip", "link", "set", "lo", "up"], capture_output=True, text=True, check=False)
    return f"a network of one's own is not allowed here: {tried.stderr.strip()}" if tried.returncode else None


def test_in_a_network_of_its_own(tmp_path: Path) -> None:
    """What tunnels lead to, and where they do not, with public addresses that are this machine's own."""
    if reason := why_not():
        pytest.skip(reason)
    hosts = tmp_path / "hosts"
    hosts.write_text(tunnels.HOSTS)
    tests = [str(ROOT / "tests" / "doors" / name) for name in ("tunnels.py", "shells.py")]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-n0",
        "-p",
        "no:cacheprovider",
        "--basetemp",
        str(tmp_path / "inside"),
        "-p",
        "tests.doors.far",
        *tests,
    ]
    inside = ["unshare", "-rnm", "sh", "-euc", INSIDE, "sh", *command]
    run = subprocess.run(inside, env=os.environ | {"HOSTS_OF_TEST": str(hosts)}, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_a_host_that_speaks_first(start_mirror: StartMirror) -> None:
    """What a host says as soon as a proxy has reached it, as SSH does, arrives, though it came along with the proxy's answer."""
    said = b"SSH-2.0-far\r\n"
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + said)
                connection.recv(4096)

        threading.Thread(target=answer, daemon=True).start()
        mirror = start_mirror(upstream_proxy=f"http://127.0.0.1:{listening.getsockname()[1]}")
        with connected(mirror, "far.invalid:443") as wire:
            assert wire.head()[0] == 200
            assert wire.body(len(said)) == said


async def test_a_silent_tunnel() -> None:
    """A tunnel in which nothing moves for long ends, and both ends are broken."""
    loop = asyncio.get_running_loop()
    near: asyncio.Future[asyncio.Transport] = loop.create_future()

    class Near(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            near.set_result(transport)

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()

    far_server = await asyncio.start_server(keep, "127.0.0.1")
    near_server = await loop.create_server(Near, "127.0.0.1")
    async with far_server, near_server:
        _, far = await loop.create_connection(End, *far_server.sockets[0].getsockname())
        reader, writer = await asyncio.open_connection(*near_server.sockets[0].getsockname())
        began = loop.time()
        running = asyncio.create_task(Tunnel(await near, far, idle_seconds=1.0).run())
        await asyncio.sleep(0.5)
        writer.write(b"x")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        await running
        assert loop.time() - began > 1.4
        writer.close()
