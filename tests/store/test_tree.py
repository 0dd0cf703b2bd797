"""The tree for people: names that lead to blobs, as far as a file system can hold them."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.store.tree import Tree
from tests.store import archive


@pytest.fixture
def blob(tmp_path: Path) -> Path:
    path = tmp_path / "blobs" / "sha256" / "ab" / "abcd"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"bytes")
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "tree")


def names(tmp_path: Path) -> list[str]:
    """Everything in the tree that is not a folder."""
    return sorted(
        str(path.relative_to(tmp_path / "tree")) for path in (tmp_path / "tree").rglob("*") if path.is_symlink() or path.is_file()
    )


@pytest.mark.parametrize(
    ("of", "name"),
    [
        pytest.param(archive("/sets/a.zip"), "data.example.org/sets/a.zip", id="a path"),
        pytest.param(archive("/~kriz/a"), "data.example.org/~kriz/a", id="tilde"),
        pytest.param(archive("/a%2Fb"), "data.example.org/a%2Fb", id="encoded slash"),
        pytest.param(archive("/a", "v=1"), "data.example.org/a?v=1", id="query"),
        pytest.param(archive("/a", "p=/x/../y"), "data.example.org/a?p=%2Fx%2F..%2Fy", id="query with slashes"),
        pytest.param(archive("/"), "data.example.org/%00", id="the root"),
        pytest.param(archive("/a/"), "data.example.org/a/%00", id="a name that ends in a slash"),
        pytest.param(archive("/a//b"), "data.example.org/a/%00/b", id="an empty segment"),
        pytest.param(ArchiveId("localhost:9000", "/a"), "localhost:9000/a", id="a port"),
    ],
)
def test_a_name_leads_to_its_blob(tree: Tree, blob: Path, tmp_path: Path, of: ArchiveId, name: str) -> None:
    """Host and path of an archive are a relative symlink to its blob."""
    assert tree.link(of, blob)
    assert names(tmp_path) == [name]
    link = tmp_path / "tree" / name
    assert link.read_bytes() == b"bytes"
    assert not link.readlink().is_absolute()


def test_the_tree_moves_with_the_data_folder(tree: Tree, blob: Path, tmp_path: Path) -> None:
    """Links are relative: a data folder that is moved still has a tree."""
    tree.link(archive("/a/b/c"), blob)
    home = tmp_path / "elsewhere" / "deep"
    home.mkdir(parents=True)
    (tmp_path / "tree").rename(home / "tree")
    (tmp_path / "blobs").rename(home / "blobs")
    assert (home / "tree" / "data.example.org" / "a" / "b" / "c").read_bytes() == b"bytes"


def test_linking_again_replaces(tree: Tree, blob: Path, tmp_path: Path) -> None:
    """A name points at the latest blob; nothing else is left in its folder."""
    other = blob.with_name("abff")
    other.write_bytes(b"other")
    assert tree.link(archive("/a"), blob)
    assert tree.link(archive("/a"), other)
    assert (tmp_path / "tree/data.example.org/a").read_bytes() == b"other"
    assert names(tmp_path) == ["data.example.org/a"]


@pytest.mark.parametrize(
    ("first", "second"), [("/a", "/a/b"), ("/a/b", "/a"), ("/a", "/a/b/c")], ids=["file first", "folder first", "deep"]
)
def test_what_conflicts_is_left_out(tree: Tree, blob: Path, tmp_path: Path, first: str, second: str) -> None:
    """Of `/a` beside `/a/b` the one that came first stays; the other is told apart, and leaves nothing behind."""
    assert tree.link(archive(first), blob)
    before = names(tmp_path)
    assert not tree.link(archive(second), blob)
    assert names(tmp_path) == before


def test_a_conflict_with_a_removed_blob_is_left_out_too(tree: Tree, blob: Path, tmp_path: Path) -> None:
    """A link whose blob has gone is no folder either."""
    tree.link(archive("/a"), blob)
    blob.unlink()
    assert not tree.link(archive("/a/b"), blob)
    assert names(tmp_path) == ["data.example.org/a"]


@pytest.mark.parametrize("length", [200, 201, 255, 256, 4000])
def test_long_names_are_shortened(tree: Tree, blob: Path, tmp_path: Path, length: int) -> None:
    """A segment that no file system holds is shortened, with a hash that keeps two such names apart."""
    assert tree.link(archive(f"/{'a' * length}/b"), blob)
    assert tree.link(archive(f"/{'a' * (length - 1)}b/b"), blob)
    found = names(tmp_path)
    assert len(found) == 2
    assert all(len(part) <= 200 for name in found for part in name.split("/"))


def test_a_path_that_is_too_long_is_left_out(tree: Tree, blob: Path, tmp_path: Path) -> None:
    """A path beyond what the system takes has no name; that is no error."""
    assert not tree.link(archive("/" + "/".join(["a" * 190] * 40)), blob)


def test_unlinking_takes_empty_folders_away(tree: Tree, blob: Path, tmp_path: Path) -> None:
    """A name goes with its folders, as far as they are empty; other names stay."""
    tree.link(archive("/a/b/c"), blob)
    tree.link(archive("/a/d"), blob)
    tree.unlink(archive("/a/b/c"))
    assert names(tmp_path) == ["data.example.org/a/d"]
    assert not (tmp_path / "tree/data.example.org/a/b").exists()
    tree.unlink(archive("/a/d"))
    assert list((tmp_path / "tree").iterdir()) == []


@pytest.mark.parametrize("path", ["/a/never", "/never", "/a", "/a/b/below"])
def test_unlinking_what_has_no_name_is_harmless(tree: Tree, blob: Path, tmp_path: Path, path: str) -> None:
    """A name that is not there, that is a folder, or that a conflict kept out, can be unlinked; nothing else goes."""
    tree.link(archive("/a/b"), blob)
    tree.unlink(archive(path))
    assert names(tmp_path) == ["data.example.org/a/b"]
    assert blob.exists()


segments = st.text(st.sampled_from("aA~%2F?=.:-_"), min_size=1, max_size=6).filter(lambda text: text.strip("."))


@settings(deadline=None, max_examples=50)
@given(st.lists(segments, min_size=1, max_size=4), st.text(st.sampled_from("a/.?&=%"), max_size=8))
def test_no_name_leads_out_of_the_tree(tmp_path_factory: pytest.TempPathFactory, parts: list[str], query: str) -> None:
    """Whatever an archive is called, its link lies inside the tree."""
    root = tmp_path_factory.mktemp("data")
    blob = root / "blobs" / "x"
    blob.parent.mkdir()
    blob.write_bytes(b"")
    Tree(root / "tree").link(archive("/" + "/".join(parts), query), blob)
    assert sorted(path.name for path in root.iterdir()) == ["blobs", "tree"]
    assert [path.name for path in (root / "tree").iterdir()] == ["data.example.org"]
    assert [path.name for path in blob.parent.iterdir()] == ["x"]
