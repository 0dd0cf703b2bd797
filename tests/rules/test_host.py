"""Which Host fields may be printed into pages and scripts."""

import pytest

from dataset_mirror.errors import BadRequest
from dataset_mirror.rules.host import is_plain_host, own_address, split_port


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "mirror.lab:8080",
        "dataset_mirror:8080",
        "10.0.0.7",
        "a",
        "xn--bcher-kva.example",
        "[::1]",
        "[2001:db8::7]:8080",
        "[::ffff:10.0.0.7]",
        "a" * 253,
    ],
)
def test_a_plain_host(host: str) -> None:
    """A name, an IPv4 address or an IPv6 address in brackets, with or without a port, is what it says."""
    assert is_plain_host(host)
    assert own_address(None, "http", [host]) == f"http://{host}"


@pytest.mark.parametrize(
    "host",
    [
        "",
        "x';touch${IFS}/tmp/pwn;'",
        "mirror lab",
        "mirror.lab\n",
        "mirror.lab:",
        "mirror.lab:99999",
        "mirror.lab:123456",
        "mirror.lab:٣",
        "user@mirror.lab",
        "mirror.lab/path",
        '"><script>alert(1)</script>',
        ".mirror",
        "mirror.",
        "-mirror",
        "bücher.example",
        "a" * 254,
        "::1",
        "[::1",
        "[::1]x",
        "[fe80::1%eth0]",
        "[:::1]",
        "[localhost]",
        "[::1]:99999",
    ],
)
def test_a_hostile_host(host: str) -> None:
    """Anything else is refused."""
    assert not is_plain_host(host)
    with pytest.raises(BadRequest):
        own_address(None, "http", [host])


@pytest.mark.parametrize("hosts", [[], ["mirror.lab", "mirror.lab"]])
def test_not_one_host(hosts: list[str]) -> None:
    """There must be exactly one Host field, even if both say the same."""
    with pytest.raises(BadRequest):
        own_address(None, "http", hosts)


def test_public_url() -> None:
    """With `public_url` set, no Host is looked at."""
    assert own_address("https://mirror.lab/data", "http", ["x'; rm"]) == "https://mirror.lab/data"


def test_scheme() -> None:
    """The address has the scheme that the client used."""
    assert own_address(None, "https", ["mirror.lab"]) == "https://mirror.lab"


@pytest.mark.parametrize(
    ("authority", "host", "port"),
    [
        ("data.example.org", "data.example.org", None),
        ("data.example.org:8443", "data.example.org", 8443),
        ("[::1]", "[::1]", None),
        ("[::1]:80", "[::1]", 80),
        ("host:", "host:", None),
    ],
)
def test_host_and_port(authority: str, host: str, port: int | None) -> None:
    """A port is digits behind the last colon; those of an IPv6 address in brackets are none."""
    assert split_port(authority) == (host, port)
