"""Calls that start other programs, or run code that is not in the source."""

import ast
from collections.abc import Iterator, Sequence

from dataset_mirror.airgap.preflight.bindings import UNKNOWN, Bindings
from dataset_mirror.airgap.preflight.shell import commands, fetches, runs
from dataset_mirror.airgap.preflight.subjects import Address, Subject, Unclear

_STARTING = frozenset(
    [
        *(f"os.{name}" for name in ("system", "popen", "execv", "execvp", "execl", "execlp", "spawnl", "spawnv", "posix_spawn")),
        *(f"subprocess.{name}" for name in ("run", "call", "check_call", "check_output", "Popen", "getoutput", "getstatusoutput")),
        *("asyncio.create_subprocess_exec", "asyncio.create_subprocess_shell", "pty.spawn", "pexpect.spawn", "pexpect.run"),
    ]
)
_OF_IPYTHON = ("system", "getoutput", "run_line_magic", "run_cell_magic")
_RUNNING = ("exec", "eval", "execfile")
_MODULES = ("importlib.import_module",)
_FILES = ("runpy.run_path", "runpy.run_module")


def started(paths: Sequence[str], last: str, call: ast.Call, bindings: Bindings) -> Iterator[Subject]:
    """What a call asks for by the program or the code that it starts."""
    starting = next((path for path in paths if path in _STARTING), None)
    if starting is not None:
        yield from _of_program(starting, call, bindings)
    elif last in _OF_IPYTHON and isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Call):
        yield from _of_program(f"get_ipython().{last}", call, bindings)
    elif any(path.startswith("sh.") and fetches(path[3:]) for path in paths):
        yield Unclear(f"{paths[0]}, which starts a program that fetches")
    elif isinstance(call.func, ast.Name) and not bindings.is_bound(last) and last in (*_RUNNING, "__import__"):
        if not call.args or not isinstance(bindings.constant(call.args[0]), str) or last in _RUNNING:
            yield Unclear(f"{last}, which runs code that is not here")
    elif any(path in _FILES for path in paths) or (
        any(path in _MODULES for path in paths) and not (call.args and isinstance(bindings.constant(call.args[0]), str))
    ):
        yield Unclear(f"{paths[0]}, which runs code that is not here")


def _of_program(path: str, call: ast.Call, bindings: Bindings) -> Iterator[Subject]:
    words = _words(call, bindings)
    known = [word for word in words if isinstance(word, str)]
    line = " ".join(known)
    yield from (Unclear(f"{path} of {program}, which runs code that is not here") for program in runs(line))
    found = list(commands(line))
    if found and len(known) == len(words):
        for program, urls in found:
            yield from (Address(url, certain=True) for url in urls)
            if not urls:
                yield Unclear(f"{path} of {program}: what it fetches is not told by its line")
    elif found or not known or words[0] is UNKNOWN or (len(known) < len(words) and known[0] in ("sh", "bash", "-c")):
        yield Unclear(f"{path}, whose command is a variable")


def _words(call: ast.Call, bindings: Bindings) -> list[object]:
    """The words of a command: a text, a list of texts, or all arguments; UNKNOWN for those that are not known."""
    named = [keyword.value for keyword in call.keywords if keyword.arg in ("args", "cmd", "command")]
    given = [*call.args, *named]
    first = given[0] if given else None
    elements = first.elts if isinstance(first, ast.List | ast.Tuple) else given if len(given) > 1 else [first] if first else []
    words: list[object] = []
    for element in elements:
        value = bindings.constant(element)
        words += value if isinstance(value, tuple) else [value]
    return words
