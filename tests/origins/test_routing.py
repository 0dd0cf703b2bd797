"""How a request finds its archive: one table of requests, and what each of them means."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_mirror.errors import BadRequest, MirrorError, NoSuchPage, NotAllowed
from dataset_mirror.origins.identity import MAX_TARGET, ArchiveId
from dataset_mirror.origins.model import Origin
from dataset_mirror.origins.presets import read_preset
from dataset_mirror.origins.routing import OwnPaths, Target, find_archive
from dataset_mirror.origins.table import Origins

PORT = 8080
ORIGINS = Origins(
    [],
    [
        Origin(url="https://storage.googleapis.com", paths=("/tensorflow/", "/shared/")),
        Origin(url="https://www.cs.toronto.edu", paths=("/~kriz/",)),
        Origin(url="https://data.example.org", paths=("/sets/", "/shared/", "/one.zip", "/status")),
        Origin(url="http://odd.example.org:9000", paths=("/sets-odd/",)),
        Origin(url="http://[::1]", paths=("/six/",)),
        Origin(url="https://all.example.org:8443", paths=("/all/",)),
        Origin(url="https://BÜCHER.example.", paths=("/idn/",)),
    ],
)
MNIST = ArchiveId("storage.googleapis.com", "/tensorflow/mnist.npz")
SHARED = ArchiveId("storage.googleapis.com", "/shared/a.zip")  # another origin lists this path too, so only the host tells
SET = ArchiveId("data.example.org", "/sets/a.zip")
BOOKS = ArchiveId("xn--bcher-kva.example", "/idn/a")
OURS = "mirror.lab:8080"
OWN = OwnPaths(
    frozenset(("/", "/status", "/healthz", "/metrics", "/setup.sh", "/docs", "/openapi.json")), ("/status/", "/api/", "/sha256/")
)
Outcome = ArchiveId | type[MirrorError] | None


def asked(path: bytes, host: str | None = OURS, *, authority: str | None = None, query: bytes = b"") -> Target:
    return Target(path, query, authority, () if host is None else (host,))


TABLE: dict[str, tuple[Target, Outcome]] = {
    # Absolute form
    "absolute form": (asked(b"/tensorflow/mnist.npz", authority="storage.googleapis.com"), MNIST),
    "absolute form in capitals": (asked(b"/tensorflow/mnist.npz", authority="Storage.GoogleAPIs.com"), MNIST),
    "absolute form with port 80": (asked(b"/tensorflow/mnist.npz", authority="storage.googleapis.com:80"), MNIST),
    "absolute form with port 443": (asked(b"/tensorflow/mnist.npz", authority="storage.googleapis.com:443"), MNIST),
    "absolute form wins over Host": (asked(b"/sets/a.zip", "storage.googleapis.com", authority="data.example.org"), SET),
    "absolute form without Host": (asked(b"/sets/a.zip", None, authority="data.example.org"), SET),
    "absolute form with an origin's port": (
        asked(b"/sets-odd/a", authority="odd.example.org:9000"),
        ArchiveId("odd.example.org:9000", "/sets-odd/a"),
    ),
    "absolute form lacks an origin's port": (asked(b"/sets-odd/a", authority="odd.example.org"), NotAllowed),
    "absolute form of an IPv6 host": (asked(b"/six/a", authority="[::1]"), ArchiveId("[::1]", "/six/a")),
    "absolute form of an unlisted path": (asked(b"/other", authority="data.example.org"), NotAllowed),
    "absolute form of an unlisted host": (asked(b"/sets/a.zip", authority="evil.example.org"), NotAllowed),
    "absolute form of an unlisted host, an own page": (asked(b"/status", authority="evil.example.org"), NotAllowed),
    "absolute form of ourselves, an own page": (asked(b"/healthz", None, authority=OURS), None),
    "absolute form of ourselves, a bare path": (asked(b"/sets/a.zip", None, authority=OURS), SET),
    "absolute form of ourselves wins over Host": (asked(b"/healthz", "data.example.org", authority=OURS), None),
    "absolute form with userinfo": (asked(b"/sets/a.zip", authority="me@data.example.org"), BadRequest),
    "absolute form with a password": (asked(b"/sets/a.zip", authority="me:secret@data.example.org"), BadRequest),
    "absolute form with an empty authority": (asked(b"/sets/a.zip", authority=""), BadRequest),
    # Host
    "Host of an origin": (asked(b"/shared/a.zip", "storage.googleapis.com"), SHARED),
    "Host of another origin": (asked(b"/shared/a.zip", "data.example.org"), ArchiveId("data.example.org", "/shared/a.zip")),
    "Host in capitals": (asked(b"/shared/a.zip", "STORAGE.googleapis.com"), SHARED),
    "Host with port 80": (asked(b"/shared/a.zip", "storage.googleapis.com:80"), SHARED),
    "Host with port 443": (asked(b"/shared/a.zip", "storage.googleapis.com:443"), SHARED),
    "Host with our own port": (asked(b"/shared/a.zip", "storage.googleapis.com:8080"), SHARED),
    "Host with another port is not that origin": (asked(b"/shared/a.zip", "storage.googleapis.com:81"), NoSuchPage),
    "Host with an origin's port": (asked(b"/sets-odd/a", "odd.example.org:9000"), ArchiveId("odd.example.org:9000", "/sets-odd/a")),
    "Host of an IPv6 origin": (asked(b"/six/a", "[::1]:8080"), ArchiveId("[::1]", "/six/a")),
    "Host of an origin, another origin's path": (asked(b"/sets/a.zip", "storage.googleapis.com"), NotAllowed),
    "Host of an origin, one of our pages": (asked(b"/healthz", "storage.googleapis.com"), NotAllowed),
    "Host of an origin that lists a page's path": (asked(b"/status", "data.example.org"), ArchiveId("data.example.org", "/status")),
    "Host of an origin, the root": (asked(b"/", "data.example.org"), NotAllowed),
    "Host of an origin, a first segment is a path": (asked(b"/data.example.org/sets/a.zip", "storage.googleapis.com"), NotAllowed),
    # First segment
    "first segment": (asked(b"/storage.googleapis.com/tensorflow/mnist.npz"), MNIST),
    "first segment in capitals": (asked(b"/Storage.Googleapis.COM/tensorflow/mnist.npz"), MNIST),
    "first segment without Host": (asked(b"/storage.googleapis.com/tensorflow/mnist.npz", None), MNIST),
    "first segment with a port": (asked(b"/odd.example.org:9000/sets-odd/a"), ArchiveId("odd.example.org:9000", "/sets-odd/a")),
    "first segment with a query": (
        asked(b"/data.example.org/one.zip", query=b"raw=%2f&x"),
        ArchiveId("data.example.org", "/one.zip", "raw=%2f&x"),
    ),
    "first segment, unlisted path": (asked(b"/data.example.org/other"), NotAllowed),
    "first segment, exact path with more": (asked(b"/data.example.org/one.zip/more"), NotAllowed),
    "first segment, a page's name": (asked(b"/data.example.org/status"), ArchiveId("data.example.org", "/status")),
    "first segment alone": (asked(b"/data.example.org"), NotAllowed),
    "first segment, an empty segment after it": (asked(b"/data.example.org//sets/a.zip"), BadRequest),
    "first segment, an encoded slash after it": (asked(b"/data.example.org/%2Fsets/a.zip"), BadRequest),
    "first segment of an unlisted host": (asked(b"/evil.example.org/sets/a.zip"), NotAllowed),
    # Ways of writing a host
    "absolute form with a trailing dot": (asked(b"/sets/a.zip", authority="Data.example.org."), SET),
    "absolute form with a trailing dot and a port": (asked(b"/sets/a.zip", authority="data.example.org.:443"), SET),
    "absolute form with an empty port": (asked(b"/sets/a.zip", authority="data.example.org:"), SET),
    "absolute form in A-labels": (asked(b"/idn/a", authority="xn--bcher-kva.example"), BOOKS),
    "absolute form percent-encoded": (asked(b"/idn/a", authority="b%c3%bccher.example:80"), BOOKS),
    "absolute form in bytes": (asked(b"/idn/a", authority="bücher.example".encode().decode("latin-1")), BOOKS),
    "Host with a trailing dot": (asked(b"/shared/a.zip", "storage.googleapis.com."), SHARED),
    "Host with a trailing dot and our port": (asked(b"/shared/a.zip", "storage.googleapis.com.:8080"), SHARED),
    "Host in A-labels and capitals": (asked(b"/idn/a", "XN--BCHER-KVA.example"), BOOKS),
    "Host in bytes": (asked(b"/idn/a", "bücher.example".encode().decode("latin-1")), BOOKS),
    "Host percent-encoded": (asked(b"/idn/a", "b%C3%BCcher.example"), BOOKS),
    "Host written out in IPv6": (asked(b"/six/a", "[0:0::1]"), ArchiveId("[::1]", "/six/a")),
    "first segment with a trailing dot": (asked(b"/data.example.org./sets/a.zip"), SET),
    "first segment with port 443": (asked(b"/data.example.org:443/sets/a.zip"), SET),
    "first segment with port 80": (asked(b"/data.example.org:80/sets/a.zip"), SET),
    "first segment with an encoded colon": (asked(b"/odd.example.org%3a9000/sets-odd/a"), ArchiveId("odd.example.org:9000", "/sets-odd/a")),
    "first segment in U-labels": (asked("/bücher.example/idn/a".encode()), BOOKS),
    "first segment in A-labels": (asked(b"/xn--bcher-kva.example/idn/a"), BOOKS),
    "first segment with encoded brackets": (asked(b"/%5B::1%5D/six/a"), ArchiveId("[::1]", "/six/a")),
    # A whole URL
    "whole URL with the port of its scheme": (asked(b"/http://data.example.org:80/sets/a.zip"), SET),
    "whole URL with the port of the other scheme": (asked(b"/https://data.example.org:80/sets/a.zip"), NotAllowed),
    "whole URL in escapes": (asked(b"/https%3A%2F%2Fdata.example.org%2Fsets%2Fa%2520b"), ArchiveId("data.example.org", "/sets/a%20b")),
    "whole URL in escapes, its query and another": (
        asked(b"/https%3A%2F%2Fdata.example.org%2Fone.zip%3Fv%3D1", query=b"part=2"),
        ArchiveId("data.example.org", "/one.zip", "v=1&part=2"),
    ),
    "whole URL in escapes, with bytes that are no UTF-8": (
        asked(b"/https%3A%2F%2Fdata.example.org%2Fsets%2F%FF"),
        ArchiveId("data.example.org", "/sets/%FF"),
    ),
    # Our own pages
    "the page at the root": (asked(b"/"), None),
    "the root without Host": (asked(b"/", None), None),
    "a target without path": (asked(b""), None),
    "status": (asked(b"/status"), None),
    "below status": (asked(b"/status/wanted"), None),
    "api": (asked(b"/api/fetch"), None),
    "digest of an archive": (asked(b"/sha256/data.example.org/one.zip"), None),
    "a page with a query": (asked(b"/status", query=b"sort=size"), None),
    "a page at localhost": (asked(b"/healthz", "localhost:8080"), None),
    "a page spelled with escapes": (asked(b"/%68ealthz"), None),
    "a page's name with more is no page": (asked(b"/healthz/x"), NotAllowed),
    # Bare paths
    "bare path": (asked(b"/sets/a.zip"), SET),
    "bare path with a query": (asked(b"/sets/a.zip", query=b"v=2"), ArchiveId("data.example.org", "/sets/a.zip", "v=2")),
    "bare exact path": (asked(b"/one.zip"), ArchiveId("data.example.org", "/one.zip")),
    "bare path, exact one with more": (asked(b"/one.zip.sig"), NotAllowed),
    "bare path that two origins list": (asked(b"/shared/a.zip"), NoSuchPage),
    "bare path that none lists": (asked(b"/nowhere/a.zip"), NotAllowed),
    "bare path with tilde": (asked(b"/~kriz/cifar.tar.gz"), ArchiveId("www.cs.toronto.edu", "/~kriz/cifar.tar.gz")),
    # Spelling
    "encoded tilde": (asked(b"/%7Ekriz/cifar.tar.gz"), ArchiveId("www.cs.toronto.edu", "/~kriz/cifar.tar.gz")),
    "encoded tilde in lower case": (asked(b"/%7ekriz/cifar.tar.gz"), ArchiveId("www.cs.toronto.edu", "/~kriz/cifar.tar.gz")),
    "encoded tilde after a first segment": (asked(b"/www.cs.toronto.edu/%7Ekriz/a"), ArchiveId("www.cs.toronto.edu", "/~kriz/a")),
    "encoded slash stays data": (asked(b"/sets/a%2Fb.zip"), ArchiveId("data.example.org", "/sets/a%2Fb.zip")),
    "encoded slash gets upper case": (asked(b"/sets/a%2fb.zip"), ArchiveId("data.example.org", "/sets/a%2Fb.zip")),
    "encoded slash does not end a prefix": (asked(b"/sets%2Fa.zip", "data.example.org"), NotAllowed),
    "encoded slash does not end a first segment": (asked(b"/data.example.org%2Fsets/a.zip"), NotAllowed),
    # Tricks
    "dots": (asked(b"/sets/../other", "data.example.org"), BadRequest),
    "dots at the end": (asked(b"/sets/..", "data.example.org"), BadRequest),
    "one dot": (asked(b"/sets/./a", "data.example.org"), BadRequest),
    "encoded dots": (asked(b"/sets/%2e%2e/other", "data.example.org"), BadRequest),
    "half encoded dots": (asked(b"/sets/.%2E/other", "data.example.org"), BadRequest),
    "dots and an encoded slash": (asked(b"/sets/..%2fother", "data.example.org"), BadRequest),
    "dots between encoded slashes": (asked(b"/sets%2F..%2Fother", "data.example.org"), BadRequest),
    "twice encoded dots": (asked(b"/sets/%252e%252e/other", "data.example.org"), BadRequest),
    "thrice encoded dots": (asked(b"/sets/%25252e%25252e/other", "data.example.org"), BadRequest),
    "dots in an own page": (asked(b"/static/../../secret"), BadRequest),
    "dots after a first segment": (asked(b"/data.example.org/../x"), BadRequest),
    "two slashes at the beginning": (asked(b"//data.example.org/sets/a.zip"), BadRequest),
    "backslash": (asked(b"/sets\\a.zip"), BadRequest),
    "encoded backslash": (asked(b"/sets/%5Ca.zip"), BadRequest),
    "twice encoded backslash": (asked(b"/sets/%255Ca.zip"), BadRequest),
    "NUL": (asked(b"/sets/a\x00.zip"), BadRequest),
    "encoded NUL": (asked(b"/sets/a%00.zip"), BadRequest),
    "encoded line end": (asked(b"/sets/a%0D%0AX: y"), BadRequest),
    "DEL": (asked(b"/sets/a\x7f"), BadRequest),
    "control byte in the query": (asked(b"/sets/a.zip", query=b"a\x01"), BadRequest),
    "space in the query": (asked(b"/sets/a.zip", query=b"a b"), BadRequest),
    "broken escape": (asked(b"/sets/100%.zip"), BadRequest),
    "no slash": (asked(b"*"), BadRequest),
    "two Hosts": (Target(b"/sets/a.zip", hosts=("data.example.org", OURS)), BadRequest),
    "two equal Hosts": (Target(b"/sets/a.zip", hosts=(OURS, OURS)), BadRequest),
    "two Hosts beside an absolute form": (Target(b"/sets/a.zip", b"", "data.example.org", (OURS, OURS)), BadRequest),
    "a great many quotes": (asked(b"/" + b'"' * 4000), NotAllowed),
    "a great many escaped quotes": (asked(b"/" + b"%22" * 2000), NotAllowed),
    # Length
    "path of 8 KiB": (asked(b"/sets/" + b"a" * (MAX_TARGET - 6)), ArchiveId("data.example.org", "/sets/" + "a" * (MAX_TARGET - 6))),
    "path of 8 KiB and one": (asked(b"/sets/" + b"a" * (MAX_TARGET - 5)), BadRequest),
    "path and query of 8 KiB and one": (asked(b"/sets/" + b"a" * 4090, query=b"b" * 4097), BadRequest),
    "own page longer than 8 KiB": (asked(b"/status", query=b"b" * MAX_TARGET), BadRequest),
}


@pytest.mark.parametrize(("target", "outcome"), TABLE.values(), ids=TABLE)
def test_find_archive(target: Target, outcome: Outcome) -> None:
    """Each request means one archive, a page of the mirror, or an error, in the order of the rules."""
    if isinstance(outcome, type):
        with pytest.raises(outcome) as caught:
            find_archive(target, ORIGINS, PORT, OWN)
        assert type(caught.value) is outcome
    else:
        assert find_archive(target, ORIGINS, PORT, OWN) == outcome


@pytest.mark.parametrize("page", ["/", "/status", "/status/x", "/api/x/y"])
def test_own_pages_are_never_archives(page: str) -> None:
    """Every page of the mirror is reached at its own host, whatever the origins list as bare paths."""
    assert find_archive(asked(page.encode()), ORIGINS, PORT, OWN) is None


def test_an_ambiguous_bare_path_names_the_urls_to_use() -> None:
    """A bare path that two origins list is answered with both full URLs, query and all."""
    with pytest.raises(NoSuchPage) as caught:
        find_archive(asked(b"/shared/a.zip", query=b"v=1"), ORIGINS, PORT)
    urls = ["/storage.googleapis.com/shared/a.zip?v=1", "/data.example.org/shared/a.zip?v=1"]
    assert caught.value.facts["choices"] == urls
    assert all(url in caught.value.hint for url in urls)
    assert [find_archive(asked(url.partition("?")[0].encode(), query=b"v=1"), ORIGINS, PORT) for url in urls]


@pytest.mark.parametrize(
    ("path", "command"),
    [
        pytest.param(b"/evil.example.org/a/b.zip", "dataset-mirror add 'https://evil.example.org/a/b.zip'", id="host in the path"),
        pytest.param(b"/data.example.org/a/b.zip", "dataset-mirror add 'https://data.example.org/a/b.zip'", id="known host"),
        pytest.param(b"/nowhere/b.zip", "dataset-mirror add https://HOST/nowhere/b.zip", id="host unknown"),
    ],
)
def test_a_refusal_says_which_command_allows_it(path: bytes, command: str) -> None:
    """A 403 has the command that would make the mirror serve that URL."""
    with pytest.raises(NotAllowed) as caught:
        find_archive(asked(path), ORIGINS, PORT)
    assert caught.value.status == 403
    assert command in caught.value.hint


@pytest.mark.parametrize("path", ["/evil.example.org/a';id;'", "/nowhere/$(id)", "/nowhere;id/b", "/hf:a/b;id", "/a*';id;'"])
def test_a_command_in_a_refusal_has_the_path_as_one_word(path: str) -> None:
    """What a client asked for cannot become a command of its own where somebody copies the hint into a shell."""
    with pytest.raises(MirrorError) as caught:
        find_archive(asked(path.encode()), Origins([read_preset("huggingface", Path())]), PORT)
    command = caught.value.hint.partition("dataset-mirror ")[2].partition(" — ")[0]
    verb, word = subprocess.run(["sh", "-c", f"printf '%s\\n' {command}"], capture_output=True, text=True).stdout.splitlines()
    assert verb in ("add", "fetch", "ls")
    assert word.endswith(path.lstrip("/"))


YIELDING = OwnPaths(yielding=frozenset(("sets", "archives")))


@pytest.mark.parametrize(
    ("path", "outcome"),
    [(b"/archives", None), (b"/archives/x/y", None), (b"/sets", None), (b"/sets/a.zip", SET), (b"/other/a.zip", NotAllowed)],
)
def test_a_page_yields_to_an_origin(path: bytes, outcome: Outcome) -> None:
    """Of pages that yield, one whose very path an origin lists is that origin's archive; all others are pages."""
    if isinstance(outcome, type):
        with pytest.raises(outcome):
            find_archive(asked(path), ORIGINS, PORT, YIELDING)
    else:
        assert find_archive(asked(path), ORIGINS, PORT, YIELDING) == outcome


segments = st.sampled_from([b"sets", b"data.example.org", b"shared", b"..", b"%2e%2e", b"%2F", b"a", b"", b"%", b"\\", b"~kriz", b"status"])
hosts = st.sampled_from(["data.example.org", "mirror.lab:8080", "evil.example.org", "", "@", "data.example.org:443", "\xff"])


@settings(deadline=None, max_examples=150)
@given(
    st.lists(segments, max_size=6).map(b"/".join) | st.binary(max_size=12),
    st.binary(max_size=4),
    st.none() | hosts,
    st.lists(hosts, max_size=2).map(tuple),
)
def test_only_listed_archives_are_ever_found(path: bytes, query: bytes, authority: str | None, named: tuple[str, ...]) -> None:
    """Whatever is sent, the outcome is an archive that an origin lists, a page, or a clean refusal."""
    try:
        archive = find_archive(Target(b"/" + path, query, authority, named), ORIGINS, PORT, OWN)
    except (BadRequest, NotAllowed, NoSuchPage):
        return
    if archive is not None:
        assert ORIGINS.of(archive).lists(archive.path)
        assert not archive.path.startswith("//")
        assert ".." not in archive.path.replace("%2F", "/").split("/")
