"""Files that other programs run: scripts for a shell, Dockerfiles, Makefiles, lists of packages. What their lines fetch."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from dataset_mirror.airgap.preflight.shell import logical, of_line
from dataset_mirror.airgap.preflight.subjects import Address, Ask, Subject, Unclear
from dataset_mirror.airgap.preflight.urls import urls_in

_SHELL = re.compile(r".*\.(?:sh|bash|zsh|ksh|fish|slurm|sbatch|pbs|lsf|sub|job)", re.IGNORECASE)
_SHEBANG = re.compile(r"#!.*\b(?:ba|z|da|k|fi)?sh\b")
_DOCKER = re.compile(r"(?:Docker|Container|Singularity)file(?:\..+)?|Singularity(?:\..+)?|.*\.(?:dockerfile|def)", re.IGNORECASE)
_MAKE = re.compile(r"(?:GNU)?makefile|.*\.(?:mk|mak)|Justfile|Snakefile", re.IGNORECASE)
_PACKAGES = re.compile(
    r"(?:.*[-_.])?(?:requirements|constraints)(?:[-_.].*)?\.(?:txt|in)|environment.*\.ya?ml|Pipfile(?:\.lock)?|package(?:-lock)?\.json"
    r"|.*\.lock"
)
_INSTRUCTION = re.compile(r"\s*(?:ONBUILD\s+)?([A-Z]+|[a-z]+)\s+(?:--\S+\s+)*(.*)", re.DOTALL)


def is_recipe(name: str, text: str) -> bool:
    """Whether a file is one of these, by its name or its first line."""
    last = Path(name).name
    return any(kind.fullmatch(last) for kind in (_SHELL, _DOCKER, _MAKE, _PACKAGES)) or _SHEBANG.match(text) is not None


def asks_of_recipe(name: str, text: str) -> list[Ask]:
    """Everything that such a file asks for, in its order; what only a run can tell is said to be so."""
    last = Path(name).name
    if _PACKAGES.fullmatch(last):
        found = _packages(last, text)
    else:
        subjects = _of_instruction if _DOCKER.fullmatch(last) else of_line
        found = ((number, subject) for number, line in logical(text) for subject in subjects(line))
    return [Ask(f"{name}:{number}", subject) for number, subject in found]


def _of_instruction(line: str) -> Iterator[Subject]:
    """Of a Dockerfile: `RUN` is for the shell, `ADD` fetches, `FROM` gets a whole image."""
    found = _INSTRUCTION.fullmatch(line)
    word, rest = (found[1].upper(), found[2]) if found else ("", line)
    if word in ("FROM", "BOOTSTRAP:"):
        yield Unclear(f"the image {rest.split()[0] if rest else ''}, which comes from a registry")
    elif word == "ADD":
        if "$" in rest or "git" in rest:
            yield Unclear("ADD, whose source is a variable or a repository")
        else:
            yield from (Address(url, certain=True) for url in urls_in(rest))
    elif word in ("RUN", "CMD", "ENTRYPOINT", "SHELL"):
        yield from of_line(_words(rest))
    else:
        yield from of_line(line)


def _words(rest: str) -> str:
    """A command, also where it is a list of words in JSON."""
    try:
        words = json.loads(rest) if rest.startswith("[") else None
    except ValueError:
        words = None
    return " ".join(map(str, words)) if isinstance(words, list) else rest


def _packages(name: str, text: str) -> Iterator[tuple[int, Subject]]:
    """Of a list of packages only what stands in it by URL can be told: which files the rest means, the program decides."""
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.partition(" #")[0].strip()
        if not entry or entry.startswith("#"):
            continue
        if (urls := urls_in(entry)) and name.endswith((".txt", ".in")) and not entry.startswith("-") and "git+" not in entry:
            yield from ((number, Address(url.partition("#")[0], certain=True)) for url in urls)
        else:
            yield number, Unclear(f"packages of {name}: which files they are is decided when they are installed")
