"""Which response fields of an origin are stored, and the values of our own fields."""

import base64
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_mirror.rules.fields import cache_status, kept, repr_digest


@pytest.mark.parametrize(
    "name",
    ["Content-Type", "Content-Disposition", "Content-Language", "x-goog-hash", "X-Repo-Commit", "Last-Modified", "Cache-Control", "Link"],
)
def test_fields_about_the_archive_are_kept(name: str) -> None:
    """End-to-end fields are stored under their lower-case name, the value as it came."""
    assert kept([(name, "Some value; q=1")]) == ((name.lower(), "Some value; q=1"),)


@pytest.mark.parametrize(
    "name",
    [
        "Connection",
        "Keep-Alive",
        "Proxy-Authenticate",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "Content-Length",
        "Content-Range",
        "Content-Encoding",
        "Accept-Ranges",
        "Age",
        "Date",
        "ETag",
        "Vary",
        "Cache-Status",
        "Repr-Digest",
        "Set-Cookie",
        "Strict-Transport-Security",
        "Alt-Svc",
        "Clear-Site-Data",
        "Refresh",
        "Location",
        "NEL",
        "Report-To",
        "Server-Timing",
        "X-Accel-Redirect",
        "X-Accel-Buffering",
        "X-Sendfile",
        "X-Xet-Hash",
        "Content-Security-Policy",
        "X-Content-Type-Options",
    ],
)
def test_fields_that_must_not_be_replayed_are_dropped(name: str) -> None:
    """Fields of one hop, of one client, of the mirror itself, or that command a proxy are not stored."""
    assert kept([(name, "x"), (name.upper(), "x"), ("x-other", "y")]) == (("x-other", "y"),)


def test_what_connection_names_is_dropped() -> None:
    """A field that any Connection field names belongs to one hop only (RFC 9110 7.6.1)."""
    fields = [("X-Hop", "1"), ("Connection", "close, x-HOP"), ("X-Two", "2"), ("connection", "X-Two"), ("X-End", "3")]
    assert kept(fields) == (("x-end", "3"),)


def test_the_link_to_a_token_service_is_dropped_and_other_links_stay() -> None:
    """A Link with xet-auth would send clients past the mirror; other links are data."""
    fields = [("Link", '<https://a.example.org/t>; rel="xet-auth"'), ("Link", '<https://a.example.org/l>; rel="license"')]
    assert kept(fields) == (("link", '<https://a.example.org/l>; rel="license"'),)


def test_repeated_fields_stay_in_order() -> None:
    """Fields that may come several times are all kept, in their order."""
    assert kept([("X-A", "1"), ("X-B", "2"), ("X-A", "3")]) == (("x-a", "1"), ("x-b", "2"), ("x-a", "3"))


@settings(deadline=None)
@given(st.lists(st.tuples(st.from_regex(r"[A-Za-z-]{1,12}", fullmatch=True), st.text(max_size=20))))
def test_what_is_kept_can_be_sent_and_kept_again(fields: list[tuple[str, str]]) -> None:
    """No kept value has a line end or another control character, and keeping twice changes nothing."""
    once = kept(fields)
    assert kept(once) == once
    assert all(value.isprintable() and name == name.lower() for name, value in once)


@given(st.binary(max_size=64))
def test_repr_digest_is_the_base64_of_the_digest(data: bytes) -> None:
    """Repr-Digest is a structured field with the raw digest in base64 (RFC 9530 3)."""
    digest = hashlib.sha256(data)
    value = repr_digest(digest.hexdigest())
    assert value.startswith("sha-256=:")
    assert value.endswith(":")
    assert base64.b64decode(value[9:-1]) == digest.digest()


@pytest.mark.parametrize(
    ("parameters", "value"),
    [((), "dataset-mirror"), (("hit",), "dataset-mirror; hit"), (("fwd=miss", "stored"), "dataset-mirror; fwd=miss; stored")],
    ids=["name only", "hit", "miss"],
)
def test_cache_status(parameters: tuple[str, ...], value: str) -> None:
    """Cache-Status names the mirror and then its parameters (RFC 9211)."""
    assert cache_status(*parameters) == value
