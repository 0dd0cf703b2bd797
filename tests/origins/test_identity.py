"""What identifies an archive: one form for every way of writing it, and refusals of what cannot be meant."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_mirror.errors import BadRequest
from dataset_mirror.origins.identity import MAX_TARGET, ArchiveId, check_query, normalise_authority, normalise_path, parse_url


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        pytest.param(b"/a/b.zip", "/a/b.zip", id="plain"),
        pytest.param(b"", "/", id="empty is the root"),
        pytest.param(b"/%7Ekriz", "/~kriz", id="unreserved is decoded"),
        pytest.param(b"/%41%2d%5F%2E%7e", "/A-_.~", id="all kinds of unreserved"),
        pytest.param(b"/a%2fb", "/a%2Fb", id="slash stays data, hex in upper case"),
        pytest.param(b"/a%20b%c3%a9", "/a%20b%C3%A9", id="others stay encoded"),
        pytest.param("/é".encode(), "/%C3%A9", id="raw bytes are encoded"),
        pytest.param(b"/a b", "/a%20b", id="raw space is encoded"),
        pytest.param(b"/a?b#c", "/a%3Fb%23c", id="delimiters inside a path are encoded"),
        pytest.param(b"/a%25b", "/a%25b", id="percent stays encoded"),
        pytest.param(b"/a//b", "/a//b", id="empty segment inside is data"),
        pytest.param(b"/a/", "/a/", id="end slash is data"),
        pytest.param(b"/...", "/...", id="three dots are a name"),
        pytest.param(b"/a;v=1/b,c:d@e+f", "/a;v=1/b,c:d@e+f", id="reserved characters stay"),
    ],
)
def test_normalise_path(raw: bytes, path: str) -> None:
    """Every way of writing a path becomes one form, without changing what it means (RFC 3986 6.2.2)."""
    assert normalise_path(raw) == path


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"a/b", id="no slash at the beginning"),
        pytest.param(b"//a", id="empty first segment"),
        pytest.param(b"/%2Fa", id="encoded empty first segment"),
        pytest.param(b"/%252Fa", id="twice encoded empty first segment"),
        pytest.param(b"/a/../b", id="dots"),
        pytest.param(b"/a/.", id="one dot"),
        pytest.param(b"/..", id="only dots"),
        pytest.param(b"/a/%2e%2E/b", id="encoded dots"),
        pytest.param(b"/a/.%2e", id="half encoded dots"),
        pytest.param(b"/a%2F..%2Fb", id="dots between encoded slashes"),
        pytest.param(b"/a/%252e%252e/b", id="twice encoded dots"),
        pytest.param(b"/a/%25252e%2e/b", id="thrice encoded dots"),
        pytest.param(b"/a\\b", id="backslash"),
        pytest.param(b"/a%5cb", id="encoded backslash"),
        pytest.param(b"/a%255cb", id="twice encoded backslash"),
        pytest.param(b"/a\x00b", id="NUL"),
        pytest.param(b"/a%00b", id="encoded NUL"),
        pytest.param(b"/a%0d%0aSet-Cookie:x", id="encoded line end"),
        pytest.param(b"/a\x7f", id="DEL"),
        pytest.param(b"/a%7F", id="encoded DEL"),
        pytest.param(b"/a%zz", id="percent without hex"),
        pytest.param(b"/a%", id="percent at the end"),
        pytest.param(b"/" + b"a" * MAX_TARGET, id="too long"),
    ],
)
def test_paths_that_cannot_be_meant_are_refused(raw: bytes) -> None:
    """A path that some server would read as another one is a bad request, however it is encoded."""
    with pytest.raises(BadRequest):
        normalise_path(raw)


def test_a_deeply_nested_encoding_is_unwound() -> None:
    """The longest nest of encodings is unwound to its end, and what is inside is judged."""
    with pytest.raises(BadRequest, match=r"'\.\.'"):
        normalise_path(b"/a/%" + b"25" * 4000 + b"2e.")


pieces = st.sampled_from([b"/", b"a", b"~", b".", b"%41", b"%7e", b"%2f", b"%25", b"%c3", b"%20", b" ", b"?", b"#", b"\xc3", b"+"])
targets = st.lists(pieces, max_size=12).map(lambda parts: b"/" + b"".join(parts)) | st.binary(max_size=20)


@settings(deadline=None, max_examples=100)
@given(targets)
def test_normalising_twice_changes_nothing(raw: bytes) -> None:
    """A normalised path is its own normal form, in printable ASCII and with the same data."""
    try:
        path = normalise_path(raw)
    except BadRequest:
        return
    assert normalise_path(path.encode()) == path
    assert re.fullmatch(r"/(?:[!-$&-.0-9:->@A-\[\]-~/]|%[0-9A-F]{2})*", path)


@settings(deadline=None, max_examples=100)
@given(targets, st.sets(st.integers(0, 40)))
def test_encoding_an_unreserved_character_changes_nothing(raw: bytes, where: set[int]) -> None:
    """Two spellings that differ only in encoded unreserved characters are one archive."""
    try:
        path = normalise_path(raw)
    except BadRequest:
        return
    spelled = "".join(
        part if part.startswith("%") else "".join(f"%{ord(c):02x}" if c in "aA~." and at in where else c for at, c in enumerate(part))
        for part in re.split(r"(%..)", path)
    )
    assert normalise_path(spelled.encode()) == path


@settings(deadline=None, max_examples=100)
@given(targets, st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#"), max_size=10), st.booleans())
def test_an_archive_is_found_again_by_its_url(raw: bytes, query: str, secure: bool) -> None:
    """The URL of any archive names that archive: what the journal writes can be read back."""
    try:
        archive = ArchiveId("data.example.org", normalise_path(raw), check_query(query.encode()))
    except BadRequest:
        return
    assert parse_url(f"{'https' if secure else 'http'}://{archive}") == archive


@pytest.mark.parametrize(
    ("authority", "scheme", "normal"),
    [
        pytest.param("Data.Example.ORG", "https", "data.example.org", id="lower case"),
        pytest.param("example.org:443", "https", "example.org", id="https' own port"),
        pytest.param("example.org:80", "http", "example.org", id="http's own port"),
        pytest.param("example.org:80", "https", "example.org:80", id="the other scheme's port stays"),
        pytest.param("example.org:8443", "https", "example.org:8443", id="another port stays"),
        pytest.param("127.0.0.1:9000", "http", "127.0.0.1:9000", id="IPv4"),
        pytest.param("[::1]:443", "https", "[::1]", id="IPv6"),
        pytest.param("my_bucket.s3.example.org", "https", "my_bucket.s3.example.org", id="underscore"),
        pytest.param("a", "https", "a", id="one letter"),
        pytest.param("example.org.", "https", "example.org", id="a trailing dot"),
        pytest.param("Example.ORG.:443", "https", "example.org", id="trailing dot, capitals, own port"),
        pytest.param("example.org:", "https", "example.org", id="an empty port"),
        pytest.param("example.org:0443", "https", "example.org", id="a port with a zero before it"),
        pytest.param("example.org.:8443", "https", "example.org:8443", id="a trailing dot before a port"),
        pytest.param("[0:0:0:0:0:0:0:1]:80", "http", "[::1]", id="IPv6 written out"),
        pytest.param("[2001:DB8::A]", "https", "[2001:db8::a]", id="IPv6 in capitals"),
        pytest.param("bücher.example", "https", "xn--bcher-kva.example", id="a U-label"),
        pytest.param("BÜCHER.example.", "https", "xn--bcher-kva.example", id="a U-label in capitals, with a dot"),
        pytest.param("XN--BCHER-KVA.example", "https", "xn--bcher-kva.example", id="an A-label in capitals"),
        pytest.param("b%C3%BCcher.example:443", "https", "xn--bcher-kva.example", id="a percent-encoded U-label"),
        pytest.param("bu\u0308cher.example", "https", "xn--bcher-kva.example", id="a decomposed U-label"),
        pytest.param("example%2Eorg", "https", "example.org", id="a percent-encoded dot"),
        pytest.param("data。example．org", "https", "data.example.org", id="ideographic and full-width dots"),
        pytest.param("my_sets.bücher.example", "https", "my_sets.xn--bcher-kva.example", id="underscore beside a U-label"),
    ],
)
def test_normalise_authority(authority: str, scheme: str, normal: str) -> None:
    """Hosts are in lower case, with their port only where it is unusual (RFC 3986 6.2.3)."""
    assert normalise_authority(authority, scheme) == normal


@pytest.mark.parametrize(
    "authority",
    [
        "",
        "user@example.org",
        "user:secret@example.org",
        "exa mple.org",
        "-a.org",
        "a.org..",
        ".",
        "a..org",
        "a/b",
        "a.org:0",
        "a.org:65536",
        "a%40b.org",
        "a%2Fb",
        "a%3A80",
        "a%zz.org",
        "a%FF.org",
        "[::1]x",
        "[fe80::1%25eth0]",
        "a℀b.org",
        "a.org:x",
        "[::1",
        "é\u200b\ufffd.org",
        "a\n",
    ],
)
def test_authorities_that_are_none_are_refused(authority: str) -> None:
    """Userinfo, and whatever is not a host with a port, is a bad request."""
    with pytest.raises(BadRequest):
        normalise_authority(authority)


@pytest.mark.parametrize(
    ("url", "archive"),
    [
        pytest.param("https://a.org/b", ArchiveId("a.org", "/b"), id="https"),
        pytest.param("http://a.org/b", ArchiveId("a.org", "/b"), id="the scheme is no part of it"),
        pytest.param("HTTPS://A.org:443/%7eB", ArchiveId("a.org", "/~B"), id="everything normalised"),
        pytest.param("a.org/b", ArchiveId("a.org", "/b"), id="without scheme"),
        pytest.param("https://a.org", ArchiveId("a.org", "/"), id="without path"),
        pytest.param("https://a.org/b?x=%2f&y", ArchiveId("a.org", "/b", "x=%2f&y"), id="the query stays raw"),
        pytest.param("https://a.org/b?", ArchiveId("a.org", "/b"), id="empty query"),
        pytest.param("https://a.org/b#c", ArchiveId("a.org", "/b"), id="a fragment is for the client"),
        pytest.param("https://a.org/é", ArchiveId("a.org", "/%C3%A9"), id="text beyond ASCII"),
    ],
)
def test_parse_url(url: str, archive: ArchiveId) -> None:
    """A URL names an archive by authority, path and query."""
    assert parse_url(url) == archive


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("ftp://a.org/b", id="another scheme"),
        pytest.param("https://user@a.org/b", id="userinfo"),
        pytest.param("https:///b", id="no host"),
        pytest.param("https://[::1/b", id="half an IPv6 address"),
        pytest.param("https://[x]/b", id="no IPv6 address"),
        pytest.param("https://a.org/a\tb", id="tab"),
        pytest.param("https://a.org/a\nb", id="line end"),
        pytest.param("https://a.org/\udc80", id="a byte that is not UTF-8"),
        pytest.param("https://a.org/?\udc80", id="such a byte in the query"),
        pytest.param("https://a.org/?é", id="query beyond ASCII"),
        pytest.param("https://a.org/../b", id="dots"),
    ],
)
def test_urls_that_name_no_archive_are_refused(url: str) -> None:
    """What is not an http or https URL of an archive is a bad request, never another error or another archive."""
    with pytest.raises(BadRequest):
        parse_url(url)


@pytest.mark.parametrize("raw", [b"a b", b"a\x00", b"\xe9", b"a#b", b"a\x7f", b"a" * (MAX_TARGET + 1)])
def test_queries_that_cannot_be_sent_are_refused(raw: bytes) -> None:
    """A query is printable ASCII of a sane length, else a bad request."""
    with pytest.raises(BadRequest):
        check_query(raw)


def test_an_archive_knows_its_target_and_name() -> None:
    """The target has the query, the name is the last segment, and the text is a URL without its scheme."""
    archive = ArchiveId("a.org", "/sets/b.zip", "v=1")
    assert (archive.target, archive.name, str(archive)) == ("/sets/b.zip?v=1", "b.zip", "a.org/sets/b.zip?v=1")


_LABEL = st.sampled_from(
    ["a", "Data", "example", "org", "xn--bcher-kva", "bücher", "%C3%BC", "%2e", "my_sets", "-", "", "straße", "ｅｘ", "日本"]
)
_PORT = st.sampled_from(["", ":", ":80", ":443", ":0443", ":8080", ":0", ":99999", ":x", "@b"])
authorities = st.tuples(st.lists(_LABEL, max_size=4).map(".".join), _PORT).map("".join) | st.text(max_size=20)


@settings(deadline=None, max_examples=100)
@given(authorities, st.sampled_from(["http", "https"]))
def test_a_normal_authority_is_its_own_normal_form(authority: str, scheme: str) -> None:
    """Any text is a host or a bad request; its normal form is ASCII in lower case, stays as it is, and makes a URL that names it."""
    try:
        normal = normalise_authority(authority, scheme)
    except BadRequest:
        return
    assert normalise_authority(normal, scheme) == normal
    assert normal.isascii()
    assert normal == normal.lower()
    assert parse_url(f"{scheme}://{normal}/a").authority == normal


@settings(deadline=None, max_examples=100)
@given(st.tuples(st.sampled_from(["", "https://", "http://", "ftp://", "//"]), authorities, st.text(max_size=20)).map("".join))
def test_no_text_makes_the_parser_of_urls_fail(url: str) -> None:
    """Any text is the URL of an archive, which its own URL names again, or a bad request."""
    try:
        archive = parse_url(url)
    except BadRequest:
        return
    assert parse_url(f"https://{archive}").path == archive.path


@settings(deadline=None)
@given(st.text("aZ09.-_:@[]~é", max_size=12), st.text("aZ0.~-_%2Fé/?#&\\ \n", max_size=24))
def test_a_url_that_is_normal_already_is_read_like_any_other(host: str, target: str) -> None:
    """Such URLs are read in a shorter way, to which one with its scheme in capitals never comes: both say the same."""
    assert _meant(f"https://{host}/{target}") == _meant(f"HTTPS://{host}/{target}")


def _meant(url: str) -> ArchiveId | str:
    try:
        return parse_url(url)
    except BadRequest as error:
        return error.detail.lower()
