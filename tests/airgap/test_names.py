"""Names of payload files: any disk can hold them, and no two are one."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_mirror.airgap.bundle.bag import is_inside
from dataset_mirror.airgap.bundle.names import Names, natural
from dataset_mirror.origins.identity import ArchiveId, check_query, normalise_path
from tests.airgap.bundles import digest

HOLDABLE = re.compile(r"[!#$&-)+-.0-9;=@-\[\]^_`a-{}~]{1,255}")
DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def of(path: str, query: str = "", host: str = "a.org") -> ArchiveId:
    return ArchiveId(host, path, query)


@pytest.mark.parametrize(
    ("archive", "name"),
    [
        pytest.param(of("/sets/mnist.npz"), "data/a.org/sets/mnist.npz", id="a plain one"),
        pytest.param(of("/a%20b%2Fc"), "data/a.org/a=20b=2Fc", id="escapes"),
        pytest.param(of("/a", "x=1&y"), "data/a.org/a=3Fx=3D1&y", id="a query"),
        pytest.param(of("/a", host="a.org:8443"), "data/a.org=3A8443/a", id="a port"),
        pytest.param(of("/a*b:c|d<e>f\"g'h"), "data/a.org/a=2Ab=3Ac=7Cd=3Ee=3Ef=22g'h".replace("=3Ee", "=3Ce"), id="reserved characters"),
        pytest.param(of("/a./b"), "data/a.org/a=2E/b", id="a dot at the end"),
        pytest.param(of("/con/NUL.txt/aux.tar.gz/console"), "data/a.org/=63on/=4EUL.txt/=61ux.tar.gz/console", id="devices"),
        pytest.param(of("/a//b/"), "data/a.org/a/=/b/=", id="empty segments"),
        pytest.param(of("/a=b"), "data/a.org/a=3Db", id="our own mark"),
    ],
)
def test_what_a_disk_cannot_hold_is_encoded(archive: ArchiveId, name: str) -> None:
    """Names are readable where they can be, and encoded where they cannot."""
    assert natural(archive) == name


def test_long_names_are_shortened() -> None:
    """A segment fits 255 bytes and a path 1000, and what differs only far behind is still two names."""
    one, other = (natural(of("/" + "x" * 300 + end)) for end in "ab")
    assert one != other
    assert max(map(len, one.split("/"))) <= 255
    assert len(natural(of("/x" * 3000))) < 1000


@pytest.mark.parametrize(
    "archives",
    [
        pytest.param([of("/Sets/A.zip"), of("/sets/a.zip"), of("/sets/a.ZIP")], id="case"),
        pytest.param([of("/a"), of("/a/b"), of("/A/b/c")], id="a file and a folder"),
        pytest.param([of("/a%3Fb"), of("/a", "b")], id="a query and its escape"),
        pytest.param([of("/a"), of("/a"), of("/a")], id="versions of one archive"),
        pytest.param([of("/a"), of("/A"), of(f"/a~{digest(b'1')[:8]}"), of(f"/A~{digest(b'1')[:8]}")], id="names like ours"),
    ],
)
def test_no_two_are_one(archives: list[ArchiveId]) -> None:
    """Each gets a path of its own on a disk that does not tell case apart, and no file is where another has a folder."""
    names = Names(natural(archive) for archive in archives)
    check_apart([names.path(archive, digest(b"%d" % number)) for number, archive in enumerate(archives)])


def check_apart(paths: list[str]) -> None:
    lowered = [path.lower() for path in paths]
    folders = {path[:at] for path in lowered for at in range(len(path)) if path[at] == "/"}
    assert len(set(lowered)) == len(paths)
    assert not folders & set(lowered)


printable = st.characters(min_codepoint=0x21, max_codepoint=0x7E)
paths = st.text(printable.filter(lambda c: c not in "%\\."), max_size=12).map(lambda text: normalise_path(f"/a{text}".encode()))
queries = st.text(printable.filter(lambda c: c != "#"), max_size=6).map(lambda text: check_query(text.encode()))


@settings(deadline=None)
@given(st.lists(st.builds(ArchiveId, st.sampled_from(["a.org", "b.org:8443", "[::1]:9000"]), paths, queries), max_size=6))
def test_any_archives_have_names(archives: list[ArchiveId]) -> None:
    """Whatever the URLs are, the paths stay inside, can be held, and are apart."""
    names = Names(natural(archive) for archive in archives)
    found = [names.path(archive, digest(b"%d" % number)) for number, archive in enumerate(archives)]
    check_apart(found)
    for path in found:
        assert is_inside(path)
        assert "%" not in path
        for segment in path.split("/"):
            assert HOLDABLE.fullmatch(segment)
            assert not DEVICE.fullmatch(segment)
            assert not segment.endswith((".", " "))
