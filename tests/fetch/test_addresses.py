"""Which addresses the mirror connects to."""

from __future__ import annotations

import pytest

from dataset_mirror.fetch.addresses import is_global
from tests.conftest import StartMirror
from tests.origin import Origin, body


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("::ffff:8.8.8.8", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("224.0.0.1", False),
        ("239.1.2.3", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("ff02::1", False),
        ("ff0e::1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b:1::7f00:1", False),
        ("2002:7f00:1::", False),
        ("::7f00:1", False),
        ("::ffff:0:7f00:1", False),
        ("fec0::1", False),
        ("2001:0:7f00:1::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:127.0.0.1", False),
    ],
)
def test_is_global(address: str, expected: bool) -> None:
    """Only addresses of the public internet are global, however they are wrapped."""
    assert is_global(address) is expected


def test_a_private_address_is_refused(start_mirror: StartMirror, origin: Origin) -> None:
    """An origin at a private address gets 403 with the line that allows it, and no connection."""
    origin.add("/sets/a.bin", body(1000))
    mirror = start_mirror(origins=[{"url": f"http://localhost:{origin.port}", "paths": ["/sets/"]}], upstreams={})
    problem = mirror.get(f"/localhost:{origin.port}/sets/a.bin").problem
    assert problem["status"] == 403
    assert "allow_private = true" in problem["hint"]
    assert origin.connections == 0


def test_a_private_address_that_is_allowed(start_mirror: StartMirror, origin: Origin) -> None:
    """With allow_private = true an origin at a private address is served."""
    origin.add("/sets/a.bin", body(1000))
    allowed = {"url": f"http://localhost:{origin.port}", "paths": ["/sets/"], "allow_private": True}
    mirror = start_mirror(origins=[allowed], upstreams={})
    answer = mirror.get(f"/localhost:{origin.port}/sets/a.bin")
    assert (answer.status, answer.body) == (200, body(1000))
