"""The habits of this repository: its tools are content, everything has its sentence, and no file names a private place."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(path.relative_to(ROOT) for path in (ROOT / "app").rglob("*.py"))
TESTS = sorted(path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.py"))

PRIVATE = re.compile("|".join(["/wo" + "rk/", r"\bpy" + r"pi\.", "python" + r"hosted\.", "--(extra-)?ind" + "ex-url", "devpi" + r"\b"]))
"""Folders of one machine, and package indexes: what is installed from where is not for files. Cut up, not to find itself."""


@pytest.mark.parametrize(
    "command",
    [
        pytest.param([sys.executable, "-m", "ruff", "check", "."], id="ruff check"),
        pytest.param([sys.executable, "-m", "ruff", "format", "--check", "."], id="ruff format"),
        pytest.param([sys.executable, "-m", "mypy"], id="mypy"),
        pytest.param([str(Path(sys.executable).with_name("lint-imports"))], id="lint-imports"),
    ],
)
def test_a_tool_is_content(command: list[str]) -> None:
    """Lint, format, types and the arrows between packages are as pyproject.toml asks."""
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_every_module_says_what_it_is(path: Path) -> None:
    """Each module of app begins with a docstring."""
    assert ast.get_docstring(ast.parse((ROOT / path).read_text(encoding="utf-8"))), f"{path} has no docstring"


@pytest.mark.parametrize("path", TESTS, ids=str)
def test_every_test_says_what_it_promises(path: Path) -> None:
    """Each test function has a docstring of one line: the behaviour that it promises."""
    tests = [
        node
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    wrong = [f"{path}:{node.lineno} {node.name}" for node in tests if len((ast.get_docstring(node) or "").splitlines()) != 1]
    assert not wrong, "\n".join(wrong)


@pytest.mark.skipif(not (ROOT / ".git").exists() or shutil.which("git") is None, reason="not a checkout")
def test_no_file_names_a_private_place() -> None:
    """No file of the repository mentions a folder of one machine or a package index."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    paths = [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    assert paths
    found = [
        f"{path.relative_to(ROOT)}:{number} {line.strip()[:100]}"
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if PRIVATE.search(line)
    ]
    assert not found, "\n".join(found)
