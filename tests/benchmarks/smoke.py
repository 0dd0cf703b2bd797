"""Whether the benchmark works at all, with files of a few MB: `pytest tests/benchmarks/smoke.py`, about two minutes.

It is no part of the default run, which it would make longer by that.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks import others, readme
from tests.benchmarks.__main__ import LONG, ROWS
from tests.benchmarks.measure import missing

pytestmark = pytest.mark.skipif(bool(missing("nginx", "wrk")), reason="nginx or wrk is not on this machine")
MISSED = 1
"""Exit status when targets are not reached, as is no wonder here."""


def run(*options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.benchmarks", "--miniature", "--rounds", "1", *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode in (0, MISSED), done.stdout + done.stderr
    return done


def test_every_row_is_called_something() -> None:
    """The README's table has a title for each row."""
    assert set(readme.TITLES) == set(ROWS)
    assert set(ROWS) > LONG


def test_all_rows(tmp_path: Path) -> None:
    """Each row measures every contender, and the README's table has them between its marks, machine and versions with them."""
    page, facts = tmp_path / "README.md", tmp_path / "facts.json"
    page.write_text(f"Before.\n{readme.BEGIN}\nold\n{readme.END}\nAfter.\n")
    done = run("--readme", page, "--json", facts)
    skipped = {line.split()[0] for line in done.stderr.splitlines() if "was skipped" in line}
    known = json.loads(facts.read_text())
    assert {row["row"] for row in known["rows"]} == set(ROWS) - LONG - skipped
    text = page.read_text()
    assert text.startswith("Before.\n")
    assert text.endswith("After.\n")
    assert "old" not in text
    for said in ("cores", "nginx 1.", "Python 3.", "| what | mirror | beside it |"):
        assert said in text
    for row in known["rows"]:
        assert readme.TITLES[row["row"]] in text


@pytest.mark.parametrize("name", others.KNOWN)
def test_beside_others(name: str) -> None:
    """Other caches have their turns in what they can do."""
    if missing(others.KNOWN[name][0]):
        pytest.skip(f"{name} is not on this machine")
    assert name in run("--against", name, "--only", "fill,https-fill,small-hit-c1,large-hit-c1,cpu-fill").stdout


def test_marks_are_needed(tmp_path: Path) -> None:
    """A page without the marks stays as it is, and that is said."""
    page = tmp_path / "README.md"
    page.write_text("Nothing.\n")
    with pytest.raises(SystemExit, match="does not have the lines"):
        readme.rewrite([], {}, 1, page)
    assert page.read_text() == "Nothing.\n"
