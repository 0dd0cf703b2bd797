"""The presets `scipy` and `scikit-image`: the registries that both give to pooch, with SHA-256."""

import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from dataset_mirror.origins.presets.source.syntax import literals
from dataset_mirror.origins.presets.source.writing import Folder, Loads, Made, Row, package, run

SCIPY = "SciPy: what scipy.datasets fetches (scipy/face)"
SKIMAGE = "scikit-image: what skimage.data fetches beyond the images that it ships (scikit-image/brain)"


def registry(file: Folder) -> tuple[dict[str, str], dict[str, str], dict[str, list[str]]]:
    """SHA-256 and URL by file, and the files of each function, as far as a registry says so."""
    found = literals(ast.parse(file.read_text(encoding="utf-8")).body)
    tables = [found.get(name, {}) for name in ("registry", "registry_urls", "method_files_map")]
    assert all(isinstance(table, dict) for table in tables)
    digests, urls, methods = tables
    return digests, urls, methods  # type: ignore[return-value]


def scipy(wheel: Path | None) -> Made | None:
    root = package("scipy", wheel)
    if root is None:
        return None
    digests, urls, methods = registry(root / "datasets" / "_registry.py")
    rows = [Row(urls[file], f"scipy/{method}", sha256=digests[file]) for method, files in methods.items() for file in files]
    loads = [Loads(f"scipy.datasets.{method}", "gray=False", "", [f"scipy/{method}"]) for method in methods]
    loads.append(Loads("scipy.datasets.download_all", "path=None", "", [row.url for row in rows]))
    return Made(SCIPY, "From SciPy 1.17.", rows, loads=loads, script="pooch")


def scikit_image(wheel: Path | None) -> Made | None:
    root = package("skimage", wheel)
    if root is None:
        return None
    digests, urls, _ = registry(root / "data" / "_registry.py")
    functions = dict(images(ast.parse((root / "data" / "_fetchers.py").read_text(encoding="utf-8"))))
    names = {file: function for function, files in functions.items() for file in files}
    rows = [Row(url, f"scikit-image/{names.get(file, Path(file).name)}", sha256=digests[file]) for file, url in urls.items()]
    loads = [
        Loads(f"skimage.data.{function}", "", "", [urls[file] for file in files if not (root / file).is_file()])
        for function, files in functions.items()
    ]
    loads.append(
        Loads("skimage.data.download_all", "directory=None", "", [url for file, url in urls.items() if not (root / file).is_file()])
    )
    note = "From scikit-image 0.26, whose wheel ships the small images. Files that only its own tests need are at gitlab.com, too."
    return Made(SKIMAGE, note, rows, loads=loads, script="pooch")


def images(tree: ast.Module) -> Iterator[tuple[str, list[str]]]:
    """The files that each function of skimage.data reads."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            found = [file for inner in ast.walk(node) if (file := _loaded(inner))]
            if found:
                yield node.name, found


def _loaded(node: ast.AST) -> str:
    match node:
        case ast.Call(ast.Name("_load" | "_fetch"), [ast.Constant(str(file)), *_]):
            return file
    return ""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status; the preset's name comes first."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    makers = {"scipy": scipy, "scikit-image": scikit_image}
    if not given or given[0] not in makers:
        sys.stderr.write(f"Name the preset: {' or '.join(makers)}\n")
        return 2
    return run(given[0], makers[given[0]], given[1:])


if __name__ == "__main__":
    sys.exit(main())
