"""What people may name: scripts, notebooks, lists, names, globs and URLs."""

import json
import time
from contextlib import suppress
from pathlib import Path
from unittest.mock import Mock

import pytest

from dataset_mirror.airgap.preflight.check import preflight
from dataset_mirror.airgap.preflight.loaders import Call
from dataset_mirror.airgap.preflight.sources import GIVEN, asks_in, asks_in_all
from dataset_mirror.airgap.preflight.subjects import Address, Ask
from dataset_mirror.errors import UsageError

A, B, C = (f"https://a.org/{name}" for name in "abc")
NAMES = {"keras/mnist": [A], "keras/imdb": [B, C]}


def test_names_and_urls() -> None:
    """A name means its archives, a glob those of several names, a URL itself; in the order given."""
    assert asks_in_all(["keras/imdb", "https://b.org/x"], NAMES) == [Ask(GIVEN, Address(url, True)) for url in (B, C, "https://b.org/x")]
    assert [ask.subject for ask in asks_in("keras/*", NAMES)] == [Address(url, True) for url in (A, B, C)]


def test_a_list(tmp_path: Path) -> None:
    """Each entry of a list has its line, comments and blank lines count; a byte order mark is none of it."""
    file = tmp_path / "list.txt"
    file.write_bytes(b"\xef\xbb\xbf# for the cluster\r\n\r\nkeras/mnist # small\nhttps://b.org/x\n")
    assert asks_in(str(file), NAMES) == [Ask(f"{file}:3", Address(A, True)), Ask(f"{file}:4", Address("https://b.org/x", True))]


def test_words_of_a_list(tmp_path: Path) -> None:
    """A list has the words of the command line: URLs without their scheme, files' names, and globs of these."""
    names = {"keras/mnist": ["https://a.org/mnist.npz"]}
    file = tmp_path / "list.txt"
    file.write_text("a.org/mnist.npz\nmnist.npz\nmn*\nb.org/x.zip\n")
    urls = [*["https://a.org/mnist.npz"] * 3, "https://b.org/x.zip"]
    assert [ask.subject for ask in asks_in(str(file), names)] == [Address(url, True) for url in urls]


def test_a_declared_encoding(tmp_path: Path) -> None:
    """A script in the encoding that it declares is read."""
    (tmp_path / "a.py").write_bytes(b"# -*- coding: latin-1 -*-\nx = '\xe4'\nimport keras\nkeras.datasets.mnist.load_data()")
    assert asks_in(str(tmp_path / "a.py"), NAMES) == [Ask(f"{tmp_path}/a.py:4", Call("keras.datasets.mnist.load_data"))]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.py", None, "cannot be read: No such file or directory."),
        ("none.txt", None, "Neither a file nor an archive in the catalog is named"),
        ("a.py", b"x = 1\nx = = 2", "a.py:2: this is not Python"),
        ("a.py", b"x\0", "a.py:1: the source has a null byte"),
        ("a.py", b"x = '\xe4'", "is not a text in UTF-8"),
        ("a.py", b"# coding: klingon\n", "nor in the encoding that it declares"),
        ("a.py", b"x = 1\n" * 1_000_000, "too many for a script"),
        ("a.py", b"-" * 100_000 + b"1", "nested too deeply"),
        ("a.ipynb", b"{", "is not a notebook"),
        ("a.ipynb", b"\xff", "is not a text in UTF-8"),
        ("list.txt", b"keras/mnist\nkeras/mnst", "list.txt:2: the catalog has no archive named 'keras/mnst'. Did you mean keras/mnist"),
        ("list.txt", b"ftp://a.org/b", "list.txt:1: ftp://a.org/b is not an http or https URL"),
        ("binary", b"\x7fELF\xff\xfe\0", "is not a text in UTF-8"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    """It is wrong usage, said with the file, and with the line where there is one."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError) as error:
        asks_in(str(tmp_path / name), NAMES)
    assert said in str(error.value)
    assert name in str(error.value)


def test_no_file(tmp_path: Path) -> None:
    """A folder, and a URL of another scheme, are wrong usage."""
    with pytest.raises(UsageError, match="Is a directory"):
        asks_in(str(tmp_path), NAMES)
    with pytest.raises(UsageError, match="not an http or https URL"):
        asks_in("ftp://a.org/b", NAMES)


HUGE = "0x" + "f" * 6000
ODD = {
    "a sum of thousands": f"download(url{' + url' * 2500})",
    "an index of an index of thousands": f"download(url{'[0]' * 2500})",
    "a number that Python does not write down": f"import urllib.request\nurllib.request.urlopen(f'https://a.org/{{{HUGE}}}')",
    "such a number as an argument": f"import torchvision\ntorchvision.datasets.MNIST('x', download={HUGE})",
    "half a character in a URL": "import urllib.request\nurllib.request.urlopen('https://a.org/\\ud800')",
}


@pytest.mark.parametrize("case", ODD)
def test_odd_scripts(tmp_path: Path, case: str) -> None:
    """What nobody writes, and a program may, is no error: what it asks for cannot be told."""
    (file := tmp_path / "odd.py").write_text(ODD[case] + "\n")
    (row,) = preflight(asks_in(str(file), {}), Mock(names={}, look=lambda _: {}))
    assert row.state == "cannot tell"
    row.reason.encode()


def test_half_a_character_in_a_notebook(tmp_path: Path) -> None:
    """The cell that cannot be read is named."""
    (file := tmp_path / "odd.ipynb").write_text(r'{"cells": [{"cell_type": "code", "source": "x = \"\ud800\""}]}')
    with pytest.raises(UsageError, match="cell 1, line 1: the source has half a character"):
        asks_in(str(file), {})


@pytest.mark.timed
@pytest.mark.parametrize("line", [f"{' ' * 60_000}x = 3 +", f"!echo {'?' * 60_000}", f"!echo {'ab+/c=' * 30_000} | base64 -d"])
def test_very_long_lines(tmp_path: Path, line: str) -> None:
    """A line of a great many characters is read in no time to speak of."""
    (file := tmp_path / "long.ipynb").write_text(json.dumps({"cells": [{"cell_type": "code", "source": f"{line}\n!ls"}]}))
    began = time.process_time()
    with suppress(UsageError):
        asks_in(str(file), {})
    assert time.process_time() - began < 5
