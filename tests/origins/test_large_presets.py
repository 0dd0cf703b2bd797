"""Presets of packages' own lists: what their files say, how it is found, and that their scripts made them."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from dataset_mirror.errors import MirrorError
from dataset_mirror.origins.catalog_file import CatalogFile
from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.origins.presets import read_preset, shipped
from dataset_mirror.origins.presets.source import gensim, nltk, writing
from dataset_mirror.origins.presets.source.writing import Made, Row, folders, preset_files
from dataset_mirror.origins.table import Origins

FOLDER = writing.PRESETS
FILES = sorted(FOLDER.glob("*.tsv"))
EVERY = [read_preset(name, Path()) for name in shipped()]
ALL = Origins(EVERY)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_lines_are_well_formed_and_sorted(file: Path) -> None:
    """Each line of a catalog file has a normal URL, a name of its preset, a size, and digests or nothing; sorted by bytes."""
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    keys = [line.partition("\t")[0].encode() + b"\t" for line in lines]
    assert keys == sorted(keys)
    for line in lines:
        key, name, size, sha256, md5 = line.split("\t")
        archive = parse_url(f"https://{key}")
        assert archive.authority + archive.target == key
        assert name.startswith(f"{file.stem}/")
        assert re.fullmatch(r"\d*", size)
        assert re.fullmatch(r"([0-9a-f]{64})?", sha256)
        assert re.fullmatch(r"([0-9a-f]{32})?", md5)


def test_every_archive_is_found_and_allowed() -> None:
    """Each archive of each file is found by its URL and by its name, and an origin of its preset lists it."""
    for preset in EVERY:
        origins = Origins([preset])
        for entry in origins.catalog:
            assert origins.expected(entry.archive) is not None
            assert origins.of(entry.archive)
    assert {entry.url for entry in ALL.named("torch/mnist")} == {
        f"https://ossci-datasets.s3.amazonaws.com/mnist/{part}-ubyte.gz"
        for part in ("t10k-images-idx3", "t10k-labels-idx1", "train-images-idx3", "train-labels-idx1")
    }


def test_what_a_file_lacks_is_not_found(tmp_path: Path) -> None:
    """Neighbours of what is there, beginnings of it, and what comes before and after all of it are not found."""
    (tmp_path / "lab.tsv").write_text("# made\n" + "".join(f"b.org/{letter}{letter}\tlab/{letter}\t1\t\t\n" for letter in "bdf"))
    file = CatalogFile(tmp_path / "lab.tsv", {"b.org": "http"})
    for path in ("/a", "/b", "/bbb", "/cc", "/ee", "/ff0", "/zz"):
        assert file.find(ArchiveId("b.org", path)) is None
    assert [file.find(ArchiveId("b.org", f"/{letter}{letter}")) is not None for letter in "bdf"] == [True] * 3
    assert [entry.url for entry in file] == ["http://b.org/bb", "http://b.org/dd", "http://b.org/ff"]
    assert (file.named("lab/d")[0].size, file.named("lab/x")) == (1, [])


def test_an_operators_entry_completes_one_of_a_file() -> None:
    """An entry of mirror.toml without digests keeps those that the preset knows; one with digests replaces them."""
    (known,) = ALL.named("scipy/face")
    noted = known.model_copy(update={"note": "ours", "sha256": (), "size": None})
    mine = type(known)(url=known.url, note="ours")
    assert Origins(EVERY, archives=[mine]).expected(known.archive) == known.model_copy(update={"note": "ours"})
    other = type(known)(url=known.url, sha256="ab" * 32)
    found = Origins(EVERY, archives=[other]).expected(known.archive)
    assert found is not None
    assert (found.sha256, found.name, noted.note) == (("ab" * 32,), "scipy/face", "ours")


def test_nothing_is_read_before_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """All presets together are set up without opening one catalog file."""
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("a file was opened"))
    origins = Origins(EVERY)
    assert origins.get("pypi.org") is not None
    assert origins.expected(parse_url("https://pypi.org/simple/numpy/")) is None


def test_all_presets_can_be_on_at_once() -> None:
    """No rule is idle, a preset's rules do not switch off another's, and names do not collide."""
    assert ALL.idle_rules() == []
    assert len(list(ALL.names)) == sum(len(list(Origins([preset]).names)) for preset in EVERY)
    for path in ("/pytorch/vision/zipball/v0.10.0", "/a/b/releases/download/v1/x.zip", "/a/b/archive/main.tar.gz"):
        for order in (("github", "torch"), ("torch", "github")):
            origin = Origins([read_preset(name, Path()) for name in order]).get("github.com")
            assert origin is not None
            matched = origin.rule(path)
            assert matched is not None
            assert matched.rule.store


@pytest.mark.parametrize(
    ("url", "stored"),
    [
        ("https://zenodo.org/records/1234/files/x.zip?download=1", True),
        ("https://zenodo.org/login", False),
        ("https://doi.org/10.5281/zenodo.1234", False),
        ("https://pypi.org/simple/numpy/", True),
        ("https://pypi.org/account/", False),
        ("https://github.com/a/b/info/refs?service=git-upload-pack", False),
        ("https://github.com/a/b/releases/download/v1/x.zip", True),
        ("https://www.openml.org/data/v1/download/61/iris.arff", True),
        ("https://www.openml.org/api/v1/json/data/61", True),
        ("https://www.kaggle.com/api/v1/competitions/data/download-all/x", False),
        ("https://www.kaggle.com/api/v1/datasets/download/a/b", True),
    ],
)
def test_what_rules_keep(url: str, stored: bool) -> None:
    """Files are kept; logins, uploads, redirects of DOIs and the like are passed on."""
    archive = parse_url(url)
    matched = ALL.of(archive).rule(archive.path)
    assert matched is not None
    assert matched.rule.store == stored


def test_digests_in_the_names_of_weights() -> None:
    """The weights of download.pytorch.org have the beginning of their SHA-256 in the name, which a rule says."""
    found = {entry.archive for entry in Origins([read_preset("torch", Path())]).catalog}
    weights = [archive for archive in found if archive.authority == "download.pytorch.org"]
    assert (len(weights), sum(map(ALL.has_digest_in_url, weights))) == (166, 162)


@pytest.mark.parametrize("module", [nltk, gensim])
def test_scripts_with_lists_made_them(module: object) -> None:
    """The presets whose lists lie beside their scripts are what these make."""
    assert module.main(["--check"]) == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("script", ["tfds", "torch", "scikit_learn", "pooch scipy", "pooch scikit-image"])
def test_scripts_with_packages(script: str) -> None:
    """The presets made of packages are what their scripts make of the installed ones; what is not installed is said, not failed."""
    module, *arguments = script.split()
    package = {"tfds": "tensorflow_datasets", "torch": "torchvision", "scikit_learn": "sklearn"}.get(
        module, arguments[-1] if arguments else ""
    )
    command = [sys.executable, "-m", f"dataset_mirror.origins.presets.source.{module}", *arguments, "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{package} is installed here in another version than the one that the preset was made of: {done.stderr}")
    assert done.stderr == "" or "skipped" in done.stderr


def test_check_names_what_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--check` fails and names the file that is not what its script makes."""
    gensim_files = preset_files("gensim", gensim.make())
    (tmp_path / "loaders").mkdir()
    for name, text in gensim_files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert writing.run("gensim", gensim.make, ["--check"], tmp_path) == 0
    (tmp_path / "gensim.tsv").write_text("# other\n", encoding="utf-8")
    assert writing.run("gensim", gensim.make, ["--check"], tmp_path) == 1
    assert capsys.readouterr().err.startswith("gensim.tsv is not what its script makes")


def test_folders() -> None:
    """Origins list the folders of their archives, shorter ones if these are too many, and files in the root by themselves."""
    assert folders(["/a/b/c.zip", "/a/b/d.zip", "/e.zip"]) == ["/a/b/", "/e.zip"]
    many = folders([f"/sets/{number}/x.zip" for number in range(100)])
    assert many == ["/sets/"]
    made = Made("about", "note", [Row("http://a.org/x/y.zip", "lab/y", 3)])
    assert 'url = "http://a.org"\npaths = ["/x/"]' in preset_files("lab", made)["lab.toml"]


def test_rows_of_tfds() -> None:
    """Both spellings of a line of checksums are read; comments and ftp URLs are left out."""
    row_of = import_module("dataset_mirror.origins.presets.source.tfds").row_of
    assert row_of(f"https://a.org/x 12 {'ab' * 32}", "x") == Row("https://a.org/x", "tfds/x", 12, "ab" * 32)
    assert row_of("# comment of three words", "x") is None
    assert row_of(f"ftp://a.org/x\t12\t{'ab' * 32}", "x") is None
    with pytest.raises(MirrorError):
        parse_url("ftp://a.org/x")


@pytest.mark.parametrize(
    ("preset", "file", "url"),
    [
        (
            "scikit-image",
            "palette_color.png",
            "gitlab.com/scikit-image/data/-/raw/5c090b56df3988d988ff97928e2ef2d2cbe38e1b/palette_color.png",
        ),
        ("nltk", "nombank.1.0.zip", "raw.githubusercontent.com/nltk/nltk_data/gh-pages/packages/corpora/nombank.1.0.zip"),
    ],
)
def test_the_name_of_a_file_means_it_once(preset: str, file: str, url: str) -> None:
    """A file is found by its name once, also where its data set is called like it."""
    assert [str(archive) for archive in Origins([read_preset(preset, Path())]).meant(file)] == [url]


def test_the_name_of_a_file_with_a_query() -> None:
    """A query is no part of a file's name, in large presets as in small ones."""
    known = Origins([read_preset("tfds", Path())])
    entry = next(entry for entry in known.catalog if "?" in entry.url and "." in entry.archive.name)
    assert entry.archive in known.meant(entry.archive.name)
