"""The words that people type for archives, in every verb that takes them: names, globs, file names, names of repositories, URLs."""

import json
import shutil
from collections.abc import Iterator
from contextvars import copy_context
from importlib import import_module
from pathlib import Path

import pytest
from click import Command
from click.testing import CliRunner, Result

from dataset_mirror.errors import UsageError
from tests import warm
from tests.clients.hub import MODEL
from tests.imitations.huggingface import Hub
from tests.serving import environment
from tests.test_readme import BOSTON, FILE

NAMED, FREE = f"https://storage.googleapis.com{BOSTON}", "https://data.example.org/sets/free.zip"
REPOSITORY = "https://huggingface.co/"
WORDS = {
    "keras/boston_housing": NAMED,
    "boston_housing.npz": NAMED,
    "bost*": NAMED,
    NAMED[8:]: NAMED,
    "hf:org/model": REPOSITORY,
    "hf:org/model@main": REPOSITORY,
    "https://huggingface.co/org/model": REPOSITORY,
    FREE[8:]: FREE,
}
STORED = {"free.zip": FREE, "fr*": FREE, "data.example.org/s*/f*.zip": FREE, "hf:org/*": REPOSITORY}
"""Words for what is stored, which no catalog knows."""
VERBS = {
    "ls": WORDS | STORED,
    "verify": WORDS | STORED,
    "export out.tar": WORDS | STORED,
    "pin": WORDS | STORED,
    "unpin": WORDS | STORED,
    "rm --yes": WORDS | STORED,
    "fetch": WORDS,
    "check": WORDS,
    "explain": {word: url for word, url in WORDS.items() if "*" not in word},
    "wanted": {word: url for word, url in WORDS.items() if word != "hf:org/model@main"} | STORED,
    "keras-home home": {word: url for word, url in WORDS.items() if url == NAMED},
}
ASKED = [(verb, word, url) for verb, words in VERBS.items() for word, url in words.items()]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with an archive of the catalog, one that no catalog knows, and a repository."""
    root = tmp_path_factory.mktemp("words")
    known = environment(root, settings(root / "data"))
    (root / "data.example.org" / "sets").mkdir(parents=True)
    (root / "data.example.org" / "sets" / "free.zip").write_bytes(b"PK free" * 9)
    with Hub() as hub:
        hub.repository("org/model", MODEL)
        fetching = environment(root, settings(root / "data") | {"upstreams": hub.upstreams, "offline": False})
        assert warm.run("fetch", "hf:org/model", cwd=root, env=fetching).returncode == 0
    assert warm.run("adopt", FILE, root / "data.example.org", cwd=root, env=known).returncode == 0
    return root / "data"


@pytest.fixture(scope="module")
def lacking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose wanted list has the same archives."""
    root = tmp_path_factory.mktemp("lacking")
    known = environment(root, settings(root / "data"))
    assert warm.run("pin", "keras/mnist", cwd=root, env=known).returncode == 0
    assert warm.run("check", "--want", NAMED, FREE, "hf:org/model", cwd=root, env=known).returncode == 1
    return root / "data"


def settings(data: Path) -> dict[str, object]:
    origins = [{"url": "https://data.example.org", "paths": ["/sets/"]}]
    return {"data": str(data), "presets": ["keras", "huggingface"], "origins": origins, "offline": True}


@pytest.fixture
def folder(kept: Path, lacking: Path, tmp_path: Path, verb: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The one that a verb works on; `rm` gets a copy of its own."""
    data = lacking if verb == "wanted" else kept
    if verb == "rm --yes":
        data = Path(shutil.copytree(kept, tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    for key, value in environment(tmp_path, settings(data)).items():
        monkeypatch.setenv(key, value)
    yield data
    (data / "pins.json").unlink(missing_ok=True)


def invoked(command: Command, words: list[str]) -> Result:
    """What a command does here, in a context of its own: who acts in it is nobody who acts in other tests."""
    return copy_context().run(CliRunner().invoke, command, words)


def run(verb: str, *words: str) -> list[dict[str, object]]:
    """The objects that a command prints as JSON; it has to succeed."""
    name, *more = verb.split()
    done = invoked(import_module(f"dataset_mirror.cli.{name.replace('-', '_')}").command, [*more, *words, "--json"])
    assert (done.exception, done.exit_code) == (None, 0), (done.output, done.exception)
    lines = [done.stdout] if verb == "explain" else done.stdout.splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


@pytest.mark.parametrize(("verb", "word", "url"), ASKED, ids=[f"{verb} {word}" for verb, word, _ in ASKED])
def test_a_word(folder: Path, verb: str, word: str, url: str) -> None:
    """A word means the same archives in every verb, of a data folder that nobody serves."""
    assert folder.is_dir()
    if verb == "unpin":
        run("pin", word)
    found = [str(one.get("url") or one.get("name")) for one in run(verb, word) if one.get("url") or one.get("name")]
    assert found
    if url == REPOSITORY:
        assert all(one.startswith((REPOSITORY, "hf:org/")) for one in found)
    else:
        assert all(one == url or (verb in ("pin", "unpin") and one == word) for one in found)


@pytest.mark.parametrize("verb", ["rm --yes"])
@pytest.mark.parametrize("word", ["boston_housing.npz", "fr*", f"{REPOSITORY}org/model/resolve/main/config.json"])
def test_a_pinned_file_stays(folder: Path, verb: str, word: str) -> None:
    """What is pinned by a file's name, or as a file of a branch, is not removed."""
    assert folder.is_dir()
    run("pin", word)
    done = invoked(import_module("dataset_mirror.cli.rm").command, ["--yes", word])
    assert isinstance(done.exception, UsageError)
    assert "is pinned" in done.exception.detail


@pytest.mark.parametrize("verb", ["add"])
@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("https://data.example.org/*", "is a glob"),
        ("boston*", "is a glob"),
        ("keras/boston_housing", "it is already allowed"),
        ("free.zip", "is no URL"),
        ("mnist", "is no URL"),
    ],
)
def test_add_takes_urls(folder: Path, verb: str, word: str, said: str) -> None:
    """`add` allows what a URL names, and says so of other words, before it asks any host."""
    assert folder.is_dir()
    done = invoked(import_module(f"dataset_mirror.cli.{verb}").command, [word])
    assert isinstance(done.exception, UsageError)
    assert said in done.exception.detail
