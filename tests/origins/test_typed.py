"""What people type and paste, as what it means."""

import pytest

from dataset_mirror.origins.typed import as_typed, tidied

URL = "https://data.example.org/sets/a.zip"
HUB = "https://huggingface.co"

TIDY = {
    "keras/mnist": [
        "keras/mnist",
        " keras/mnist\t",
        "/keras/mnist",
        "keras/mnist/",
        "keras%2Fmnist",
        "'keras/mnist'",
        "\N{NO-BREAK SPACE}keras/mnist",
    ],
    URL: [
        f"  {URL}\n",
        f'"{URL}",',
        f"<{URL}>",
        f"\N{LEFT DOUBLE QUOTATION MARK}{URL}\N{RIGHT DOUBLE QUOTATION MARK}",
        "HTTPS://Data.Example.ORG/sets/a.zip",
        "https:/data.example.org/sets/a.zip",
        f"/{URL}",
        "https://data.example.org//sets/a.zip",
        "https%3A%2F%2Fdata.example.org%2Fsets%2Fa.zip",
    ],
    "data.example.org/sets/a.zip": ["/data.example.org/sets/a.zip", "//data.example.org//sets/a.zip"],
    "hf:org/name@main": ["hf:org/name@main", " hf:org/name@main "],
}
PAGES = {
    "hf:org/name": [
        f"{HUB}/org/name",
        f"{HUB}/org/name/",
        "huggingface.co/org/name?library=x",
        "hf.co/org/name",
        "hf://org/name",
        f"{HUB}/org/name.git",
    ],
    "hf:org/name@v1": [f"{HUB}/org/name/tree/v1", "http://huggingface.co/org/name/tree/v1#files"],
    "hf:org/name@refs/convert/parquet": [f"{HUB}/org/name/tree/refs%2Fconvert%2Fparquet"],
    "hf:datasets/org/set": [f"{HUB}/datasets/org/set", f"{HUB}/datasets/org/set/viewer/default/train?p=1", "hf://datasets/org/set"],
    "hf:datasets/squad": [f"{HUB}/datasets/squad"],
    "hf:spaces/org/app": [f"{HUB}/spaces/org/app"],
    f"{HUB}/org/name/resolve/main/a/b.json": [
        f"{HUB}/org/name/blob/main/a/b.json",
        "hf://org/name/a/b.json",
        "hf://org/name@main/a/b.json",
    ],
    f"{HUB}/datasets/org/set/resolve/v1/x.csv": [f"{HUB}/datasets/org/set/blob/v1/x.csv?row=3", "hf://datasets/org/set@v1/x.csv"],
    "https://github.com/o/r/raw/main/d/x.csv": ["https://github.com/o/r/blob/main/d/x.csv#L3", "github.com/o/r/blob/main/d/x.csv"],
    "https://github.com/o/r/archive/v1.zip": ["https://github.com/o/r/tree/v1"],
    "https://storage.googleapis.com/b/k/x": ["gs://b/k/x", "https://storage.cloud.google.com/b/k/x"],
    "https://b.s3.amazonaws.com/k/x": ["s3://b/k/x"],
    "https://drive.google.com/uc?id=1aB": ["https://drive.google.com/file/d/1aB/view?usp=sharing", "https://drive.google.com/open?id=1aB"],
    URL: [f"{URL}#part"],
}
ITSELF = [
    *(
        "*.npz",
        "keras/*",
        "mnist.npz",
        "a b.npz",
        "mnist%20copy.npz",
        "/",
        "",
        "'",
        "hf:org/*",
        "data.example.org/*",
        f"{URL}?a=b%20c",
        "C:/x",
    ),
    *(f"{HUB}/org/*", f"{HUB}/api/models", f"{HUB}/docs/hub", f"{HUB}/org/name/resolve/main/x", f"{HUB}/org/name/tree/main/folder"),
    *(
        "https://github.com/o/r/blob/main/x?raw=true",
        "https://github.com/o/r/blob/main/x#accept=text%2Fhtml",
        "ftp://a.org/x",
        "file:///x/y",
    ),
]


@pytest.mark.parametrize(("word", "meant"), [(word, meant) for meant, words in TIDY.items() for word in words])
def test_spelling(word: str, meant: str) -> None:
    """Spaces, quotes, capitals, and slashes that are missing or too many do not matter, neither to people's words nor in lists."""
    assert as_typed(word) == tidied(word) == meant


@pytest.mark.parametrize(("word", "meant"), [(word, meant) for meant, words in PAGES.items() for word in words])
def test_pages(word: str, meant: str) -> None:
    """The address of a page that shows an archive or a repository means what it shows."""
    assert as_typed(word) == meant


@pytest.mark.parametrize("word", ITSELF)
def test_what_means_itself(word: str) -> None:
    """All else stays as it is, letter by letter."""
    assert as_typed(word) == word


def test_lists_mean_what_they_say() -> None:
    """In a list, which a mirror may have written, a page is that page."""
    assert tidied("https://github.com/o/r/blob/main/x") == "https://github.com/o/r/blob/main/x"
