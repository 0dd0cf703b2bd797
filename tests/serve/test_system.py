"""What clients get while the operating system refuses the mirror what it needs."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from tests.conftest import StartMirror
from tests.origin import MIB, Origin, body
from tests.serving import PATIENCE, Mirror
from tests.waiting import until
from tests.wire.test_protocol import Wire, raw_request, request

CONTENT = body(100_000)


@contextmanager
def no_descriptors(mirror: Mirror) -> Iterator[None]:
    """The mirror can open no file more."""
    soft, hard = resource.prlimit(mirror.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(mirror.pid, resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.prlimit(mirror.pid, resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
def mirror(start_shared_mirror: StartMirror, shared_origin: Origin) -> Mirror:
    """A mirror with an archive that is not answered from memory."""
    shared_origin.add("/sets/a.bin", CONTENT)
    mirror = start_shared_mirror(memory_cache=0)
    assert mirror.archive("/sets/a.bin").status == 200
    until(lambda: not mirror.status["fills"])
    return mirror


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_no_descriptor_for_an_archive(mirror: Mirror, method: str) -> None:
    """Without a descriptor for its file an archive is refused for a while, with what to do, and not with a traceback."""
    with Wire(mirror) as wire:
        wire.send(raw_request("/healthz"))
        assert wire.answer()[0] == 200
        with no_descriptors(mirror):
            wire.send(request("/sets/a.bin", method=method))
            status, fields = wire.head()
            assert (status, fields["retry-after"], fields["content-type"]) == (503, "5", "application/problem+json")
            if method == "GET":
                assert b"limit of open files" in wire.body(int(fields["content-length"]))
        wire.send(request("/sets/a.bin"))
        assert wire.answer() == (200, CONTENT)
    assert "Traceback" not in mirror.log, mirror.log


def test_no_descriptor_for_a_page(mirror: Mirror) -> None:
    """A page that needs a file gets no bare 500 either."""
    with Wire(mirror) as wire:
        wire.send(raw_request("/healthz"))
        assert wire.answer()[0] == 200
        with no_descriptors(mirror):
            wire.send(raw_request("/keras-home.tar?only=boston_housing"))
            wire.send(raw_request("/"))
            for _ in range(2):
                status, answer = wire.answer()
                assert status < 500 or b'"hint"' in answer
        wire.send(raw_request("/status"))
        assert wire.answer()[0] == 200
    assert "Traceback" not in mirror.log, mirror.log


def test_no_descriptor_for_requests_that_wait(mirror: Mirror) -> None:
    """A request that waits for the answer before it, on a connection that is there, needs no descriptor."""
    with Wire(mirror) as wire:
        wire.send(raw_request("/healthz"))
        assert wire.answer()[0] == 200
        with no_descriptors(mirror):
            wire.send(raw_request("/status") + raw_request("/healthz"))
            assert wire.answer()[0] in (200, 503)
            assert wire.answer()[0] == 200


def test_stopped_while_no_client_can_be_accepted(start_mirror: StartMirror, origin: Origin) -> None:
    """A mirror that is stopped just after its descriptors ran out ends without a traceback."""
    origin.add("/sets/stalled.bin", body(3 * MIB), stall_after=2 * MIB)
    mirror = start_mirror(grace=1.3)  # asyncio tries again after a second
    with Wire(mirror) as busy:
        busy.send(request("/sets/stalled.bin"))
        assert busy.head()[0] == 200
        with no_descriptors(mirror), closing(socket.create_connection(("127.0.0.1", mirror.port), PATIENCE)):
            until(lambda: "can be accepted" in mirror.log)
        mirror.stop()
    assert "Traceback" not in mirror.log, mirror.log
