"""A mirror alone is as it was: nothing of the shared store is loaded, written, or asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dataset_mirror.errors import UsageError
from dataset_mirror.mirror import Mirror
from dataset_mirror.settings import load, sharing
from dataset_mirror.store.store import open_store

_LOADED = """
import sys, asyncio
from pathlib import Path
from dataset_mirror.main import assemble, open_mirror
from dataset_mirror.settings import load
mirror = open_mirror(load(None, {"data": Path(sys.argv[1])}))
assemble(mirror, 1)
print(sorted({"psycopg", "obstore"} & set(sys.modules)), mirror.shared, mirror.store.telling.is_on)
"""


def test_nothing_is_loaded(tmp_path: Path) -> None:
    """Without the setting neither library is imported, and no outbox is kept."""
    done = subprocess.run([sys.executable, "-c", _LOADED, str(tmp_path / "data")], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "None", "False"]


def loaded(tmp_path: Path, text: str) -> Mirror:
    (tmp_path / "mirror.toml").write_text(text, encoding="utf-8")
    configuration = load(tmp_path / "mirror.toml", {"data": tmp_path / "data"})
    return Mirror(configuration, open_store(configuration))


@pytest.mark.parametrize("there", ["shared", "bucket"])
def test_one_of_two(tmp_path: Path, there: str) -> None:
    """Database and bucket belong together, and the error says which is missing."""
    text = {"shared": 'shared = "postgresql://mirror:sesame@db.lab/mirrors"', "bucket": 'bucket = "s3://mirrors/lab"'}[there]
    with pytest.raises(UsageError, match=f"`{there}` is set, but `.*` is not") as caught:
        loaded(tmp_path, text)
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('shared = "mysql://mirror:sesame@db.lab/mirrors"', "it is the URL of a database"),
        ('shared = "postgresql://mirror:sesame@db.lab"', "it is the URL of a database"),
        ('bucket = "https://s3.lab/mirrors"', "a bucket is s3://NAME"),
        ('bucket = { url = "s3://mirrors", endpoint = "s3.lab" }', "an endpoint begins with http:// or https://"),
        ('bucket = { url = "s3://mirrors", secret_access_kee = "sesame-open" }', "there is no such key"),
    ],
)
def test_wrong_places(tmp_path: Path, text: str, said: str) -> None:
    """What cannot be meant is refused in a sentence, without the password in it."""
    with pytest.raises(UsageError, match=said) as caught:
        loaded(tmp_path, text)
    assert "sesame" not in str(caught.value)


def test_a_bucket_as_text_and_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket is its URL, or a table; in the environment the table is JSON."""
    (tmp_path / "mirror.toml").write_text('shared = "postgresql://db.lab/mirrors"\nbucket = "s3://mirrors/lab/"\n', encoding="utf-8")
    places = sharing(load(tmp_path / "mirror.toml").settings)
    assert places is not None
    assert (places[1].name, places[1].prefix) == ("mirrors", "lab")
    monkeypatch.setenv("DATASET_MIRROR_BUCKET", '{"url": "s3://others", "endpoint": "http://s3.lab:7480"}')
    places = sharing(load(tmp_path / "mirror.toml").settings)
    assert places is not None
    assert (places[1].name, places[1].prefix, places[1].endpoint) == ("others", "", "http://s3.lab:7480")
