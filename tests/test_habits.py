"""The habits of this repository: its tools are content, and everything has its sentence."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(path.relative_to(ROOT) for path in (ROOT / "app").rglob("*.py"))
TESTS = sorted(path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.py"))


@pytest.mark.ci
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


def test_every_module_says_what_it_is() -> None:
    """Each module of app begins with a docstring."""
    assert [str(path) for path in MODULES if not ast.get_docstring(parsed(path))] == []


def test_every_test_says_what_it_promises() -> None:
    """Each test function has a docstring of one line: the behaviour that it promises."""
    wrong = []
    for path in TESTS:
        tests = [node for node in ast.walk(parsed(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        named = [node for node in tests if node.name.startswith("test_")]
        wrong += [f"{path}:{node.lineno} {node.name}" for node in named if len((ast.get_docstring(node) or "").splitlines()) != 1]
    assert wrong == []


def parsed(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))
