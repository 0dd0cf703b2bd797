"""How long clients may be silent, how many there may be, and what happens when there are more."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest

from dataset_mirror.wire.crowd import _RESERVED
from tests.conftest import StartMirror
from tests.doors.intercepting import open_files
from tests.origin import MIB, Origin, body
from tests.serving import HOST, PATIENCE, Mirror
from tests.waiting import until
from tests.wire.test_protocol import Wire, request

SMALL, SLOW = "/sets/small.bin", "/sets/slow.bin"
SMALL_BODY = body(50_000, 1)


@pytest.fixture(scope="module")
def hasty(start_shared_mirror: StartMirror, shared_origin: Origin) -> Mirror:
    """A mirror that gives clients half a second for their heads."""
    shared_origin.add(SMALL, SMALL_BODY)
    mirror = start_shared_mirror(head_timeout=0.5)
    for _ in range(2):
        assert mirror.archive(SMALL).status == 200
    return mirror


def connected(mirror: Mirror, sent: bytes = b"") -> socket.socket:
    """A client that has sent so much, and is silent from now on."""
    client = socket.create_connection(("127.0.0.1", mirror.port), PATIENCE)
    client.sendall(sent)
    return client


SILENT = {
    "nothing": (b"", None),
    "blank lines": (b"\r\n" * 10, None),
    "half a line": (b"GET /hea", 408),
    "half a head": (b"GET /healthz HTTP/1.1\r\nHost: mirror\r\nA: ", 408),
}


@pytest.mark.parametrize("case", SILENT)
def test_silent_clients(hasty: Mirror, case: str) -> None:
    """A client that does not send a whole head in time is closed; one that had begun is told why."""
    sent, status = SILENT[case]
    with Wire(hasty) as wire:
        wire.send(sent)
        if status:
            assert wire.answer()[0] == status
        assert wire.rest() == b""


def test_a_client_that_dribbles(hasty: Mirror) -> None:
    """A byte now and then does not make the time for a head longer."""
    began = time.monotonic()
    with Wire(hasty) as wire:
        wire.socket.settimeout(0.05)
        wire.send(b"GET /healthz HTTP/1.1\r\n")
        received = b""
        while not received:
            assert time.monotonic() - began < PATIENCE
            wire.send(b"A")
            try:
                received = wire.socket.recv(4096)
            except TimeoutError:
                continue
        assert received.startswith(b"HTTP/1.1 408 ")


def test_a_kept_connection(hasty: Mirror) -> None:
    """Between two requests a client may take longer than for a head; the next head has to be in time again."""
    with Wire(hasty) as wire:
        wire.send(request(SMALL))
        assert wire.answer() == (200, SMALL_BODY)
        time.sleep(0.9)
        wire.send(request(SMALL))
        assert wire.answer() == (200, SMALL_BODY)
        wire.send(b"GET ")
        assert wire.answer()[0] == 408
        assert wire.rest() == b""


def test_a_slow_answer(hasty: Mirror, shared_origin: Origin) -> None:
    """A client that waits for its answer is not silent: the time is the mirror's."""
    shared_origin.add("/sets/late.bin", SMALL_BODY, latency=0.9)
    assert hasty.archive("/sets/late.bin").body == SMALL_BODY


@contextmanager
def silent(mirror: Mirror, count: int) -> Iterator[list[socket.socket]]:
    """So many clients that say nothing, or half a head."""
    with ExitStack() as ends:
        yield [ends.enter_context(closing(connected(mirror, b"GET / HTTP/1.1\r\n" if n % 2 else b""))) for n in range(count)]


def is_closed(client: socket.socket) -> bool:
    """Whether the mirror has ended a connection."""
    client.settimeout(0.2)
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def test_the_oldest_make_room(start_mirror: StartMirror, origin: Origin) -> None:
    """When there are as many connections as are allowed, those that wait longest are closed, and answers under way go on."""
    origin.add(SMALL, SMALL_BODY)
    origin.add(SLOW, body(3 * MIB), stall_after=2 * MIB)
    mirror = start_mirror(max_connections=10)
    mirror.archive(SMALL)
    with Wire(mirror) as busy:
        busy.send(request(SLOW))
        assert busy.head()[0] == 200
        with silent(mirror, 12) as clients:
            assert mirror.archive(SMALL).body == SMALL_BODY
            assert [is_closed(client) for client in clients[:3]] == [True] * 3
            assert not is_closed(clients[-1])
        assert busy.body(MIB) == body(3 * MIB)[:MIB]


def test_no_room_at_all(start_mirror: StartMirror, origin: Origin) -> None:
    """When all connections are busy each new client is told so at once; those who are being told make no room for others."""
    origin.add(SLOW, body(3 * MIB), stall_after=2 * MIB)
    mirror = start_mirror(max_connections=3)
    with ExitStack() as ends:
        for _ in range(3):
            wire = ends.enter_context(Wire(mirror))
            wire.send(request(SLOW))
            assert wire.head()[0] == 200
        for _ in range(3):
            status, fields = ends.enter_context(Wire(mirror)).head()
            assert (status, fields["retry-after"]) == (503, "5")


def test_more_clients_than_descriptors(start_mirror: StartMirror, origin: Origin) -> None:
    """Where few files may be open, silent clients in any number deafen nobody, and do not fill the log."""
    origin.add(SMALL, SMALL_BODY)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    mirror = start_mirror(head_timeout=2 * PATIENCE)
    mirror.archive(SMALL)
    resource.prlimit(mirror.pid, resource.RLIMIT_NOFILE, (_RESERVED + 200, hard))
    assert soft > 600
    with silent(mirror, 500):
        assert mirror.archive(SMALL).body == SMALL_BODY
    assert len(mirror.log) < 4000


def test_clients_that_read_slowly_where_few_files_may_be_open(start_mirror: StartMirror, origin: Origin) -> None:
    """There are no more of them than have descriptors for their files and for waiting, so that none is broken off; others are told."""
    content = body(32 * MIB)
    origin.add(SLOW, content)
    mirror = start_mirror()
    assert mirror.archive(SLOW).status == 200
    resource.prlimit(mirror.pid, resource.RLIMIT_NOFILE, (_RESERVED + 300, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with ExitStack() as ends:
        answers = []
        for _ in range(150):
            wire = ends.enter_context(Wire(mirror, buffer=4096))
            with suppress(ConnectionResetError, BrokenPipeError):  # one that is told that there is no room
                wire.send(request(SLOW))
            answers.append((wire, wire.head()[0]))
        assert {status for _, status in answers} == {200, 503}
        assert "Too many open files" not in mirror.log
        assert answers[0][0].body(len(content)) == content


def test_no_descriptor_to_wait_with(start_mirror: StartMirror, origin: Origin) -> None:
    """A client whose file could just be opened gets all of it, though there is no descriptor more to wait for room with."""
    content = body(32 * MIB)
    origin.add(SLOW, content)
    mirror = start_mirror()
    assert mirror.archive(SLOW).status == 200
    with Wire(mirror, buffer=4096) as wire:
        wire.send(request(SLOW, method="HEAD"))
        assert wire.head()[0] == 200
        numbers = {int(file.name) for file in Path(f"/proc/{mirror.pid}/fd").iterdir()}
        free = next(number for number in range(10_000) if number not in numbers)
        soft, hard = resource.prlimit(mirror.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(mirror.pid, resource.RLIMIT_NOFILE, (free + 1, hard))
        wire.send(request(SLOW))
        assert wire.head()[0] == 200
        assert wire.body(len(content)) == content
        resource.prlimit(mirror.pid, resource.RLIMIT_NOFILE, (soft, hard))


def is_settled(mirror: Mirror) -> bool:
    """Whether it has as many files open as a moment ago."""
    before = open_files(mirror)
    time.sleep(0.3)
    return open_files(mirror) == before


def test_descriptors_that_run_out(start_mirror: StartMirror, origin: Origin) -> None:
    """When no descriptor is left the log says so once, idle clients make room, and the mirror recovers."""
    origin.add(SMALL, SMALL_BODY)
    mirror = start_mirror()
    mirror.archive(SMALL)
    files = open_files(mirror)
    with silent(mirror, 40):
        until(lambda: open_files(mirror) >= files + 30)
        until(lambda: is_settled(mirror), "all that was open for a moment only is closed")
        now = open_files(mirror) - 10
        resource.prlimit(mirror.pid, resource.RLIMIT_NOFILE, (now, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        with silent(mirror, 5):  # they take what was open for a moment only
            assert mirror.archive(SMALL).body == SMALL_BODY
    assert mirror.log.count("can be accepted") == 1
    assert len(mirror.log) < 4000


def test_the_limit_of_descriptors_is_raised(hasty: Mirror) -> None:
    """The mirror may open as many files as the system allows."""
    soft, hard = resource.prlimit(hasty.pid, resource.RLIMIT_NOFILE)
    assert soft == hard


def test_many_silent_clients(start_mirror: StartMirror, origin: Origin) -> None:
    """Beside hundreds of silent clients a hit takes less than 50 ms."""
    origin.add(SMALL, SMALL_BODY)
    mirror = start_mirror()
    mirror.archive(SMALL)
    with silent(mirror, 500), Wire(mirror) as wire:
        times = []
        for _ in range(20):
            began = time.perf_counter()
            wire.send(request(SMALL))
            assert wire.answer() == (200, SMALL_BODY)
            times.append(time.perf_counter() - began)
    assert sorted(times)[10] < 0.05


def test_a_handshake_that_does_not_come(start_mirror: StartMirror) -> None:
    """The time for a head holds for a handshake of TLS, too."""
    mirror = start_mirror(head_timeout=0.4)
    with Wire(mirror) as wire:
        wire.send(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n".encode())
        assert wire.head()[0] == 200
        wire.send(b"\x16\x03\x01")
        assert wire.rest() == b""
