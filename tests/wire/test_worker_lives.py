"""Workers from start to end: what they are told at one moment, how they die, and that nobody is left over."""

from __future__ import annotations

import json
import os
import resource
import signal
import sqlite3
import subprocess
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests import warm
from tests.conftest import StartMirror
from tests.origin import MIB, Origin, body
from tests.serving import HOST, URL, Mirror, environment, mirroring
from tests.waiting import until
from tests.wire.crew import at, below, is_there, keeper, owner, workers
from tests.wire.test_protocol import Wire, raw_request, request
from tests.wire.test_workers import ages
from tests.wire.test_workers import pytestmark as _needs_proc

pytestmark = _needs_proc

SMALL, OTHER, LARGE, SLOW = "/sets/small.bin", "/sets/other.bin", "/sets/large.bin", "/sets/slow.bin"
CONTENT, OTHERS_CONTENT, MUCH = body(50_000, 1), body(MIB, 2), body(32 * MIB, 3)


@pytest.fixture(scope="module")
def shared(start_shared_mirror: StartMirror, shared_origin: Origin) -> Mirror:
    """A mirror of three processes, with a small archive and a large one."""
    shared_origin.add(SMALL, CONTENT)
    shared_origin.add(LARGE, MUCH)
    mirror = start_shared_mirror(workers=3)
    for path in (SMALL, LARGE):
        assert mirror.archive(path).status == 200
    return mirror


def test_as_many_as_were_asked_for(shared: Mirror) -> None:
    """The filling process is one of them; a small process beside them starts workers."""
    until(lambda: len(workers(shared)) == 2)


def test_a_worker_that_dies(shared: Mirror) -> None:
    """Its clients are reset, another one takes its place, and one line of the log says so."""
    with at(shared, worker=True) as wire, at(shared, worker=False) as first:
        wire.send(request(LARGE))
        assert wire.head()[0] == 200
        died = owner(shared, wire.socket)
        before = set(workers(shared))
        os.kill(died, signal.SIGKILL)
        received, is_reset = wire.until_any_end()
        assert is_reset
        assert len(received) < len(MUCH)
        first.send(request(SMALL))
        assert first.answer() == (200, CONTENT)
    until(lambda: len(set(workers(shared)) - before) == 1)
    for _ in range(8):  # whichever of them gets it
        assert shared.archive(SMALL).body == CONTENT
    assert shared.log.count(f"The worker {died} ended (killed by signal 9)") == 1


def test_a_worker_that_starts_makes_nothing(shared: Mirror) -> None:
    """What is missing of the data folder stays away, or all of it; until that is back the filling process accepts in its place."""
    (shared.data / "partial").rmdir()
    replaced(shared)
    assert not (shared.data / "partial").exists()
    away = shared.data.rename(shared.data.with_name("away"))
    try:
        for worker in workers(shared):
            os.kill(worker, signal.SIGKILL)
        until(lambda: shared.log.count(f"tries again: The data folder {shared.data} cannot be used") >= 2)
        assert [shared.get("/healthz").status for _ in range(20)] == [200] * 20
        assert not shared.data.exists()
    finally:
        away.rename(shared.data)
    until(lambda: len(workers(shared)) == 2)
    (shared.data / "partial").mkdir()
    with at(shared, worker=True) as wire:
        wire.send(request(SMALL))
        assert wire.answer() == (200, CONTENT)


def test_a_worker_that_dies_when_there_are_no_descriptors(shared: Mirror) -> None:
    """The mirror lives on, and has it replaced as soon as there are some."""
    limits = resource.prlimit(shared.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(shared.pid, resource.RLIMIT_NOFILE, (3, limits[1]))  # what is open stays open
    try:
        for worker in workers(shared):
            os.kill(worker, signal.SIGKILL)
        until(lambda: "A worker cannot be started now: Too many open files" in shared.log)
    finally:
        resource.prlimit(shared.pid, resource.RLIMIT_NOFILE, limits)
    until(lambda: len(workers(shared)) == 2)
    with at(shared, worker=True) as wire:
        wire.send(request(SMALL))
        assert wire.answer() == (200, CONTENT)


def replaced(mirror: Mirror) -> None:
    """Lets a worker die, and waits until the one that takes its place answers."""
    before = set(workers(mirror))
    os.kill(min(before), signal.SIGKILL)
    while True:
        with at(mirror, worker=True) as wire:
            wire.send(request(SMALL))
            assert wire.answer() == (200, CONTENT)
            if owner(mirror, wire.socket) not in before:
                return


def test_a_configuration_is_taken_up_by_all_at_once(shared: Mirror) -> None:
    """No client sees what holds now, and what held before after it; one that is wrong is taken up by nobody."""
    file = shared.data / "mirror.toml"
    closed = f'[[archives]]\nurl = "{URL}{SMALL}"\nsha256 = "{"0" * 64}"\n'
    seen: list[tuple[float, float, bool]] = []
    over = threading.Event()

    def look(wire: Wire) -> None:
        while not over.is_set():
            began = time.monotonic()
            wire.send(request(SMALL, "X-Other: so that the head is rebuilt"))
            _, fields = wire.head()
            wire.body(int(fields["content-length"]))
            seen.append((began, time.monotonic(), "ttl=-" in fields["cache-status"]))

    wires = [at(shared, worker=True), at(shared, worker=True), at(shared, worker=False)]
    threads = [threading.Thread(target=look, args=(wire,)) for wire in wires]
    for thread in threads:
        thread.start()
    until(lambda: len(seen) > 10)
    file.write_text("port = no number")
    shared.signal(signal.SIGHUP)
    until(lambda: "The configuration was not reloaded" in shared.log)
    assert shared.api("reload").status == 400
    file.write_text(closed)
    assert shared.api("reload").status == 200
    done = time.monotonic()
    until(lambda: any(began > done for began, _, _ in seen))
    over.set()
    for thread in threads:
        thread.join()
    for wire in wires:
        wire.socket.close()
    assert not [one for one in seen if one[0] > done and not one[2]], "an old answer after the reload was over"
    first_new = min(ended for _, ended, new in seen if new)
    assert not [one for one in seen if one[0] > first_new and not one[2]], "an old answer after a new one"


def test_without_descriptors(shared: Mirror) -> None:
    """If the filling process can take no request a worker's client is told to come back."""
    with at(shared, worker=True) as wire:
        soft, hard = resource.prlimit(shared.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(shared.pid, resource.RLIMIT_NOFILE, (3, hard))
        try:
            wire.send(raw_request("/status"))
            status, fields = wire.head()
            assert (status, fields["retry-after"]) == (503, "5")
            wire.body(int(fields["content-length"]))
        finally:
            resource.prlimit(shared.pid, resource.RLIMIT_NOFILE, (soft, hard))
        wire.send(raw_request("/status"))
        assert wire.answer()[0] == 200


def test_a_connect_without_descriptors(shared: Mirror) -> None:
    """A worker that cannot hand a CONNECT over refuses it."""
    with at(shared, worker=True) as wire:
        worker = owner(shared, wire.socket)
        soft, hard = resource.prlimit(worker, resource.RLIMIT_NOFILE)
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (3, hard))
        try:
            wire.send(b"CONNECT far.invalid:443 HTTP/1.1\r\nHost: far.invalid:443\r\n\r\n")
            assert wire.head()[0] == 503
        finally:
            resource.prlimit(worker, resource.RLIMIT_NOFILE, (soft, hard))


def test_another_mirror_at_the_same_port(shared: Mirror, tmp_path: Path) -> None:
    """It is refused, though the sockets of one mirror share a port."""
    said = serve(tmp_path, "--port", str(shared.port), "--workers", "2")
    assert (said.returncode, said.stdout) == (1, "")
    assert f"Port {shared.port} of 127.0.0.1 is in use." in said.stderr


def serve(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return warm.run("serve", "--data", folder / "data", *options, env=environment(folder, {}))


@pytest.mark.parametrize("number", ["0", "-1", "x", "1.5", ""])
def test_numbers_that_are_none(tmp_path: Path, number: str) -> None:
    """Are refused in a sentence."""
    said = serve(tmp_path, "--workers", number)
    assert (said.returncode, said.stdout) == (2, "")
    assert "--workers = " in said.stderr
    assert 'it is a number from 1 to 256, or "auto" for one per core' in said.stderr
    assert "Traceback" not in said.stderr


def test_a_stop(origin: Origin, tmp_path: Path) -> None:
    """Answers under way come to their end, all processes end, and all that was asked for is counted and logged."""
    origin.add(SMALL, CONTENT)
    origin.add(SLOW, body(MIB), rate=MIB)
    mirror = mirroring(origin, tmp_path / "data", workers=2, grace=20).start("--access-log")
    processes = below(mirror.pid)
    with closing(mirror), at(mirror, worker=True) as hit, at(mirror, worker=True) as miss:
        for _ in range(5):
            hit.send(raw_request(f"/{HOST}{SMALL}", "X-Request-Id: mine"))
            assert hit.answer() == (200, CONTENT)
        miss.send(request(SLOW))
        assert miss.head()[0] == 200
        for process in (*processes, mirror.pid):  # a service manager tells all of them
            os.kill(process, signal.SIGTERM)
        assert miss.body(MIB) == body(MIB)
        mirror.ended()
    assert not [process for process in processes if is_there(process)]
    assert mirror.log.count(" mine") == 5
    with mirror:
        assert (mirror.status["hits"], mirror.status["misses"]) == (4, 2)
        [small] = [one for one in json.loads(mirror.get("/status/archives").body)["archives"] if SMALL in one["url"]]
    assert small["hits"] == 4


def test_room_is_not_made_of_what_a_worker_answers(start_mirror: StartMirror, origin: Origin) -> None:
    """While it is sent to a worker's client a stored archive stays; then it goes, from all processes, and can come again."""
    for path, content in ((LARGE, MUCH), (SMALL, CONTENT), (OTHER, OTHERS_CONTENT)):
        origin.add(path, content)
    mirror = start_mirror(workers=2, max_size=len(MUCH) + len(CONTENT))
    for path in (LARGE, SMALL):
        assert mirror.archive(path).status == 200
    with at(mirror, worker=True) as wire, at(mirror, worker=False) as first:
        wire.send(request(LARGE))
        assert wire.head()[0] == 200
        first.send(request(OTHER))
        assert first.answer()[0] == 507
        assert wire.body(len(MUCH)) == MUCH
        first.send(request(OTHER))
        assert first.answer() == (200, OTHERS_CONTENT)
        wire.send(request(LARGE))
        status, fields = wire.head()
        assert (status, "fwd=miss" in fields["cache-status"], wire.body(len(MUCH))) == (200, True, MUCH)


def test_offline(start_mirror: StartMirror, origin: Origin) -> None:
    """What is stale is answered by all processes, and none asks an origin, not even for what is missing, which all put on one list."""
    origin.add(SMALL, CONTENT)
    mirror = start_mirror(workers=2)
    assert mirror.archive(SMALL).status == 200
    mirror.restart("--offline")
    ages(mirror, SMALL)
    asked = len(origin.requests)
    with at(mirror, worker=True) as wire, at(mirror, worker=False) as first:
        for each in (wire, first):
            each.send(request(SMALL, "Range: bytes=0-99") + request(OTHER))
            status, fields = each.head()
            assert (status, "ttl=-" in fields["cache-status"], each.body(100)) == (206, True, CONTENT[:100])
        assert (wire.answer()[0], first.answer()[0]) == (504, 504)
    [wanted] = json.loads(mirror.get("/status/wanted").body)["wanted"]
    assert (wanted["url"], wanted["count"]) == (f"{URL}{OTHER}", 2)
    assert len(origin.requests) == asked


def test_one_per_core(start_mirror: StartMirror) -> None:
    """With "auto" there are as many processes as cores that the mirror may run on; on a single one nobody starts others."""
    cores = len(os.sched_getaffinity(0))
    mirror = start_mirror(workers="auto")
    until(lambda: len(below(mirror.pid)) == (cores if cores > 1 else 0))


def test_a_kill(start_mirror: StartMirror, origin: Origin) -> None:
    """Nobody is left over when the filling process is killed, and clients of workers are reset."""
    origin.add(LARGE, MUCH)
    mirror = start_mirror(workers=2)
    assert mirror.archive(LARGE).status == 200
    processes = below(mirror.pid)
    with at(mirror, worker=True) as wire:
        wire.send(request(LARGE))
        assert wire.head()[0] == 200
        mirror.kill()
        received, is_reset = wire.until_any_end()
        assert is_reset
        assert len(received) < len(MUCH)
    until(lambda: not [process for process in processes if is_there(process)])


def test_the_starter_of_workers_dies(start_mirror: StartMirror) -> None:
    """The mirror stops, with an exit status that lets a service manager start it again."""
    mirror = start_mirror(workers=2)
    os.kill(keeper(mirror), signal.SIGKILL)
    mirror.ended(1)
    assert "Workers cannot be started any more" in mirror.log


def test_an_index_that_is_damaged(start_mirror: StartMirror, origin: Origin) -> None:
    """A worker that goes on serving what it knows has its other requests answered still, whatever the filling process cannot read."""
    origin.add(SMALL, CONTENT)
    mirror = start_mirror(workers=2, origins=[{"url": URL, "paths": ["/sets/"], "freshness": "4s"}])
    assert mirror.archive(SMALL).status == 200
    mirror.restart()
    with at(mirror, worker=True) as wire:

        def is_stale() -> bool:
            wire.send(request(SMALL))
            status, fields = wire.head()
            assert (status, wire.body(len(CONTENT))) == (200, CONTENT)
            return "ttl=-" in fields["cache-status"]

        until(lambda: not is_stale(), "it was checked")
        with closing(sqlite3.connect(mirror.data / "index.db")) as index, index:
            index.execute("UPDATE archives SET etag = CAST(x'ff' AS TEXT)")
        until(is_stale)
        wire.send(raw_request("/healthz"))
        assert wire.answer()[0] == 200
    assert "is not looked after any more" not in mirror.log
