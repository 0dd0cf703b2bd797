"""Origins and catalog entries as presets and mirror.toml write them."""

import pytest
from pydantic import ValidationError

from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.origins.model import CatalogEntry, Origin, Preset

HOST = "https://data.example.org"
SHA256, MD5 = "aB" * 32, "Cd" * 16


@pytest.mark.parametrize(
    ("listed", "path", "yes"),
    [
        pytest.param("/a/", "/a/b.zip", True, id="below a prefix"),
        pytest.param("/a/", "/a/", True, id="the prefix itself"),
        pytest.param("/a/", "/a", False, id="the prefix without its slash"),
        pytest.param("/a/", "/ab/c", False, id="another folder"),
        pytest.param("/a/", "/A/b", False, id="another case"),
        pytest.param("/a/", "/a%2Fb", False, id="encoded slash"),
        pytest.param("/a.zip", "/a.zip", True, id="an exact path"),
        pytest.param("/a.zip", "/a.zip/b", False, id="below an exact path"),
        pytest.param("/a.zip", "/a.zip.sig", False, id="an exact path with more"),
        pytest.param("/", "/anything/at/all", True, id="everything"),
        pytest.param("/%7Ekriz/", "/~kriz/a", True, id="a listed path is normalised"),
        pytest.param("/a b/", "/a%20b/c", True, id="a listed path with a space"),
    ],
)
def test_what_an_origin_lists(listed: str, path: str, yes: bool) -> None:
    """A listed path that ends in a slash is a prefix, any other is one exact path."""
    assert Origin(url=HOST, paths=(listed,)).lists(path) is yes


def test_the_url_of_an_archive_may_lack_its_scheme() -> None:
    """An archive that is written without a scheme is shown with https, whatever its query is."""
    assert CatalogEntry(url="data.example.org/a?b=1", sha256=("ab" * 32,)).shown == "https://data.example.org/a?b=1"


def test_an_origin_without_paths_lists_nothing() -> None:
    """Nothing may be mirrored from an origin that names no paths."""
    assert not Origin(url=HOST).lists("/")


@pytest.mark.parametrize(
    ("url", "scheme", "authority"),
    [
        pytest.param("https://Data.Example.org", "https", "data.example.org", id="https"),
        pytest.param("https://data.example.org/", "https", "data.example.org", id="with a slash"),
        pytest.param("http://data.example.org:80", "http", "data.example.org", id="own port"),
        pytest.param("http://data.example.org:8000", "http", "data.example.org:8000", id="another port"),
        pytest.param("https://data.example.org.:443/", "https", "data.example.org", id="trailing dot and own port"),
        pytest.param("https://BÜCHER.example", "https", "xn--bcher-kva.example", id="U-label"),
    ],
)
def test_scheme_and_authority(url: str, scheme: str, authority: str) -> None:
    """An origin's URL gives the way to fetch and the authority that identifies it."""
    origin = Origin(url=url)
    assert (origin.scheme, origin.authority) == (scheme, authority)
    assert origin.url.rstrip("/") == f"{scheme}://{authority}"
    assert origin.url_of(ArchiveId(authority, "/a", "v=1")) == f"{scheme}://{authority}/a?v=1"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        pytest.param({"url": f"{HOST}/a"}, "scheme and host only", id="url with a path"),
        pytest.param({"url": f"{HOST}?a"}, "scheme and host only", id="url with a query"),
        pytest.param({"url": "https://me@data.example.org"}, "user name or password", id="url with userinfo"),
        pytest.param({"url": "ftp://data.example.org"}, "not an http or https URL", id="another scheme"),
        pytest.param({"url": "https://[::1"}, "is not a URL", id="no URL"),
        pytest.param({"url": HOST, "paths": [""]}, "begins with a slash", id="empty path"),
        pytest.param({"url": HOST, "paths": ["a/"]}, "begins with a slash", id="relative path"),
        pytest.param({"url": HOST, "paths": ["/a/../"]}, "segment '.' or '..'", id="path with dots"),
        pytest.param({"url": HOST, "paths": "/a/"}, "valid tuple", id="one path as text"),
        pytest.param({"url": HOST, "connections": 0}, "greater than or equal to 1", id="no connections"),
        pytest.param({"url": HOST, "connections": 65}, "less than or equal to 64", id="too many connections"),
        pytest.param({"url": HOST, "path": ["/a/"]}, "Extra inputs", id="unknown key"),
        pytest.param({}, "Field required", id="no url"),
    ],
)
def test_a_wrong_origin_is_refused(wrong: dict[str, object], message: str) -> None:
    """A wrong key or value of an origin says what is wrong."""
    with pytest.raises(ValidationError, match=message.replace(".", r"\.")):
        Origin.model_validate(wrong)


@pytest.mark.parametrize("digests", [SHA256, [SHA256], [SHA256.lower()]], ids=["text", "list", "lower case"])
def test_digests_are_lists_in_lower_case(digests: object) -> None:
    """One digest may stand alone; digests are compared in lower case."""
    known = CatalogEntry.model_validate({"url": f"{HOST}/a", "sha256": digests})
    assert known.sha256 == (SHA256.lower(),)
    assert known.has_digest


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        pytest.param({"sha256": MD5}, "64 hexadecimal digits", id="an MD5 as SHA-256"),
        pytest.param({"md5": SHA256}, "32 hexadecimal digits", id="a SHA-256 as MD5"),
        pytest.param({"sha256": "g" * 64}, "64 hexadecimal digits", id="letters"),
        pytest.param({"sha256": [SHA256, ""]}, "64 hexadecimal digits", id="one of two"),
        pytest.param({"size": -1}, "greater than or equal to 0", id="negative size"),
        pytest.param({"url": "data.example.org\n"}, "control character", id="line end in the url"),
        pytest.param({"digest": SHA256}, "Extra inputs", id="unknown key"),
    ],
)
def test_a_wrong_entry_is_refused(wrong: dict[str, object], message: str) -> None:
    """A wrong key or value of a catalog entry says what is wrong."""
    with pytest.raises(ValidationError, match=message):
        CatalogEntry.model_validate({"url": f"{HOST}/a", **wrong})


def test_an_entry_without_digest_says_so() -> None:
    """An entry may only name an archive; its URL is normalised to the archive's identity."""
    known = CatalogEntry(url=f"{HOST}:443/%7Ea")
    assert not known.has_digest
    assert known.archive == ArchiveId("data.example.org", "/~a")


def test_models_do_not_change() -> None:
    """Origins, entries and presets are frozen: a reload makes new ones."""
    for model, name in ((Origin(url=HOST), "url"), (CatalogEntry(url=HOST), "size"), (Preset(), "origins")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(model, name, None)
