"""The preset `scikit-learn`: the files at figshare that sklearn.datasets names, with their SHA-256."""

import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from dataset_mirror.origins.presets.source.syntax import parameters
from dataset_mirror.origins.presets.source.writing import Loads, Made, Row, files_below, package, run

ABOUT = "scikit-learn: what sklearn.datasets.fetch_… gets from figshare (scikit-learn/california_housing)"
NOTE = "From scikit-learn 1.9. fetch_openml is in the preset openml. figshare answers some networks with 202 or 403: nothing is kept then."
MODULES = {"_lfw.py": "lfw", "_twenty_newsgroups.py": "20newsgroups"}
"""Names of data sets that are not those of their modules."""
PERCENT = {"kddcup99_10_data": "percent10=True", "kddcup99_data": "percent10=False"}
FUNNELED = {"lfw.tgz": "funneled=False", "lfw-funneled.tgz": "funneled=True"}
PLAIN = ("fetch_file", "fetch_openml")
"""Functions that fetch what their arguments say."""


def make(wheel: Path | None) -> Made | None:
    root = package("sklearn", wheel)
    if root is None:
        return None
    rows, loads = [], []
    for file in files_below(root / "datasets"):
        if file.name.endswith(".py") and file.name.startswith("_"):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            found = dict(files_of(tree, MODULES.get(file.name, file.name[1:].removesuffix(".py"))))
            rows += list(found.values())
            loads += list(loads_of(tree, found))
    return Made(ABOUT, NOTE, rows, loads=loads, script="scikit_learn")


def files_of(tree: ast.Module, name: str) -> Iterator[tuple[str, Row]]:
    """Each `RemoteFileMetadata` of a module: its file name, URL and checksum."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(ast.Name("RemoteFileMetadata"), keywords=keywords):
                facts = {keyword.arg: keyword.value.value for keyword in keywords if isinstance(keyword.value, ast.Constant)}
                if "url" in facts:
                    yield str(facts["filename"]), Row(str(facts["url"]), f"scikit-learn/{name}", sha256=str(facts["checksum"]))


def loads_of(tree: ast.Module, found: dict[str, Row]) -> Iterator[Loads]:
    """What the functions of a module ask for: all its files, or some by an argument."""
    by_argument = PERCENT | FUNNELED
    always = [row.url for name, row in found.items() if name not in by_argument]
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("fetch_") and node.name not in PLAIN and found:
            function, given = f"sklearn.datasets.{node.name}", parameters(node)
            for name, row in found.items():
                if name in by_argument:
                    yield Loads(function, given, by_argument[name], [row.url])
            if always:
                yield Loads(function, given, "", always)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    return run("scikit-learn", make, arguments)


if __name__ == "__main__":
    sys.exit(main())
