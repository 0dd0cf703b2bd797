"""URLs in sources: those that a call fetches, and those that merely stand there."""

import ast
import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files

from dataset_mirror.airgap.preflight.bindings import UNKNOWN, Bindings, Seen
from dataset_mirror.airgap.preflight.loaders import FETCHERS
from dataset_mirror.airgap.preflight.subjects import Address, Beginning, Subject, Unclear

_URL = re.compile(r"https?://[^\x00-\x20\x7f-\xa0\"'<>`|\\]+", re.IGNORECASE)
_REMOTE = re.compile(r"(?:https?|ftp|s3|gs|gcs|az|abfs|hf|hdfs|kaggle|doi):/?/?", re.IGNORECASE)
_OTHER = re.compile(
    r"(?:ftps?|s3[an]?|gs|gcs|azure|az|abfss?|adl|hf|hub|hdfs|webhdfs|kaggle|oci|r2|sftp|scp|rsync)://[^\s{}%]", re.IGNORECASE
)
"""What is fetched, and not by HTTP."""
_PLACEHOLDER = re.compile(r"[{}]|%(?:[sdr]|\()")
_LIKE_FETCHING = re.compile(
    r"get|head|open|load|read|stream|retrieve|wget|curl|imread|pull|clone|(?:url)?(?:open|retrieve)|(?:fetch|load|read|open|get|http)_\w+"
    r"|\w*(?:download|fetch|_url|_urls|from_url|retrieve)\w*|[A-Z]\w*(?:Dataset|Downloader|Loader)",
    re.IGNORECASE,
)
_URLISH = re.compile(r"ur[il]s?(?![a-z])|link|http|mirror|remote", re.IGNORECASE)


def urls_in(text: str) -> list[str]:
    """The URLs that stand in a text, without the full stop or bracket that follows them."""
    return [url.rstrip(".,;:)]") for url in _URL.findall(text)]


@cache
def _fetchers() -> dict[str, tuple[str, int, str]]:
    lines = (files("dataset_mirror.origins.presets") / "loaders" / FETCHERS).read_text(encoding="utf-8").splitlines()
    fields = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return {name: (argument, int(position), how) for name, argument, position, how in fields}


@cache
def constructors() -> frozenset[str]:
    """Functions that make something whose methods fetch URLs, such as `requests.Session`."""
    return frozenset(name.partition("()")[0] for name in _fetchers() if "()" in name)


def is_maker(path: str) -> bool:
    """Whether it is what such a function made."""
    return path.endswith("()") and path[:-2] in constructors()


def is_fetcher(path: str) -> bool:
    """Whether a function of that dotted path fetches a URL."""
    return path in _fetchers()


def fetched(path: str, call: ast.Call, bindings: Bindings) -> Iterator[Subject]:
    """What a call of such a function asks for."""
    argument, position, how = _fetchers()[path]
    node = _argument(call, argument, position)
    value = bindings.constant(node) if node is not None else UNKNOWN
    if how == "send":
        yield Unclear(f"{path}, which does more than fetch a URL")
    elif isinstance(value, str) and _URL.fullmatch(value):
        yield Address(value, certain=True)
    elif isinstance(value, str) and (how == "text" or "::" in value):  # a query, or a chain such as zip://a.csv::https://…
        yield from (Address(url, certain=True) for url in urls_in(value))
        if _OTHER.search(value):
            yield Unclear(f"{path}, whose {argument} has a URL that is no http or https URL")
    elif isinstance(value, str):
        if not value.lower().startswith("file:") and (how == "get" or _REMOTE.match(value)):
            yield Unclear(f"{path}, whose {argument} is no http or https URL")
    elif how == "get" or node is None or not _is_local(node, bindings):
        yield Unclear(f"{path}, whose {argument} is a variable")


def _is_local(node: ast.expr, bindings: Bindings, depth: int = 0) -> bool:
    """Whether an expression is certainly a file of this machine, or what was read of one."""
    if depth > _MAX_DEPTH:
        return False
    match node:
        case ast.Constant(value):
            return not (isinstance(value, str) and _REMOTE.match(value))
        case ast.BinOp(_, ast.Div(), _):  # of paths: what stands between slashes in them is no scheme
            return True
        case ast.BinOp(first, ast.Add() | ast.Mod(), _) | ast.JoinedStr([first, *_]):
            return first != ast.Constant("") and not isinstance(first, ast.FormattedValue) and _is_local(first, bindings, depth + 1)
        case ast.Tuple(elements) | ast.List(elements):
            return all(_is_local(element, bindings, depth + 1) for element in elements)
        case ast.Call(function, arguments):
            return _makes_local(function, arguments, bindings, depth)
        case ast.Name():
            known = bindings.bound_to(node)
            return bool(known) and all(isinstance(one, ast.expr) and _is_local(one, bindings, depth + 1) for one in known)
    return False


def _makes_local(function: ast.expr, arguments: list[ast.expr], bindings: Bindings, depth: int) -> bool:
    if isinstance(function, ast.Name) and function.id == "open" and not bindings.is_bound("open"):
        return True
    paths = bindings.paths(function)
    if "os.path.join" in paths:
        return bool(arguments) and _is_local(arguments[0], bindings, depth + 1)
    if paths and all(path and path.startswith(_OF_FILES) for path in paths):
        return True
    return isinstance(function, ast.Attribute) and function.attr in _OF_PATHS and _is_local(function.value, bindings, depth + 1)


_MAX_DEPTH = 20
_OF_FILES = ("pathlib.", "io.", "glob.", "os.path.", "tempfile.", "gzip.open", "bz2.open", "lzma.open", "zipfile.", "tarfile.", "os.getcwd")
"""Functions that make paths of this machine, or read files of it."""
_OF_PATHS = ("open", "read", "resolve", "absolute", "joinpath", "with_suffix", "expanduser", "iterdir", "glob", "rglob", "extractfile")


def _argument(call: ast.Call, name: str, position: int) -> ast.expr | None:
    named = [keyword.value for keyword in call.keywords if keyword.arg == name]
    return named[0] if named else next(iter(call.args[position : position + 1]), None)


def handed(last: str, call: ast.Call, bindings: Bindings) -> Iterator[Subject]:
    """The URLs that are handed to a call that, by its last name, may fetch them."""
    if not _LIKE_FETCHING.fullmatch(last):
        return
    for node in (*call.args, *(keyword.value for keyword in call.keywords)):
        value = bindings.constant(node)
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str) and _URL.fullmatch(text) and not _PLACEHOLDER.search(text):
                yield Address(text, certain=True)
        if value is UNKNOWN and (start := beginning(node, bindings)):
            yield Unclear(f"{last}, called with a URL that begins with {start}")
        elif value is UNKNOWN and _looks_like_url(node, bindings) and not bindings.is_path(node):
            yield Unclear(f"{last}, called with {ast.unparse(node)[:80]}, which is a variable")


def _looks_like_url(node: ast.expr, bindings: Bindings) -> bool:
    parts = [node] if isinstance(node, ast.Name | ast.Attribute) else list(ast.walk(node)) if isinstance(node, _MADE_OF) else []
    names = [part.attr if isinstance(part, ast.Attribute) else part.id for part in parts if isinstance(part, ast.Name | ast.Attribute)]
    return any(_URLISH.search(name) for name in names) or beginning(node, bindings) != ""


_MADE_OF = (ast.BinOp, ast.JoinedStr, ast.Subscript)


def literals(nodes: Sequence[ast.expr], bindings: Bindings) -> set[int]:
    """The texts that expressions are made of, also through names."""
    waiting, found = list(nodes), set[int]()
    while waiting and len(found) < 1000:
        for inner in ast.walk(waiting.pop()):
            if id(inner) not in found:
                found.add(id(inner))
                waiting += [meaning for meaning in bindings.meanings(inner) if id(meaning) not in found]
    return found


def texts(seen: Seen, bindings: Bindings) -> Iterator[Subject]:
    """The URLs of a whole text: a literal or a sum, but no docstring and no part of another text."""
    node, parent = seen.node, seen.parent
    if not _is_text(node) or isinstance(parent, ast.Expr | ast.JoinedStr) or (isinstance(parent, ast.BinOp) and _is_text(parent)):
        return
    value = bindings.constant(node)
    if isinstance(value, str):
        if _OTHER.match(value):
            yield Unclear(f"{value[:80]}, which is no http or https URL")
        for url in urls_in(value):
            known = _PLACEHOLDER.split(url)[0]
            yield Address(url) if known == url else Beginning(known)
    elif start := beginning(node, bindings):
        yield Beginning(start)


def _is_text(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Add | ast.Mod)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def beginning(node: ast.AST, bindings: Bindings) -> str:
    """The URL with which a text begins that is not known as a whole; empty if there is none."""
    for _ in range(1000):
        inner = _first_part(node)
        if inner is None:
            break
        node = inner
    value = bindings.constant(node)
    found = urls_in(_PLACEHOLDER.split(value)[0]) if isinstance(value, str) else []
    return found[0] if found else ""


def _first_part(node: ast.AST) -> ast.AST | None:
    """That with which a text made of several begins; None if it is not made of any."""
    match node:
        case ast.BinOp(first) | ast.JoinedStr([first, *_]) | ast.FormattedValue(first) | ast.Call(ast.Attribute(first, "format")):
            return first
    return None
