"""The `match` of a rule."""

import re

import pytest

from dataset_mirror.origins.patterns import Pattern

COMMIT, SHA256 = "0123456789" * 4, "ab12" * 16
RESOLVE = "/{repo}/resolve/{ref}/**"


@pytest.mark.parametrize(
    ("pattern", "path", "names"),
    [
        pytest.param("/a/b.zip", "/a/b.zip", {}, id="a path"),
        pytest.param("/a/b.zip", "/a/bxzip", None, id="a dot is a dot"),
        pytest.param("/a/b.zip", "/a/b.zip/c", None, id="no prefix"),
        pytest.param("/~a b/*", "/~a%20b/c", {}, id="normalised as paths are"),
        pytest.param("/a/*", "/a/b", {}, id="one segment"),
        pytest.param("/a/*", "/a/", None, id="no empty segment"),
        pytest.param("/a/*", "/a/b/c", None, id="not two segments"),
        pytest.param("/a/*", "/a/b%2Fc", {}, id="an encoded slash is data"),
        pytest.param("/a/*.pth", "/a/net-1a2b3c4d.pth", {}, id="part of a segment"),
        pytest.param("/a/x*-token", "/a/xet-read-token", {}, id="the middle of a segment"),
        pytest.param("/a/*.pth", "/a/b/c.pth", None, id="part of one segment only"),
        pytest.param("/a/**", "/a/b/c", {}, id="all below"),
        pytest.param("/a/**", "/a/", {}, id="the folder itself"),
        pytest.param("/a/**", "/a", None, id="the folder without its slash"),
        pytest.param("/**", "/", {}, id="everything"),
        pytest.param("/a/**/b", "/a/b", {}, id="any number is none, too"),
        pytest.param("/a/**/b", "/a/x/y/b", {}, id="any number"),
        pytest.param("/blob/{sha256}", f"/blob/{SHA256}", {"sha256": SHA256}, id="a sha256"),
        pytest.param("/blob/{sha256}", f"/blob/{COMMIT}", None, id="no sha256"),
        pytest.param("/x/{commit}/**", f"/x/{COMMIT}/a", {"commit": COMMIT}, id="a commit"),
        pytest.param("/x/{commit}/**", f"/x/{COMMIT}0/a", None, id="41 digits"),
        pytest.param("/x/{commit}/**", f"/x/{COMMIT.replace('0', 'g')}/a", None, id="not hexadecimal"),
        pytest.param(RESOLVE, "/org/net/resolve/main/a/b.json", {"repo": "org/net", "ref": "main"}, id="two segments"),
        pytest.param(RESOLVE, "/gpt2/resolve/main/b.json", {"repo": "gpt2", "ref": "main"}, id="one segment"),
        pytest.param(RESOLVE, "/datasets/org/set/resolve/v1/b", {"repo": "datasets/org/set", "ref": "v1"}, id="three segments"),
        pytest.param(RESOLVE, "/a/b/resolve/main/c/resolve/d/e", {"repo": "a/b", "ref": "main"}, id="as few as fit"),
        pytest.param(RESOLVE, "/a/b/resolve/refs%2Fpr%2F1/c", {"repo": "a/b", "ref": "refs%2Fpr%2F1"}, id="a ref with slashes"),
        pytest.param(RESOLVE, "/resolve/main/c", None, id="a name is never empty"),
        pytest.param("/{repo}.git/x", "/a/b.git/x", {"repo": "a/b"}, id="a name with an ending"),
        pytest.param("/{repo}.git/x", "/a/b/x", None, id="without its ending"),
        pytest.param("/api/{repo}/revision/{ref}", "/api/a/b/revision/c/d", {"repo": "a/b", "ref": "c/d"}, id="a name at the end"),
    ],
)
def test_matching(pattern: str, path: str, names: dict[str, str] | None) -> None:
    """A pattern matches whole paths; what its names stand for is remembered."""
    found = re.fullmatch(Pattern.parse(pattern).regex(), path)
    assert (found and found.groupdict()) == names


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        pytest.param("a/b", "begins with a slash", id="relative"),
        pytest.param("/a/../b", "'..'", id="dots"),
        pytest.param("/a/b**", "whole segment", id="two stars in a segment"),
        pytest.param("/a/c{b}", "a segment begins with a name", id="more and a name"),
        pytest.param("/a/{b}{c}", "a segment begins with a name", id="two names in a segment"),
        pytest.param("/a/{b", "a segment begins with a name", id="a brace left open"),
        pytest.param("/a/{B}", "small letters", id="capitals"),
        pytest.param("/{a}/x/{a}", "twice", id="a name twice"),
    ],
)
def test_a_wrong_pattern(pattern: str, message: str) -> None:
    """What is no pattern is refused with what is wrong in it."""
    with pytest.raises(ValueError, match=re.escape(message)):
        Pattern.parse(pattern)


@pytest.mark.parametrize(
    ("pattern", "listed", "possible"),
    [
        pytest.param("/a/*", "/a/", True, id="in the prefix"),
        pytest.param("/b/*", "/a/", False, id="elsewhere"),
        pytest.param("/a", "/a/", False, id="a file called as the folder"),
        pytest.param("/a/", "/a/", True, id="the folder"),
        pytest.param("/a/b/c/*", "/a/", True, id="deep in the prefix"),
        pytest.param("/a/*", "/a/b/c/", False, id="too short for the prefix"),
        pytest.param("/**", "/a/b/c/", True, id="everything"),
        pytest.param("/**/x.bin", "/a/b/", True, id="somewhere below"),
        pytest.param(RESOLVE, "/", True, id="all is listed"),
        pytest.param(RESOLVE, "/org/net/", True, id="one repository"),
        pytest.param(RESOLVE, "/org/net/resolve/main/x", True, id="one file"),
        pytest.param(RESOLVE, "/org/net/raw/main/x", False, id="one file of another kind"),
        pytest.param("/{commit}/x", "/main/", False, id="no such digits"),
        pytest.param("/*.zip", "/a.zip", True, id="an exact path"),
        pytest.param("/*.zip", "/a.tar", False, id="another exact path"),
    ],
)
def test_what_it_could_match(pattern: str, listed: str, possible: bool) -> None:
    """Whether a pattern can match any path that an origin lists is decided from the two alone."""
    assert Pattern.parse(pattern).may_match(listed) is possible
