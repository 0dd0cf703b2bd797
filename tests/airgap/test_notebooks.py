"""Notebooks, as sources."""

import json
from pathlib import Path
from typing import Any

import pytest

from dataset_mirror.airgap.preflight.loaders import Call
from dataset_mirror.airgap.preflight.sources import asks_in
from dataset_mirror.airgap.preflight.subjects import Address, Unclear
from dataset_mirror.errors import UsageError

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"


def code(source: str | list[str]) -> dict[str, Any]:
    return {"cell_type": "code", "source": source}


def asks(folder: Path, *cells: Any) -> list[tuple[str, Any]]:
    """Place, without the file's name, and subject."""
    file = folder / "n.ipynb"
    file.write_text(json.dumps({"cells": list(cells)}))
    return [(ask.place.removeprefix(f"{file} "), ask.subject) for ask in asks_in(str(file), {})]


def test_cells_are_one_program(tmp_path: Path) -> None:
    """Code cells are counted and share their imports; other cells do not count."""
    text = {"cell_type": "markdown", "source": f"keras.datasets.mnist.load_data() {URL}"}
    found = asks(tmp_path, text, code(["import keras\n", "x = 1"]), code("\nkeras.datasets.mnist.load_data()"))
    assert found == [("cell 2, line 2", Call("keras.datasets.mnist.load_data"))]


@pytest.mark.parametrize(
    "magics",
    [
        "%matplotlib inline",
        "!ls keras \\\n  scipy",
        "files = !ls *.py",
        "model = %sql SELECT 1",
        "keras?",
        "%%time",
        "if x:\n    !nvidia-smi",
    ],
)
def test_magics(tmp_path: Path, magics: str) -> None:
    """Lines that only IPython understands are left out, and no line moves."""
    lines = magics.count("\n") + 3
    found = asks(tmp_path, code(f"{magics}\nimport keras\nkeras.datasets.mnist.load_data()"))
    assert found == [(f"cell 1, line {lines}", Call("keras.datasets.mnist.load_data"))]


def test_other_languages(tmp_path: Path) -> None:
    """A cell for another program is not read as Python; URLs in commands count."""
    assert asks(tmp_path, code("%%bash\nfor f in *; do echo; done"), code(f"!wget -c {URL}")) == [("cell 2, line 1", Address(URL, True))]


@pytest.mark.parametrize(
    "line", ["!pip install keras", "%pip install -q keras", "!python train.py", "%run other.py", "!curl -s x | sudo bash", "x = !sh get.sh"]
)
def test_lines_that_run_more(tmp_path: Path, line: str) -> None:
    """What a line installs, or runs of other files, cannot be told."""
    assert any(isinstance(subject, Unclear) for _, subject in asks(tmp_path, code(line)))


def test_python_that_looks_like_magic(tmp_path: Path) -> None:
    """A line that begins with % inside an expression is Python."""
    assert asks(tmp_path, code(f"x = ('{URL}?%s'\n% name)\nimport keras\nkeras.datasets.mnist.load_data()"))[-1] == (
        "cell 1, line 4",
        Call("keras.datasets.mnist.load_data"),
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "it is not valid JSON"),
        ("[" * 100_000, "it is not valid JSON"),
        ("[]", "it has no cells"),
        ('{"cells": 3}', "it has no cells"),
        ('{"cells": [{"cell_type": "code", "source": [1]}]}', "it has no cells"),
        ('{"cells": [{"cell_type": "code", "source": "x = 1\\ny = = 2"}]}', "cell 1, line 2: this is not Python"),
    ],
    ids=["cut", "deep", "list", "number", "source", "syntax"],
)
def test_no_notebook(tmp_path: Path, content: str, said: str) -> None:
    """What is none is one sentence that says what is wrong, and where."""
    (tmp_path / "n.ipynb").write_text(content)
    with pytest.raises(UsageError, match=r"n\.ipynb") as error:
        asks_in(str(tmp_path / "n.ipynb"), {})
    assert said in str(error.value)


def test_another_language(tmp_path: Path) -> None:
    """A notebook of another language is refused: some of its lines would be Python, and mean something else."""
    about = {"kernelspec": {"name": "ir", "language": "R"}}
    (tmp_path / "n.ipynb").write_text(json.dumps({"metadata": about, "cells": [code("x <- dataset_mnist()")]}))
    with pytest.raises(UsageError, match="a notebook of r: only those of Python"):
        asks_in(str(tmp_path / "n.ipynb"), {})


def test_an_old_notebook(tmp_path: Path) -> None:
    """Notebooks of nbformat 3 have sheets."""
    cell = {"cell_type": "code", "input": ["import keras\n", "keras.datasets.mnist.load_data()"]}
    (tmp_path / "n.ipynb").write_text(json.dumps({"worksheets": [{"cells": [cell]}]}))
    assert [ask.subject for ask in asks_in(str(tmp_path / "n.ipynb"), {})] == [Call("keras.datasets.mnist.load_data")]
