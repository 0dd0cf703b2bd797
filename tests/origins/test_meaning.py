"""What people write for archives."""

import pytest

from dataset_mirror.errors import BadRequest
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.origins.meaning import Meaning

MNIST = ArchiveId("data.example.org", "/sets/mnist.npz")


@pytest.mark.parametrize(
    ("word", "name", "meant"),
    [
        ("keras/mnist", "keras/mnist", True),
        ("keras/*", "keras/mnist", True),
        ("keras/[mn]*", "keras/mnist", True),
        ("Keras/*", "keras/mnist", False),
        ("odd[name", "odd[name", True),
        ("*", "", False),
    ],
)
def test_names(word: str, name: str, meant: bool) -> None:
    """A name means itself, whatever is in it, and a glob all that fit; what has no name is never meant by one."""
    assert Meaning(word).names(name) is meant


@pytest.mark.parametrize("word", ["https://data.example.org/sets/*", "data.example.org/sets/*.npz", "*mnist.npz"])
def test_globs_of_urls(word: str) -> None:
    """The scheme may be left out, and does not count."""
    meaning = Meaning(word)
    assert meaning.is_glob
    assert meaning.fits(MNIST)
    assert meaning.fits_url(f"https://{MNIST}")
    assert str(MNIST).startswith(meaning.beginning)


@pytest.mark.parametrize(
    ("word", "archive"),
    [
        ("https://data.example.org/sets/mnist.npz", MNIST),
        ("data.example.org/sets/mnist.npz", MNIST),
        ("data.example.org/web/2020/https://a.org/b", ArchiveId("data.example.org", "/web/2020/https://a.org/b")),
        ("data.example.org/get?of=https://a.org/b", ArchiveId("data.example.org", "/get", "of=https://a.org/b")),
        ("keras/mnist", None),
        ("*", None),
    ],
)
def test_urls(word: str, archive: ArchiveId | None) -> None:
    """What has a host and a path is a URL; names of the catalog are none."""
    assert Meaning(word).as_url() == archive


def test_what_only_looks_like_a_url() -> None:
    """Another scheme is refused in a sentence."""
    with pytest.raises(BadRequest):
        Meaning("ftp://data.example.org/a").as_url()
