"""Which hosts are reached without the proxy, as curl reads NO_PROXY."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_mirror.rules.no_proxy import bypasses, entries_of, exemption


@pytest.mark.parametrize(
    ("entry", "host", "covered"),
    [
        ("*", "anything.org", True),
        ("*", "10.0.0.1", True),
        ("example.org", "example.org", True),
        ("example.org", "www.example.org", True),
        ("example.org", "notexample.org", False),
        ("example.org", "example.org.evil.net", False),
        (".example.org", "example.org", True),
        (".example.org", "a.b.example.org", True),
        ("*.example.org", "a.example.org", True),
        ("EXAMPLE.org", "Example.ORG", True),
        ("example.org.", "example.org", True),
        ("example.org", "example.org.", True),
        ("bücher.example", "xn--bcher-kva.example", True),
        ("xn--bcher-kva.example", "bücher.example", True),
        ("localhost", "localhost", True),
        ("lab", "data.lab", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.1.2.3/8", "10.9.9.9", True),
        ("10.0.0.0/8", "11.0.0.1", False),
        ("10.0.0.0/8", "ten.example.org", False),
        ("192.168.1.7", "192.168.1.7", True),
        ("192.168.1.7", "192.168.1.70", False),
        ("192.168.1.7", "a.192.168.1.7", False),
        ("0.0.0.0/0", "8.8.8.8", True),
        ("0.0.0.0/0", "example.org", False),
        ("fd00::/8", "fd12::1", True),
        ("fd00::/8", "[fd12::1]", True),
        ("[fd00::]/8", "fd12::1", True),
        ("::1", "[0:0:0:0:0:0:0:1]", True),
        ("[::1]", "::1", True),
        ("fd00::/8", "10.0.0.1", False),
        ("127.0.0.0/8", "[::ffff:127.0.0.1]", True),
    ],
)
def test_a_list_covers_what_curl_would_reach_directly(entry: str, host: str, covered: bool) -> None:
    """Every host, a domain with all below it, an address, or a network of addresses, in every way of writing it."""
    assert bypasses(host, 443, [entry]) is covered


@pytest.mark.parametrize(
    ("entry", "host", "port", "covered"),
    [
        ("example.org:8443", "www.example.org", 8443, True),
        ("example.org:8443", "www.example.org", 443, False),
        ("10.0.0.1:80", "10.0.0.1", 80, True),
        ("[::1]:80", "::1", 80, True),
        ("[::1]:80", "::1", 443, False),
        ("*:80", "example.org", 80, True),
        ("*:80", "example.org", 443, False),
    ],
)
def test_an_entry_with_a_port_is_for_that_port_alone(entry: str, host: str, port: int, covered: bool) -> None:
    """`host:port` covers connections to that port and no other."""
    assert bypasses(host, port, [entry]) is covered


@pytest.mark.parametrize(
    "entry",
    [
        "http://example.org",
        "example.org/path",
        "10.0.0.0/33",
        "300.1.2.3",
        "10.0.0",
        "exa*mple.org",
        "*.*",
        ".",
        "",
        "[::1",
        "::1/200",
        "example.org:0",
        "example.org:99999",
        "user@example.org",
        "a..b",
    ],
)
def test_an_entry_without_effect_is_refused(entry: str) -> None:
    """What could never cover a host is a mistake, and the sentence has it."""
    with pytest.raises(ValueError, match=r"no effect|does not exist"):
        exemption(entry)


def test_one_text_may_hold_several_entries() -> None:
    """Commas and spaces separate entries, as in the variable that people copy from."""
    assert entries_of(["a.lab, .b.lab 10.0.0.0/8", "c.lab"]) == ("a.lab", ".b.lab", "10.0.0.0/8", "c.lab")


@settings(deadline=None)
@given(st.text(max_size=30), st.text(max_size=30), st.integers(0, 65535))
def test_no_entry_and_no_host_raises_anything_else(entry: str, host: str, port: int) -> None:
    """Any text is an entry or refused by ValueError, and any other is a host or none."""
    try:
        exemption(entry)
    except ValueError:
        return
    assert bypasses(host, port, [entry]) in (True, False)
