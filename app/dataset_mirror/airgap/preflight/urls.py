"""URLs in sources: those that a call fetches, and those that merely stand there."""

import ast
import re
from collections.abc import Iterator, Sequence

from dataset_mirror.airgap.preflight.bindings import UNKNOWN, Bindings, Meaning, Seen
from dataset_mirror.airgap.preflight.subjects import Address, Beginning, Subject, Unclear
from dataset_mirror.airgap.preflight.tables import Fetcher

_URL = re.compile(r"https?://[^\x00-\x20\x7f-\xa0\ud800-\udfff\"'<>`|\\]+", re.IGNORECASE)
_REMOTE = re.compile(r"(?!file:)[a-z][a-z0-9+.-]+:", re.IGNORECASE)
"""A scheme; a drive has one letter."""
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
_FOR_DOWNLOADS = re.compile(
    r"(?:maybe_|try_|_)?(?:download|fetch|wget|curl)(?:_(?:and|if|data|datasets?|all|files?|urls?|from|models?|weights|archives?|zip|images?))*",
    re.IGNORECASE,
)
_OF_SQL = ("sql", "query", "execute", "from_query")
_URLISH = re.compile(r"ur[il]s?(?![a-z])|link|http|mirror|remote", re.IGNORECASE)


def urls_in(text: str) -> list[str]:
    """The URLs that stand in a text, without the full stop or bracket that follows them."""
    return [url.rstrip(".,;:)]") for url in _URL.findall(text)]


def is_for_downloads(name: str) -> bool:
    """Whether a function of that name fetches something, whoever wrote it."""
    return _FOR_DOWNLOADS.fullmatch(name) is not None


def fetched(path: str, fetcher: Fetcher, call: ast.Call, bindings: Bindings) -> Iterator[Subject]:
    """What a call of a function asks for that fetches the URL that it is given."""
    how, argument = fetcher.how, fetcher.argument
    node = _argument(call, argument, fetcher.position)
    value = bindings.constant(node) if node is not None else UNKNOWN
    if how == "send":
        yield Unclear(f"{path}, which does more than fetch a URL")
    elif isinstance(value, str) and "*" in value and _REMOTE.match(value):
        yield Unclear(f"{path}, whose {argument} is a glob")
    elif isinstance(value, str) and _URL.fullmatch(value):
        yield Address(value, certain=True)
    elif isinstance(value, str) and (how == "text" or "::" in value):  # a query, or a chain such as zip://a.csv::https://…
        yield from (Address(url, certain=True) for url in urls_in(value))
        if _OTHER.search(value):
            yield Unclear(f"{path}, whose {argument} has a URL that is no http or https URL")
    elif isinstance(value, str):
        if _REMOTE.match(value) or (how == "get" and not value.startswith("file:")):
            yield Unclear(f"{path}, whose {argument} is no http or https URL")
    elif how in ("get", "text") or node is None or not _is_local(node, bindings):
        yield Unclear(f"{path}, whose {argument} is a variable")


def _argument(call: ast.Call, name: str, position: int) -> ast.expr | None:
    named = [keyword.value for keyword in call.keywords if keyword.arg == name]
    return named[0] if named else next(iter(call.args[position : position + 1]), None)


def handed(last: str, call: ast.Call, bindings: Bindings) -> Iterator[Subject]:
    """The URLs that are handed to a call that, by its last name, may fetch them."""
    if last in _OF_SQL and call.args:
        text = bindings.constant(call.args[0])
        yield from (Address(url, certain=True) for url in (urls_in(text) if isinstance(text, str) else ()))
    if not _LIKE_FETCHING.fullmatch(last):
        return
    for node in (*call.args, *(keyword.value for keyword in call.keywords)):
        value = bindings.constant(node)
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str) and _URL.fullmatch(text) and not _PLACEHOLDER.search(text):
                yield Address(text, certain=True)
        if value is UNKNOWN and (start := beginning(node, bindings)):
            yield Unclear(f"{last}, called with a URL that begins with {start}")
        elif value is UNKNOWN and _is_named_like_url(node):
            yield Unclear(f"{last}, called with {_written(node)}, which is a variable")


def _written(node: ast.expr) -> str:
    """The expression as it stands in the source, shortened."""
    try:
        return ast.unparse(node)[:80]
    except RecursionError:
        return "a very long expression"


def _is_named_like_url(node: ast.expr) -> bool:
    parts = [node] if isinstance(node, ast.Name | ast.Attribute) else list(ast.walk(node)) if isinstance(node, _MADE_OF) else []
    names = [part.attr if isinstance(part, ast.Attribute) else part.id for part in parts if isinstance(part, ast.Name | ast.Attribute)]
    return any(_URLISH.search(name) for name in names)


_MADE_OF = (ast.BinOp, ast.JoinedStr, ast.Subscript)


def literals(nodes: Sequence[ast.expr], bindings: Bindings) -> set[int]:
    """The texts that expressions are made of, also through names."""
    waiting, found = list(nodes), set[int]()
    while waiting and len(found) < 1000:
        for inner in ast.walk(waiting.pop()):
            if id(inner) not in found:
                found.add(id(inner))
                waiting += [one for one in bindings.meanings(inner) if isinstance(one, ast.expr) and id(one) not in found]
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
    values = [bindings.constant(first) for first, _ in _firsts(node, bindings) if isinstance(first, ast.expr)]
    found = [url for value in values if isinstance(value, str) for url in urls_in(_PLACEHOLDER.split(value)[0])]
    return found[0] if found else ""


def _is_local(node: ast.expr, bindings: Bindings) -> bool:
    """Whether an expression is certainly a file of this machine, or what was read of one."""
    firsts = _firsts(node, bindings)
    return bool(firsts) and all(_is_local_first(first, in_path, bindings) for first, in_path in firsts)


def _is_local_first(node: ast.AST | Meaning, in_path: bool, bindings: Bindings) -> bool:
    match node:
        case ast.Constant(value):
            return not (isinstance(value, str) and _REMOTE.match(value))
        case ast.Call(function):
            paths = bindings.paths(function)
            return bool(paths) and all(path is not None and path.startswith(_OF_FILES) for path in paths)
    return in_path  # what stands between slashes in it is no scheme


_OF_FILES = (
    *("builtins.open", "pathlib.", "io.", "glob.", "os.path.", "os.getcwd", "tempfile."),
    *("gzip.open", "bz2.open", "lzma.open", "zipfile.", "tarfile."),
)
"""Functions that make paths of this machine, or read files of it."""
_OF_PATHS = ("open", "read", "resolve", "absolute", "joinpath", "with_suffix", "expanduser", "iterdir", "glob", "rglob", "extractfile")


def _firsts(node: ast.AST, bindings: Bindings) -> list[tuple[ast.AST | Meaning, bool]]:
    """All that a text, a path, or each of several may begin with: what stands leftmost in it, also through names; and whether it is the
    root of a path that slashes of Python make."""
    waiting: list[tuple[ast.AST | Meaning, bool]] = [(node, False)]
    found: list[tuple[ast.AST | Meaning, bool]] = []
    seen = set[int]()
    while waiting and len(seen) < 1000:
        one, in_path = waiting.pop()
        if one is None or id(one) not in seen:
            inner = _inner(one, bindings)
            in_path = in_path or (isinstance(one, ast.BinOp) and isinstance(one.op, ast.Div))
            waiting += [(each, in_path) for each in inner]
            found += [] if inner else [(one, in_path)]
        seen.add(id(one))
    return found


def _inner(node: ast.AST | Meaning, bindings: Bindings) -> Sequence[Meaning]:
    match node:
        case ast.BinOp(first, ast.Add() | ast.Mod() | ast.Div()) | ast.JoinedStr([first, *_]) | ast.FormattedValue(first):
            return [first]
        case ast.Call(ast.Attribute(first, last)) if last in ("format", *_OF_PATHS):
            return [first]
        case ast.Call(function, [first, *_]) if "os.path.join" in bindings.paths(function):
            return [first]
        case ast.Tuple(elements) | ast.List(elements):
            return elements
        case ast.Name():
            return bindings.meanings(node)
    return []
