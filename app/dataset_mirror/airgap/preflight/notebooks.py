"""Notebooks as sources: the Python of their code cells, without the lines that only IPython understands."""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from dataset_mirror.airgap.preflight.python import parsed
from dataset_mirror.airgap.preflight.shell import logical
from dataset_mirror.errors import UsageError

_MAGIC = re.compile(r"^(?P<indent>\s*+)(?:[%!?]|[\w., ()\[\]]++=\s*[%!]|[^#]*\?\s*$)")
_OF_A_CELL = re.compile(
    r"%%(?:(?P<python>time|timeit|capture|prun|mem\w*)|(?P<shell>bash|sh|script +(?:ba|z|da)?sh|system|sx|!)"
    r"|(?P<text>html|HTML|javascript|js|latex|markdown|svg|SVG|writefile|file))(?:\s|$)"
)
"""Whom a cell's first line says that the rest is for: Python, a shell, or nobody who fetches something."""
_OF_PYTHON = re.compile(
    r"(?P<before>\s*+(?:[\w, ]++=\s*)?)%{1,2}(?:time|timeit|[lm]?prun|memit)\b(?:\s+-\w+(?:\s+[\w.]+(?=\s))?)*(?P<code>.*)"
)
"""Magics that run the Python that stands behind them and their options."""


_SAYS = (("kernelspec", "language"), ("language_info", "name"))
"""Where a notebook says in which language it is."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A code cell. `commands`: its lines for a shell, by number; those that a backslash continues are one. `unread`: the magic of whose
    lines nothing is known; else empty."""

    place: str
    """With `{}` for a line."""
    tree: ast.Module
    commands: dict[int, str]
    unread: str = ""


def cells_of(text: str, name: str) -> list[Cell]:
    """The code cells of a notebook's JSON, in order. UsageError, which says which cell and line, if one cannot be read."""
    return [_cell(number, source, name) for number, source in enumerate(_sources(text, name), start=1)]


def _sources(text: str, name: str) -> Iterator[str]:
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name} is not a notebook: it is not valid JSON ({error}).", "Save it again in Jupyter.") from None
    if (language := _language(notebook)) not in ("", "python", "ipython"):
        raise UsageError(f"{name} is a notebook of {language}: only those of Python are read.", "Name the archives in a list instead.")
    try:
        sheets = notebook.get("worksheets") or [notebook]  # nbformat 3 has sheets
        for cell in (cell for sheet in sheets for cell in sheet["cells"]):
            if cell["cell_type"] == "code":
                source = cell["source"] if "source" in cell else cell["input"]
                yield source if isinstance(source, str) else "".join(source)
    except (KeyError, TypeError, AttributeError):
        raise UsageError(f"{name} is not a notebook: it has no cells with sources.", "Save it again in Jupyter.") from None


def _language(notebook: object) -> str:
    """That of its kernel, in small letters; empty if it does not say."""
    known = notebook.get("metadata") if isinstance(notebook, dict) else None
    kernels = [(known.get(key), word) for key, word in _SAYS] if isinstance(known, dict) else []
    said = [kernel.get(word) for kernel, word in kernels if isinstance(kernel, dict)]
    return next((word.lower().rstrip("0123456789. ") for word in said if isinstance(word, str)), "")


def _cell(number: int, source: str, name: str) -> Cell:
    place = f"{name} cell {number}, line {{}}"
    try:
        return Cell(place, parsed(source, place), {})
    except UsageError:
        # Only now: a line of Python may begin with % where an expression goes on.
        first, _, rest = source.lstrip("\n").partition("\n")
        known = _OF_A_CELL.match(first)
        if not first.startswith("%%") or (known and known["python"]):
            blank, commands = _without_magics(source)
            return Cell(place, parsed(blank, place), commands)
        lines = {number + source.count("\n") - rest.count("\n"): line for number, line in logical(rest)}
        return Cell(place, ast.Module([], []), lines, unread="" if known else first.split()[0])


def _without_magics(source: str) -> tuple[str, dict[int, str]]:
    """The source with magics replaced by `pass`, so that no line moves and no block is empty; and these lines."""
    lines, start = source.split("\n"), 0
    commands: dict[int, str] = {}
    for number, line in enumerate(lines, start=1):
        if (timed := _OF_PYTHON.fullmatch(line)) and not timed["code"].strip().startswith("#"):
            lines[number - 1] = timed["before"] + (timed["code"].strip() or "pass")
        elif commands.get(start, "").endswith("\\"):
            commands[start], lines[number - 1] = f"{commands[start][:-1]} {line}", ""
        elif magic := _MAGIC.match(line):
            start = number
            commands[number], lines[number - 1] = line, f"{magic['indent']}pass"
        else:
            start = 0
    return "\n".join(lines), commands
