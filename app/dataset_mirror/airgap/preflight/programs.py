"""Calls that start other programs, or run code that is not in the source."""

import ast
from collections.abc import Iterator

from dataset_mirror.airgap.preflight.bindings import UNKNOWN, Bindings
from dataset_mirror.airgap.preflight.shell import commands, fetched, runs
from dataset_mirror.airgap.preflight.subjects import Subject, Unclear
from dataset_mirror.airgap.preflight.tables import Fetcher

KINDS = ("run", "code", "module", "names")
"""What a table says of such functions."""


def started(path: str, fetcher: Fetcher, call: ast.Call, bindings: Bindings) -> Iterator[Subject]:
    """What a call asks for by the program or the code that it starts."""
    match fetcher.how, call.args:
        case "run", _:
            yield from _of_program(path, call, bindings)
        case ("module", [ast.Constant(str())]) | ("names", [_, *_]):
            return
        case _:
            yield Unclear(f"{path.removeprefix('builtins.')}, which runs code that is not here, or chooses some by name")


def _of_program(path: str, call: ast.Call, bindings: Bindings) -> Iterator[Subject]:
    words = _words(call, bindings)
    known = [word for word in words if isinstance(word, str)]
    line = " ".join(known)
    if known and known == words:
        yield from fetched(line)
        return
    yield from (Unclear(f"{path} of {program}, which runs code that is not here") for program in runs(line))
    if list(commands(line)) or not known or words[0] is UNKNOWN or known[0] in ("sh", "bash", "-c"):
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
