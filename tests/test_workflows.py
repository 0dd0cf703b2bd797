"""What a host of repositories reads: workflows and templates are valid, and say what pyproject.toml and .ci/run say."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
HUB = ROOT / ".github"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = sorted((HUB / "workflows").glob("*.yml"))
FORMS = [HUB / "ISSUE_TEMPLATE" / "bug.yml", HUB / "ISSUE_TEMPLATE" / "client.yml"]


def read(path: Path) -> dict[str, Any]:
    known: dict[str, Any] = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    return known


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("github-workflows", WORKFLOWS),
        ("github-issue-forms", FORMS),
        ("github-issue-config", [HUB / "ISSUE_TEMPLATE" / "config.yml"]),
    ],
)
def test_schema(schema: str, files: list[Path]) -> None:
    """Each file is what its schema allows."""
    assert files
    program = Path(sys.executable).with_name("check-jsonschema")
    done = subprocess.run([program, "--builtin-schema", f"vendor.{schema}", *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_python_is_tested() -> None:
    """CI tests on Linux exactly the versions of Python that the classifiers name, and macOS since they name it; all by .ci/run."""
    jobs = read(HUB / "workflows" / "ci.yml")["jobs"]
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert jobs["linux"]["strategy"]["matrix"]["python"] == named
    assert PROJECT["requires-python"] == f">={named[0]}"
    assert "Operating System :: MacOS" in PROJECT["classifiers"]
    for job in ("linux", "newest", "macos"):
        assert ".ci/run" in [step.get("run") for step in jobs[job]["steps"]]


def test_a_release_is_tested() -> None:
    """Nothing is published before .ci/run has passed on the very commit."""
    jobs = read(HUB / "workflows" / "release.yml")["jobs"]
    assert ".ci/run" in [step.get("run") for step in jobs["test"]["steps"]]
    assert jobs["packages"]["needs"] == "test"
    assert "packages" in jobs["image"]["needs"]
    assert set(jobs["index"]["needs"]) == {"packages", "image"}


def test_constraints() -> None:
    """Each dependency, those of the tests too, has the version that was tested."""
    names = [re.split(r"[\[<>=;, ]", line)[0] for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]]
    written = (ROOT / ".ci" / "constraints.txt").read_text(encoding="utf-8")
    pinned = {plain(name) for name in re.findall(r"^([\w.-]+)==\S+$", written, re.MULTILINE)}
    assert [name for name in names if plain(name) not in pinned] == []


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_script_of_ci() -> None:
    """shellcheck has nothing to say of .ci/run."""
    program = shutil.which("shellcheck")
    if program is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run([program, ROOT / ".ci" / "run"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
