"""The origins and the catalog of one configuration: how presets and settings add up, and what is found in them."""

import tomllib
from fnmatch import fnmatchcase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_mirror.errors import BadRequest, NotAllowed, UsageError
from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.origins.model import CatalogEntry, Origin, Preset
from dataset_mirror.origins.presets import read_preset, shipped
from dataset_mirror.origins.table import Origins

A, B, C = "a" * 64, "b" * 64, "c" * 64
HOST = "https://data.example.org"


def entry(name: str, url: str = "", **facts: object) -> CatalogEntry:
    return CatalogEntry.model_validate({"name": name, "url": url or f"{HOST}/sets/{name or 'x'}.zip", **facts})


# Origins


def test_a_later_origin_extends_an_earlier_one_of_the_same_host() -> None:
    """Paths and redirect hosts add up; other keys are replaced if they are set, and stay if not."""
    preset = Preset(origins=(Origin(url=HOST, paths=("/a/", "/b/"), redirects_to=("cdn.example.org",), connections=2, allow_private=True),))
    mine = Origin(url="https://DATA.example.org:443", paths=("/b/", "/c/"), redirects_to=("cdn2.example.org",), connections=8)
    origins = Origins([preset], [mine])
    (only,) = origins
    assert only.paths == ("/a/", "/b/", "/c/")
    assert only.redirects_to == ("cdn.example.org", "cdn2.example.org")
    assert (only.connections, only.allow_private) == (8, True)


def test_presets_extend_each_other_in_order() -> None:
    """Of two presets the later one's keys win, as the settings' do over both."""
    presets = [Preset(origins=(Origin(url=HOST, paths=(f"/{n}/",), connections=n),)) for n in (1, 2)]
    assert [origin.connections for origin in Origins(presets)] == [2]
    assert [origin.connections for origin in Origins(presets, [Origin(url=HOST, connections=3)])] == [3]


def test_the_scheme_is_no_part_of_the_host() -> None:
    """One origin per authority: http and https of one host are one origin, and the later scheme is used."""
    (only,) = Origins([Preset(origins=(Origin(url="http://data.example.org", paths=("/a/",)),))], [Origin(url=HOST)])
    assert (only.scheme, only.paths) == ("https", ("/a/",))


def test_another_port_is_another_origin() -> None:
    """An unusual port makes an origin of its own."""
    origins = Origins([], [Origin(url=HOST), Origin(url=f"{HOST}:8443")])
    assert [origin.authority for origin in origins] == ["data.example.org", "data.example.org:8443"]
    assert origins.get("data.example.org:443") is None


def test_shared_bare_paths_are_told() -> None:
    """Paths without a bare form are those that two origins list, one inside the other or equal."""
    origins = Origins(
        [],
        [
            Origin(url="https://one.example.org", paths=("/a/", "/same/", "/alone/")),
            Origin(url="https://two.example.org", paths=("/a/b/", "/same/", "/other/")),
        ],
    )
    assert origins.ambiguities() == ["/a/b/", "/same/"]


# The catalog


@pytest.mark.parametrize(
    ("known", "mine", "sha256", "md5", "size"),
    [
        pytest.param({"sha256": A, "size": 5}, {"sha256": B}, (B,), (), None, id="another digest drops the size"),
        pytest.param({"sha256": A, "size": 5}, {"sha256": B, "size": 6}, (B,), (), 6, id="digest and size"),
        pytest.param({"md5": "a" * 32, "size": 5}, {"sha256": B}, (B,), (), None, id="another algorithm drops the old digest"),
        pytest.param({"sha256": A}, {"sha256": [A, B]}, (A, B), (), None, id="several digests"),
        pytest.param({"sha256": A, "size": 5}, {"note": "ours"}, (A,), (), 5, id="no digest keeps all"),
        pytest.param({"sha256": A, "size": 5}, {"size": 6}, (A,), (), 6, id="only the size"),
        pytest.param({"sha256": A}, {"md5": "c" * 32}, (), ("c" * 32,), None, id="an MD5 replaces a SHA-256"),
    ],
)
def test_an_operator_overrides_a_digest(
    known: dict[str, object], mine: dict[str, object], sha256: tuple[str, ...], md5: tuple[str, ...], size: int | None
) -> None:
    """An entry of the settings replaces all digests of the preset's for that URL, and leaves what it does not say."""
    url = f"{HOST}/a.zip"
    preset = Preset(archives=(entry("keras/a", url, keras_home=["datasets/a.zip"], **known),))
    origins = Origins([preset], archives=[CatalogEntry.model_validate({"url": "http://data.example.org/%61.zip", **mine})])
    (found,) = origins.catalog
    assert (found.sha256, found.md5, found.size) == (sha256, md5, size)
    assert (found.name, found.keras_home) == ("keras/a", ("datasets/a.zip",))
    assert origins.expected(found.archive) is found


def test_an_unknown_archive_has_no_expectations() -> None:
    """Nothing is expected of an archive that the catalog does not have; a query makes another archive."""
    origins = Origins([Preset(archives=(entry("a"),))])
    known = entry("a").archive
    assert origins.expected(known) is not None
    assert origins.expected(ArchiveId(known.authority, known.path, "v=1")) is None


# Selecting

NAMES = ["keras/mnist", "keras/cifar10", "keras/applications/vgg16", "other/mnist", ""]
CATALOG = Origins(
    [Preset(origins=(Origin(url=HOST, paths=("/sets/",)),), archives=tuple(entry(name) for name in NAMES))],
    archives=[entry("keras/mnist", f"{HOST}/sets/second.zip")],
)


def selected(wanted: str) -> list[str]:
    return [archive.path.removeprefix("/sets/").removesuffix(".zip") for archive in CATALOG.select(wanted)]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        pytest.param("keras/cifar10", ["keras/cifar10"], id="name"),
        pytest.param("keras/mnist", ["keras/mnist", "second"], id="name of several files"),
        pytest.param("keras/c*", ["keras/cifar10"], id="glob"),
        pytest.param("keras/*", ["keras/mnist", "keras/cifar10", "keras/applications/vgg16", "second"], id="glob over all levels"),
        pytest.param("*/mnist", ["keras/mnist", "other/mnist", "second"], id="glob of the beginning"),
        pytest.param("keras/cifar[0-9]?", ["keras/cifar10"], id="classes"),
        pytest.param(f"{HOST}/sets/new.zip", ["new"], id="URL of a listed path"),
        pytest.param("http://DATA.example.org:80/sets/%6Eew.zip", ["new"], id="URL in another spelling"),
    ],
)
def test_select(wanted: str, found: list[str]) -> None:
    """A name, a glob of names or a URL means archives, in the order of the catalog."""
    assert selected(wanted) == found


@settings(deadline=None)
@given(st.text(alphabet="kerasmnist*/?c1", max_size=12))
def test_selecting_is_filtering_by_name(wanted: str) -> None:
    """A word finds exactly the named entries that match it; a glob that none matches, the files that do; none is an error."""
    expected = [found.archive for found in CATALOG.catalog if found.name and fnmatchcase(found.name, wanted)]
    if not expected and "/" not in wanted and set(wanted) & set("*?"):
        expected = [found.archive for found in CATALOG.catalog if fnmatchcase(found.archive.name, wanted)]
    if expected:
        assert CATALOG.select(wanted) == expected
    else:
        with pytest.raises(UsageError):
            CATALOG.select(wanted)


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        pytest.param("keras/mnits", "Did you mean keras/mnist", id="typing error"),
        pytest.param("vgg16", "Did you mean keras/applications/vgg16?", id="a part of a name"),
        pytest.param("###", "Give a name such as keras/mnist, a glob such as 'keras/*', or a URL.", id="nothing near"),
    ],
)
def test_an_unknown_name_gets_a_hint(wanted: str, hint: str) -> None:
    """A name that is not in the catalog is a usage error that names what was probably meant."""
    with pytest.raises(UsageError, match="has no archive named") as caught:
        CATALOG.select(wanted)
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        pytest.param(f"{HOST}/other/a.zip", NotAllowed, id="unlisted path"),
        pytest.param("https://evil.example.org/sets/a.zip", NotAllowed, id="unlisted host"),
        pytest.param("ftp://data.example.org/sets/a.zip", BadRequest, id="another scheme"),
        pytest.param("https://[::1/a", BadRequest, id="no URL"),
    ],
)
def test_a_url_that_may_not_be_mirrored_is_refused(wanted: str, error: type[Exception]) -> None:
    """A URL selects only what an origin lists."""
    with pytest.raises(error):
        CATALOG.select(wanted)


def test_the_refusal_of_an_unknown_host_says_what_allows_it() -> None:
    """The 403 names the host, the command, and the lines for mirror.toml."""
    with pytest.raises(NotAllowed) as caught:
        CATALOG.of(ArchiveId("new.example.org", "/a/b/c.zip", "v=1"))
    refused = caught.value
    assert refused.status == 403
    assert str(refused) == (
        "No origin is named new.example.org. To allow it, run: dataset-mirror add 'https://new.example.org/a/b/c.zip?v=1' — "
        'or write into mirror.toml: [[origins]] url = "https://new.example.org" paths = ["/a/b/"]'
    )
    assert refused.facts == {
        "archive": "https://new.example.org/a/b/c.zip?v=1",
        "command": "dataset-mirror add 'https://new.example.org/a/b/c.zip?v=1'",
        "configuration": ["[[origins]]", 'url = "https://new.example.org"', 'paths = ["/a/b/"]'],
    }


def test_a_host_that_is_misspelt() -> None:
    """The refusal of a host that is almost one of the origins' names that one, too."""
    origins = Origins([], [Origin(url="https://storage.googleapis.com", paths=("/sets/",))])
    for host, meant in (("storage.gogleapis.com", True), ("data.example.org", False)):
        with pytest.raises(NotAllowed) as refused:
            origins.of(parse_url(f"https://{host}/sets/a.zip"))
        assert ("Did you mean storage.googleapis.com?" in refused.value.hint) == meant
        assert f"dataset-mirror add 'https://{host}/sets/a.zip'" in refused.value.hint


def test_the_refusal_of_an_unlisted_path_keeps_the_origins_scheme() -> None:
    """Where the host is known the 403 says that only the path is missing, with the URL as that origin has it."""
    origins = Origins([], [Origin(url="http://old.example.org:8000", paths=("/a/",))])
    with pytest.raises(NotAllowed, match=r"^The origin old\.example\.org:8000 does not list /b\.zip\.") as caught:
        origins.of(ArchiveId("old.example.org:8000", "/b.zip"))
    assert caught.value.facts["configuration"] == ["[[origins]]", 'url = "http://old.example.org:8000"', 'paths = ["/b.zip"]']


@pytest.mark.parametrize("path", ["/a/b/c.zip", '/x/","/","/y/c.zip'])
def test_the_lines_of_a_refusal_do_allow_the_archive(path: str) -> None:
    """Writing the lines of the 403 into mirror.toml is enough, and allows no other folder, whatever the path is made of."""
    archive = ArchiveId("new.example.org", path)
    with pytest.raises(NotAllowed) as caught:
        CATALOG.of(archive)
    lines = caught.value.facts["configuration"]
    assert isinstance(lines, list)
    added = Preset.model_validate(tomllib.loads("\n".join(lines)))
    origin = Origins([added]).of(archive)
    assert origin.authority == "new.example.org"
    assert origin.paths == (f"{path.rpartition('/')[0]}/",)


def test_every_archive_of_the_shipped_presets_may_be_mirrored(tmp_path_factory: pytest.TempPathFactory) -> None:
    """With all shipped presets together each archive of the catalog is listed by an origin."""
    origins = Origins(read_preset(name, tmp_path_factory.getbasetemp()) for name in shipped())
    assert len([origins.of(found.archive) for found in origins.catalog]) > 100
