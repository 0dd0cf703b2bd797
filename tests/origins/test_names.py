"""Names of whole repositories, and the listings of what is in them."""

import json
from pathlib import Path

import pytest

from dataset_mirror.errors import UsageError
from dataset_mirror.origins.names import Entry, Repository, repository
from dataset_mirror.origins.presets import read_preset

TABLES = read_preset("huggingface", Path()).names
COMMIT = "0123456789" * 4


def named(word: str) -> Repository:
    found = repository(word, TABLES)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("word", "scope", "question"),
    [
        ("hf:org/name", "org/name", "/api/models/org/name/revision/main"),
        ("hf:org/name@refs/pr/1", "org/name", "/api/models/org/name/revision/refs%2Fpr%2F1"),
        ("hf:gpt2@v1", "gpt2", "/api/models/gpt2/revision/v1"),
        ("hf:datasets/org/name", "datasets/org/name", "/api/datasets/org/name/revision/main"),
        ("hf:org/a?b", "org/a?b", "/api/models/org/a%3Fb/revision/main"),
    ],
)
def test_a_name(word: str, scope: str, question: str) -> None:
    """A name means a scope of its hub, and the path that tells which commit is meant; it is written as it was named."""
    assert named(word).scope == scope
    assert named(word).question.path == question
    assert str(named(word)) == word


@pytest.mark.parametrize(
    "word", ["hf:", "hf:a/b/c", "hf:a/b@", "hf:../b", "hf:a/..", "hf:a/b@..", "hf:a/\x00", "hub:a/b", "hf:a/b/c/d.bin"]
)
def test_no_name(word: str) -> None:
    """What looks like a name and can mean no repository is refused with what names look like."""
    with pytest.raises(UsageError) as refused:
        repository(word, TABLES)
    assert "hf:" in refused.value.hint


@pytest.mark.parametrize("word", ["keras/mnist", "https://hf.co/a", "localhost:8080/a", "a.org"])
def test_another_word(word: str) -> None:
    """Names of the catalog, URLs and hosts with a port are no names of repositories."""
    assert repository(word, TABLES) is None


def test_a_listing() -> None:
    """Files are told with their sizes, as far as these are numbers; folders are not."""
    listed = [{"type": "file", "path": "a/é", "size": 3}, {"type": "directory", "path": "a"}, {"type": "file", "path": "b", "size": True}]
    assert named("hf:a/b").entries(json.dumps(listed).encode()) == [Entry("a/é", 3), Entry("b", None)]


@pytest.mark.parametrize(
    "content", ["", "{}", '""', "5", "[5]", '[{"type":"file"}]', '[{"type":"file","path":""}]', '[{"type":"file","path":"\\ud800"}]']
)
def test_no_listing(content: str) -> None:
    """What is no list of files, or names a file that no URL can name, is one kind of error, never an empty repository."""
    with pytest.raises(ValueError, match=r"."):
        named("hf:a/b").entries(content.encode())
