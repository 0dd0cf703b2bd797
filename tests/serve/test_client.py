"""Where a client is, behind whatever stands in front."""

from ipaddress import ip_network

import pytest

from dataset_mirror.origins.routing import Target
from dataset_mirror.serve.asgi import Request
from dataset_mirror.serve.client import client_address

TRUSTED = (ip_network("127.0.0.1/32"), ip_network("10.0.0.0/24"))


@pytest.mark.parametrize(
    ("peer", "fields", "expected"),
    [
        ("192.0.2.1", {}, "192.0.2.1"),
        ("::ffff:192.0.2.1", {}, "192.0.2.1"),
        ("fe80::1%eth0", {}, "fe80::1"),
        (None, {}, "127.0.0.1"),
        ("127.0.0.1", {}, "127.0.0.1"),
        ("nonsense", {}, None),
        (None, {"x-forwarded-for": "127.0.0.1"}, None),
        ("192.0.2.1", {"x-forwarded-for": "192.0.2.7"}, None),
        ("192.0.2.1", {"forwarded": "for=192.0.2.7"}, None),
        ("127.0.0.1", {"x-forwarded-for": "192.0.2.7"}, "192.0.2.7"),
        ("127.0.0.1", {"x-forwarded-for": "1.1.1.1, 192.0.2.7, 10.0.0.5"}, "192.0.2.7"),
        ("127.0.0.1", {"x-forwarded-for": "192.0.2.7, nonsense"}, None),
        ("127.0.0.1", {"x-forwarded-for": "192.0.2.7,"}, None),
        ("127.0.0.1", {"x-forwarded-for": "10.0.0.5"}, None),
        ("127.0.0.1", {"x-forwarded-for": "127.0.0.2"}, None),
        ("127.0.0.1", {"x-forwarded-for": "::1"}, None),
        ("127.0.0.1", {"x-forwarded-for": "192.0.2.7:4711"}, "192.0.2.7"),
        ("127.0.0.1", {"x-forwarded-for": "[2001:db8::7]:4711"}, "2001:db8::7"),
        ("127.0.0.1", {"x-forwarded-for": ""}, None),
        ("127.0.0.1", {"x-real-ip": "192.0.2.7"}, None),
        ("127.0.0.1", {"x-forwarded-proto": "https"}, None),
        ("127.0.0.1", {"forwarded": 'proto=http; For="[2001:db8::7]:1", for=10.0.0.5'}, "2001:db8::7"),
        ("127.0.0.1", {"forwarded": "for=192.0.2.7, for=unknown"}, None),
        ("127.0.0.1", {"forwarded": "for=192.0.2.7, proto=http"}, None),
        ("127.0.0.1", {"forwarded": "for=192.0.2.7;for=192.0.2.8"}, None),
        ("127.0.0.1", {"forwarded": 'by="a, for=192.0.2.7'}, None),
        ("127.0.0.1", {"forwarded": 'by=";for=192.0.2.7";for=192.0.2.8'}, "192.0.2.8"),
        ("127.0.0.1", {"forwarded": "for=192.0.2.7", "x-forwarded-for": "192.0.2.7"}, "192.0.2.7"),
        ("127.0.0.1", {"forwarded": "for=192.0.2.7", "x-forwarded-for": "192.0.2.8"}, None),
    ],
)
def test_client_address(peer: str | None, fields: dict[str, str], expected: str | None) -> None:
    """The peer's address; of a forwarded request what trusted proxies agree on, never loopback; else unknown."""
    found = client_address(Request("GET", Target(b"/", b""), fields, peer), TRUSTED)
    assert (str(found) if found else None) == expected
