"""Names that nobody answers for: who waits for them, and who does not."""

from __future__ import annotations

import ast
import asyncio
import os
import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from dataset_mirror.fetch.network.names import Names
from tests.origin import Origin, body
from tests.serving import HOST, PATIENCE, URL, mirroring
from tests.waiting import until

APP = Path(__file__).parents[2] / "app" / "dataset_mirror"
DATA = body(300_000)
SILENT = [f"silent-{number}.example.org" for number in range(40)]
SILENCE = 2 * PATIENCE
"""Seconds that a look-up of a silent name takes in a mirror under test: whoever waits for one has no answer in time."""
PROGRAM = f"""#!{sys.executable}
import socket, time
from dataset_mirror.cli import main as program

real = socket.getaddrinfo

def getaddrinfo(host, *rest, **more):
    if str(host).startswith("silent-"):
        time.sleep({SILENCE})
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    return real(host, *rest, **more)

socket.getaddrinfo = getaddrinfo
program()
"""


class Resolver:
    """The system's resolver: names that begin with `silent` have no answer until the end."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.released = threading.Event()

    def getaddrinfo(self, host: str, *_: Any, **__: Any) -> list[tuple[Any, ...]]:
        self.asked[host] += 1
        if host.startswith("silent"):
            self.released.wait(20)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    ours = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", ours.getaddrinfo)
    yield ours
    ours.released.set()


@pytest.mark.timed  # a download gives up on its name after some 14 s: all else must be done before
def test_a_silent_name_server_touches_nobody_else(origin: Origin, tmp_path: Path) -> None:
    """While 40 names hang, fills of other origins, hits from the disk and pages are answered, and the mirror can be stopped."""
    program = tmp_path / "program"
    program.write_text(PROGRAM)
    program.chmod(0o700)
    origin.add("/sets/before.bin", DATA)
    origin.add("/sets/during.bin", DATA)
    silent = [{"url": f"https://{name}", "paths": ["/sets/"]} for name in SILENT]
    listed = [{"url": URL, "paths": ["/sets/"]}, *silent]
    mirror = mirroring(origin, tmp_path / "data", origins=listed, upstreams={HOST: [origin.url]}, max_fills=100)
    mirror.program = str(program)
    with mirror, ExitStack() as waiting:
        assert mirror.archive("/sets/before.bin").body == DATA
        for name in SILENT:
            waiting.enter_context(_asked(mirror.port, f"/{name}/sets/a.bin"))
        until(lambda: len(mirror.status["fills"]) == len(SILENT), "all names are asked for")
        assert mirror.archive("/sets/during.bin").body == DATA
        _forget_pages(mirror.blobs)
        assert mirror.archive("/sets/before.bin").body == DATA
        assert mirror.get("/").status == 200
        assert len(mirror.status["fills"]) == len(SILENT)
        mirror.stop()


def _asked(port: int, path: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return connection


def _forget_pages(files: list[Path]) -> None:
    """What the files hold is to be read from the disk again."""
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


async def test_one_look_up_for_all_who_ask(resolver: Resolver) -> None:
    """However many ask for a name at once, it is looked up once; who leaves takes no answer from the others."""
    names = Names()
    asking = [asyncio.create_task(names.addresses_of("silent.example.org")) for _ in range(50)]
    await asyncio.sleep(0)
    for task in asking[:10]:
        task.cancel()
    resolver.released.set()
    assert await asyncio.gather(*asking[10:]) == [["192.0.2.1"]] * 40
    assert resolver.asked == {"silent.example.org": 1}


async def test_names_that_hang_leave_others_a_thread(resolver: Resolver) -> None:
    """Of two threads one name takes one only, and another name is resolved meanwhile."""
    names = Names(most=2)
    hanging = [asyncio.create_task(names.addresses_of("silent.example.org")) for _ in range(10)]
    await asyncio.sleep(0)
    assert await asyncio.wait_for(names.addresses_of("good.example.org"), 5) == ["192.0.2.1"]
    resolver.released.set()
    await asyncio.gather(*hanging)


async def test_look_ups_have_a_limit(resolver: Resolver) -> None:
    """A hundred names that hang take as many threads as there may be, and no more; they get their turn when those are free."""
    names, before = Names(most=3), threading.active_count()
    hanging = [asyncio.create_task(names.addresses_of(f"silent-{number}")) for number in range(100)]
    await asyncio.sleep(0)
    assert threading.active_count() - before == 3
    resolver.released.set()
    assert await asyncio.gather(*hanging) == [["192.0.2.1"]] * 100


async def test_a_name_is_asked_anew_after_its_answer(resolver: Resolver) -> None:
    """No answer is kept: who asks later gets the addresses of then."""
    names = Names()
    await names.addresses_of("good.example.org")
    await names.addresses_of("good.example.org")
    assert resolver.asked == {"good.example.org": 2}


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "2001:db8::1"])
async def test_an_address_is_no_name(resolver: Resolver, address: str) -> None:
    """Nobody is asked for what is an address already."""
    assert await Names().addresses_of(address) == [address]
    assert not resolver.asked


@pytest.mark.parametrize("name", ["a" * 70 + ".example.org", "a..b"])
async def test_a_name_that_cannot_be_one(name: str) -> None:
    """A label that is too long or empty is a name without an address, not a bug."""
    with pytest.raises(OSError, match="no name"):
        await Names().addresses_of(name)


MAY_RESOLVE = ("fetch/network/names.py", "wire/server.py")
"""Who may look names up: the threads of names, and the server's own address before it listens."""
ON_THE_NETWORK = ("fetch/network/", "fetch/upstream.py", "doors/")
"""Where nothing may use the threads in which files are read."""


def test_no_default_executor_on_the_network() -> None:
    """Nothing looks names up or connects but in threads of its own: asyncio's default ones are for files alone."""
    found = [f"{name}:{call}" for path in sorted(APP.rglob("*.py")) for name, call in _blocking(path)]
    assert not found


def _blocking(path: Path) -> Iterator[tuple[str, str]]:
    name = str(path.relative_to(APP))
    for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
        called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        named = {keyword.arg for keyword in call.keywords}
        default = called == "run_in_executor" and isinstance(call.args[0], ast.Constant)
        if (
            (called in ("getaddrinfo", "gethostbyname", "getfqdn") and name not in MAY_RESOLVE)
            or (called in ("create_connection", "open_connection", "connect_tcp") and "sock" not in named and "cli/" not in name)
            or ((default or called == "to_thread") and name.startswith(ON_THE_NETWORK))
        ):
            yield name, called
