"""Reading presets: those that ship with the mirror, and files of one's own."""

from pathlib import Path

import pytest

from dataset_mirror.errors import UsageError
from dataset_mirror.origins.asked import asked
from dataset_mirror.origins.identity import parse_url
from dataset_mirror.origins.presets import read_preset, shipped
from dataset_mirror.origins.table import Origins

OWN = """
[[origins]]
url = "https://data.example.org"
paths = ["/sets/"]

[[archives]]
url = "https://data.example.org/sets/é.zip"
name = "lab/e"
"""


def test_shipped_presets_are_read_by_name(tmp_path: Path) -> None:
    """Each shipped preset can be read by its name alone, wherever the configuration is."""
    assert {"huggingface", "keras", "keras-legacy", "tfds", "torch", "scikit-learn", "github"} <= set(shipped())
    for name in shipped():
        preset = read_preset(name, tmp_path)
        assert preset.origins
        assert preset.about
        assert list(Origins([preset]).catalog) or any(origin.rules for origin in preset.origins)


@pytest.mark.parametrize("name", ["lab.toml", "./lab.toml", "presets/lab", "../lab.toml"])
def test_an_own_preset_is_read_by_its_path(name: str, tmp_path: Path) -> None:
    """A path is taken relative to the configuration's folder; it ends in .toml or has a slash."""
    folder = tmp_path / "folder"
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(OWN, encoding="utf-8")
    preset = read_preset(name, folder)
    assert [origin.authority for origin in preset.origins] == ["data.example.org"]
    assert [entry.archive.path for entry in preset.archives] == ["/sets/%C3%A9.zip"]


def test_an_own_preset_is_read_by_its_absolute_path(tmp_path: Path) -> None:
    """An absolute path does not depend on the configuration's folder."""
    (tmp_path / "lab.toml").write_text(OWN, encoding="utf-8")
    assert read_preset(str(tmp_path / "lab.toml"), tmp_path / "elsewhere").origins


def test_an_own_file_never_hides_a_shipped_preset(tmp_path: Path) -> None:
    """A bare name is a shipped preset, even beside a file of that name."""
    (tmp_path / "keras").write_text(OWN, encoding="utf-8")
    assert read_preset("keras", tmp_path) != read_preset("./keras", tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"[[origins]\n", "is not valid TOML: .*line 1", id="not TOML"),
        pytest.param(b"\xff\xfe", "cannot be read: .*utf-8", id="not text"),
        pytest.param(b"[[origins]]\nurl = 'https://a.example.org/x'\n", r"wrong value at origins\.0: .*scheme and host only", id="origin"),
        pytest.param(b"[[archives]]\nurl = 'https://a.org/b'\nsha256 = 'ab'\n", r"wrong value at archives\.0\.sha256: .*64", id="digest"),
        pytest.param(b"[settings]\nport = 1\n", "wrong value at settings: ", id="unknown table"),
        pytest.param(
            b"about = 'x'\n[[origins]]\nurl = 'https://a.org'\npaths = ['/b/']\nspeed = 1\n",
            r"origins\.0\.speed: .*line 5",
            id="unknown key",
        ),
        pytest.param(
            b"[[origins]]\nurl = 'https://a.org'\nredirects_to = ['*.com']\n", r"other organisations.*line 3", id="hosts of others"
        ),
        pytest.param(
            b"[[origins]]\nurl = 'https://a.org'\npaths = ['/b/', '/c', '/b/']\n", r"lists a\.org/b/ twice.*line", id="a path twice"
        ),
        pytest.param(
            b"[[origins]]\nurl = 'https://a.org'\npaths = ['/b/']\n[[origins.rules]]\nmatch = '/b/*'\nlfs = true\n",
            r"ends? in /batch.*line",
            id="no batch API",
        ),
        pytest.param(
            b"[[names]]\nname = 'x:*'\norigin = 'https://a.org'\nrevision = '/{scope}'\ntree = { ask = '/{scope}/{commit}' }\n"
            b"file = '/{scope}/{commit}/{path}'\n",
            r"names\.0\.revision: .*\{ref\}.*line 4",
            id="a name without a revision",
        ),
        pytest.param(
            b"[[names]]\nname = 'x:*'\norigin = 'https://b.org'\nrevision = '/{scope}/{ref}'\ntree = { ask = '/{scope}/{commit}' }\n"
            b"file = '/{scope}/{commit}/{path}'\n[[origins]]\nurl = 'https://a.org'\n",
            r"https://b\.org, which is none of its origins",
            id="names of another origin",
        ),
        pytest.param(
            b"[[names]]\nname = 'x:*'\norigin = 'https://a.org'\nrevision = '/{scope}/{ref}'\ntree = { ask = '/{scope}/{commit}' }\n"
            b"file = '/{scope}/{commit}/{path}'\n[[origins]]\nurl = 'https://a.org'\npaths = ['/']\n",
            r"no rule has a `scope`",
            id="names without a scope",
        ),
    ],
)
def test_a_wrong_preset_is_refused_in_one_sentence(content: bytes, message: str, tmp_path: Path) -> None:
    """The error names the preset, the place in it, and what is wrong, on one line."""
    (tmp_path / "lab.toml").write_bytes(content)
    with pytest.raises(UsageError, match=f"^The preset lab.toml .*{message}") as caught:
        read_preset("lab.toml", tmp_path)
    assert "\n" not in str(caught.value)
    assert caught.value.hint


def test_a_preset_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A path without a file says which path was tried."""
    with pytest.raises(UsageError, match=r"cannot be read: .*No such file") as caught:
        read_preset("lab.toml", tmp_path)
    assert str(tmp_path / "lab.toml") in str(caught.value)


@pytest.mark.parametrize("name", ["keros", "", "keras.py"])
def test_an_unknown_name_lists_the_shipped_presets(name: str, tmp_path: Path) -> None:
    """A name that does not ship is refused with the names that do."""
    with pytest.raises(UsageError, match="There is no preset") as caught:
        read_preset(name, tmp_path)
    assert "keras, keras-legacy" in caught.value.hint


def test_a_preset_of_ones_own_has_no_catalog_file(tmp_path: Path) -> None:
    """Nothing checks the lines of such a file as they are read, so only the mirror's own presets have one."""
    (tmp_path / "lab.toml").write_text('catalog = "lab.tsv"\n')
    with pytest.raises(UsageError, match=r"lab\.toml has a `catalog`"):
        read_preset("lab.toml", tmp_path)


def test_a_preset_has_no_credentials(tmp_path: Path) -> None:
    """A preset with `headers` is refused: it could send any variable of the environment to its own host."""
    (tmp_path / "lab.toml").write_text('[[origins]]\nurl = "https://data.example.org"\nheaders = { X = "secret" }\n')
    with pytest.raises(UsageError, match=r"lab\.toml has `headers`.*mirror\.toml") as caught:
        read_preset("lab.toml", tmp_path)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "field"),
    [
        ("https://zenodo.org/records/1/files/a.zip", "token"),
        ("https://zenodo.org/records/1/files/a.zip", "access_token"),
        ("https://zenodo.org/api/records/1/files/a.zip/content", "access_token"),
        ("https://zenodo.org/api/files/0-1/a.zip", "access_token"),
        ("https://ndownloader.figshare.com/files/1", "private_link"),
        ("https://ndownloader.figshare.com/files/1", "token"),
        ("https://figshare.com/ndownloader/files/1", "access_token"),
        ("https://raw.githubusercontent.com/a/b/main/c", "token"),
    ],
)
def test_what_a_token_opened_is_not_what_others_ask_for(url: str, field: str) -> None:
    """A file that was fetched with somebody's token in its URL is kept for that URL only, and its name does not have the token."""
    origins = Origins(read_preset(name, Path()) for name in ("zenodo", "figshare", "github"))
    plain, opened = (asked(origins.of(archive), archive).archive for archive in (parse_url(url), parse_url(f"{url}?{field}=s3cr3tValue")))
    assert opened != plain
    assert "s3cr3tValue" not in str(opened)
