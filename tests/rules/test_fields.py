"""Which response fields of an origin are stored, and the values of our own fields."""

import base64
import hashlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_mirror.rules.fields import as_bytes, cache_status, kept, of_decoded, of_part, refreshed, repr_digest, without_content


@pytest.mark.parametrize(
    "name",
    [
        "Content-Type",
        "Content-Disposition",
        "Content-Language",
        "Last-Modified",
        "Cache-Control",
        "Expires",
        "x-goog-hash",
        "x-goog-generation",
        "x-goog-meta-owner",
        "x-amz-meta-owner",
        "x-amz-version-id",
        "x-amz-checksum-sha256",
        "Content-MD5",
        "Digest",
        "X-Repo-Commit",
        "X-Linked-Etag",
        "X-Linked-Size",
        "X-Error-Code",
        "X-Error-Message",
    ],
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
        "Content-Security-Policy-Report-Only",
        "X-Content-Type-Options",
        "Access-Control-Allow-Origin",
        "Access-Control-Allow-Credentials",
        "Access-Control-Expose-Headers",
        "Cross-Origin-Resource-Policy",
        "Cross-Origin-Opener-Policy",
        "Timing-Allow-Origin",
        "WWW-Authenticate",
        "Service-Worker-Allowed",
        "X-Lighttpd-Send-File",
        "X-Lighttpd-Send-Tempfile",
        "X-LiteSpeed-Location",
        "X-Reproxy-URL",
        "Surrogate-Control",
        "CDN-Cache-Control",
        "Sec-Session-Registration",
    ],
)
def test_fields_that_must_not_be_replayed_are_dropped(name: str) -> None:
    """Fields of one hop, of one client, of the mirror itself, or that command a browser or a proxy never pass, whatever a rule says."""
    also = {name.lower(), "x-other"}
    assert kept([(name, "x"), (name.upper(), "x"), ("x-other", "y")], also) == (("x-other", "y"),)


@pytest.mark.parametrize(
    "name", ["Server", "Via", "X-Cache", "X-Amz-Request-Id", "X-Amz-Cf-Id", "X-Powered-By", "Link", "X-Invented-Tomorrow"]
)
def test_a_field_that_nobody_lists_does_not_pass(name: str) -> None:
    """What may pass is listed; anything else does only if the origin's rule names it."""
    assert kept([(name, "x")]) == ()
    assert kept([(name, "x")], {name.lower()}) == ((name.lower(), "x"),)


def test_what_connection_names_is_dropped() -> None:
    """A field that any Connection field names belongs to one hop only (RFC 9110 7.6.1)."""
    fields = [("X-Goog-Hop", "1"), ("Connection", "close, x-goog-HOP"), ("Expires", "2"), ("connection", "Expires"), ("X-Goog-End", "3")]
    assert kept(fields) == (("x-goog-end", "3"),)


def test_the_link_to_a_token_service_is_dropped_and_other_links_pass_where_a_rule_says_so() -> None:
    """A Link with xet-auth would send clients past the mirror; other links are data that a rule may name."""
    fields = [("Link", '<https://a.example.org/t>; rel="xet-auth"'), ("Link", '<https://a.example.org/l>; rel="license"')]
    assert kept(fields, {"link"}) == (("link", '<https://a.example.org/l>; rel="license"'),)


def test_repeated_fields_stay_in_order() -> None:
    """Fields that may come several times are all kept, in their order."""
    fields = [("X-Goog-A", "1"), ("X-Goog-B", "2"), ("X-Goog-A", "3")]
    assert kept(fields) == (("x-goog-a", "1"), ("x-goog-b", "2"), ("x-goog-a", "3"))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.from_regex(r"[A-Za-z-]{1,12}", fullmatch=True), st.text(max_size=20))))
def test_what_is_kept_can_be_sent_and_kept_again(fields: list[tuple[str, str]]) -> None:
    """No kept value has a line end or another control character, and keeping twice changes nothing."""
    once = kept(fields)
    assert kept(once) == once
    assert all(re.fullmatch(r"[\t -~\x80-\xff]*", value) and name == name.lower() for name, value in once)


def test_bytes_beyond_ascii_pass_as_they_came() -> None:
    """A file name in UTF-8 or in ISO 8859-1 leaves as the very bytes that came; what older versions stored as text, in UTF-8."""
    for raw in ('attachment; filename="größe 数.zip"'.encode(), 'attachment; filename="größe.zip"'.encode("latin-1")):
        ((_, value),) = kept([("Content-Disposition", raw.decode("latin-1"))])
        assert as_bytes(value) == raw
    assert as_bytes('filename="数.zip"') == 'filename="数.zip"'.encode()


WHOLE = (
    ("content-type", "application/zip"),
    ("digest", "sha-256=x"),
    ("content-digest", "sha-256=:x:"),
    ("content-md5", "x"),
    ("x-goog-hash", "md5=x"),
    ("x-amz-checksum-crc32", "x"),
    ("x-goog-generation", "1"),
)


def test_digests_of_the_whole_do_not_stand_in_a_part() -> None:
    """A 206 has no field that is the digest of other bytes than its own (RFC 9110 15.3.7)."""
    assert [name for name, _ in of_part(WHOLE)] == ["content-type", "x-goog-generation"]


def test_digests_of_the_encoded_body_do_not_describe_the_decoded_one() -> None:
    """What we decoded is not what the origin's digests and sizes are of."""
    coded = (*WHOLE, ("x-goog-stored-content-length", "9"), ("x-goog-stored-content-encoding", "identity"))
    assert [name for name, _ in of_decoded(coded)] == ["content-type", "x-goog-generation"]


def test_an_answer_to_head_has_no_digest_of_its_content() -> None:
    """Content-Digest is of the message's own bytes, and HEAD has none (RFC 9530 B.2)."""
    assert [name for name, _ in without_content(WHOLE)] == [name for name, _ in WHOLE if name != "content-digest"]


def test_what_google_says_of_a_compressed_object_is_not_said_of_the_plain_one() -> None:
    """Size and hash of a form that clients do not get do not pass; those of the very bytes do."""
    fields = [("x-goog-stored-content-length", "9"), ("x-goog-hash", "md5=x"), ("x-goog-generation", "1")]
    assert kept([("x-goog-stored-content-encoding", "gzip"), *fields]) == (("x-goog-generation", "1"),)
    assert kept([("x-goog-stored-content-encoding", "identity"), *fields])[1:] == tuple(fields)


def test_a_304_replaces_what_it_names() -> None:
    """All values of a name that comes again go, others stay, and what describes the bytes stays as it was (RFC 9111 3.2)."""
    stored = (("cache-control", "max-age=1"), ("cache-control", "public"), ("content-type", "application/zip"), ("content-md5", "x"))
    fresh = (("cache-control", "max-age=9"), ("expires", "0"), ("content-type", "text/html"), ("content-md5", "y"))
    refreshed_fields = (("content-type", "application/zip"), ("content-md5", "x"), ("cache-control", "max-age=9"), ("expires", "0"))
    assert refreshed(stored, fresh) == refreshed_fields


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
