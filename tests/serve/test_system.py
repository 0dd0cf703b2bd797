"""What clients get while the operating system refuses the mirror what it needs."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.conftest import StartMirror
from tests.origin import Origin, body
from tests.serving import Mirror
from tests.wire.test_protocol import Wire, raw_request, request, wait_until

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
    wait_until(lambda: not mirror.status["fills"])
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
    assert "Traceback" not in mirror.log


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
    assert "Traceback" not in mirror.log
