"""What a Python source asks Keras, or a URL, for. Read from its syntax tree, never run; what only a run can tell is said to be so."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from dataset_mirror.airgap.preflight.scopes import UNKNOWN, Reader, Scope, Seen, walk

_KERAS = re.compile(
    r"(?:tensorflow(?:\.compat\.v[12]|\.python|\._api\.v2)?\.keras|tf_keras|keras)(?:\.(?:api|src|_tf_keras\.keras|_v2))*(?:\.(.+))?"
)
_URL = re.compile(r"https?://[^\x00-\x20\x7f-\xa0\"'<>`|\\]+", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"[{}]|%(?:[sdr]|\()")
_LOADERS = ("load_data", "get_word_index")


@dataclass(frozen=True, slots=True)
class Dataset:
    """`keras.datasets.NAME.LOADER`; the loader is load_data or get_word_index."""

    name: str
    loader: str


@dataclass(frozen=True, slots=True)
class Application:
    """A call of a model of keras.applications; values that only a run can tell are UNKNOWN."""

    name: str
    positional: tuple[object, ...] = ()
    named: Mapping[str, object] = field(default_factory=dict)
    starred: bool = False
    """Whether it is called with `*` or `**`."""


@dataclass(frozen=True, slots=True)
class ClassIndex:
    """The names of the classes of ImageNet, which `decode_predictions` needs."""


@dataclass(frozen=True, slots=True)
class Address:
    """A URL. `certain`: it is asked for; else it merely stands in the source, and only a configured origin makes it one of ours."""

    url: str
    certain: bool = False


@dataclass(frozen=True, slots=True)
class Beginning:
    """A URL of which only the beginning stands in the source."""

    url: str


@dataclass(frozen=True, slots=True)
class Unclear:
    """Something of Keras that may ask for archives, in a way that only a run can tell."""

    reason: str


Subject = Dataset | Application | ClassIndex | Address | Beginning | Unclear


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked for, and where; `place` as people write it: `train.py:12`."""

    place: str
    subject: Subject


@dataclass(frozen=True, slots=True)
class Part:
    """A parsed source, or one cell of it; `place` has `{}` for the line."""

    tree: ast.Module
    place: str


def asks_of(parts: Iterable[Part]) -> list[Ask]:
    """Everything that a source asks for, in its order. Its parts share their names, as the cells of a notebook do."""
    module, reader = Scope(), Reader()
    # All names first: a function may use what is bound below it.
    walked = [(number, part, seen) for number, part in enumerate(parts) for seen in walk(part.tree, module)]
    found = [(number, part, seen, subject) for number, part, seen in walked for subject in _of(seen, reader)]
    texts = [(number, part, seen, subject) for number, part, seen in walked for subject in _of_text(seen, reader)]
    found += [text for text in texts if id(text[2].node) not in reader.used]
    lines = [(number, getattr(seen.node, "lineno", 1), part.place, subject) for number, part, seen, subject in found]
    return _once(Ask(place.format(line), subject) for _, line, place, subject in sorted(lines, key=lambda each: each[:2]))


def _once(asks: Iterable[Ask]) -> list[Ask]:
    found: list[Ask] = []
    for ask in asks:
        if ask not in found[-50:]:  # near each other: one expression is seen through each of its names
            found.append(ask)
    return found


def urls_in(text: str) -> list[str]:
    """The URLs that stand in a text, without the full stop or bracket that follows them."""
    return [url.rstrip(".,;:)]") for url in _URL.findall(text)]


def _of(seen: Seen, reader: Reader) -> Iterator[Subject]:
    """What a name, or a chain of attributes, asks for."""
    node, parent = seen.node, seen.parent
    if isinstance(parent, ast.Attribute) or not _is_read(node):
        return
    paths = {_within_keras(path) for path in reader.paths(node, seen.scope)}
    for path in sorted(path for path in paths if path is not None):
        for subject in _asked(path, seen, reader):
            yield subject
            if None in paths:
                yield Unclear(f"{_written(path)}, or something else that has its name here")


def _is_read(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) or (isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load))


def _within_keras(path: str | None) -> str | None:
    """`datasets.mnist` for each of the ways to name it, "" for Keras itself, None for what is not Keras'."""
    match = _KERAS.fullmatch(path or "")
    return (match[1] or "") if match else None


def _asked(path: str, seen: Seen, reader: Reader) -> Iterator[Subject]:
    area, _, rest = path.partition(".")
    last = path.rpartition(".")[2]
    if area == "datasets":
        yield from _of_datasets(rest, seen, reader)
    elif area == "applications" and last == "decode_predictions":
        yield ClassIndex()
    elif area == "applications":
        yield from _of_applications(path, last, seen, reader)
    elif area == "utils" and last == "get_file":
        yield from _of_get_file(seen, reader)
    elif not path and _is_argument_of(seen, "getattr") and not _is_known_getattr(seen, reader):
        yield _handed_on(path, seen)


def _of_datasets(rest: str, seen: Seen, reader: Reader) -> Iterator[Subject]:
    name, _, loader = rest.partition(".")
    if loader in _LOADERS:
        yield Dataset(name, loader)
    elif loader in ("", "__dict__") and _is_handed_on(seen, reader):
        yield _handed_on(f"datasets.{rest}".rstrip("."), seen)


def _of_applications(path: str, last: str, seen: Seen, reader: Reader) -> Iterator[Subject]:
    is_model = last[0].isupper()
    if is_model and _is_called(seen):
        assert isinstance(seen.parent, ast.Call)
        yield _application(last, seen.parent, seen.scope, reader)
    elif (is_model or path.count(".") < 2 or last == "__dict__") and _is_handed_on(seen, reader):
        yield _handed_on(path, seen)


def _application(name: str, call: ast.Call, scope: Scope, reader: Reader) -> Application:
    return Application(
        name,
        tuple(reader.constant(value, scope) for value in call.args),
        {keyword.arg: reader.constant(keyword.value, scope) for keyword in call.keywords if keyword.arg},
        any(isinstance(value, ast.Starred) for value in call.args) or any(keyword.arg is None for keyword in call.keywords),
    )


def _of_get_file(seen: Seen, reader: Reader) -> Iterator[Subject]:
    if not _is_called(seen):
        if _is_handed_on(seen, reader):
            yield Unclear("keras.utils.get_file, handed on as a value")
        return
    call = seen.parent
    assert isinstance(call, ast.Call)
    origins = [keyword.value for keyword in call.keywords if keyword.arg == "origin"] or call.args[1:2]
    origin = reader.constant(origins[0], seen.scope) if origins else UNKNOWN
    reader.used |= {id(node) for node in origins}
    if not isinstance(origin, str):
        yield Unclear("keras.utils.get_file, whose origin is a variable")
    elif _URL.fullmatch(origin):
        yield Address(origin, certain=True)
    elif not origin.lower().startswith("file:"):
        yield Unclear("keras.utils.get_file, whose origin is no http or https URL")


# Where a name stands


def _is_called(seen: Seen) -> bool:
    return isinstance(seen.parent, ast.Call) and seen.parent.func is seen.node


def _is_argument_of(seen: Seen, function: str) -> bool:
    call = seen.parent
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == function and seen.node in call.args[:1]


def _is_known_getattr(seen: Seen, reader: Reader) -> bool:
    call = seen.parent
    return (
        _is_argument_of(seen, "getattr")
        and isinstance(call, ast.Call)
        and len(call.args) > 1
        and isinstance(reader.constant(call.args[1], seen.scope), str)
    )


def _is_handed_on(seen: Seen, reader: Reader) -> bool:
    """Whether a value goes where it can no longer be followed: not into a name, a call of itself, or nowhere."""
    match seen.parent:
        case ast.Expr() | ast.Attribute():
            return False
        case ast.Assign(targets) if not seen.scope.is_class:
            return not all(isinstance(target, ast.Name) for target in targets)
        case ast.AnnAssign(ast.Name()) | ast.NamedExpr() if not seen.scope.is_class:
            return False
    return not _is_called(seen) and not _is_known_getattr(seen, reader)


def _handed_on(path: str, seen: Seen) -> Unclear:
    what = _written(path).removesuffix(".__dict__")
    chosen = _is_argument_of(seen, "getattr") or _is_argument_of(seen, "vars") or isinstance(seen.parent, ast.Subscript)
    return Unclear(f"a part of {what} that a variable names" if chosen else f"{what}, handed on as a value")


def _written(path: str) -> str:
    return f"keras.{path}" if path else "keras"


# URLs in texts


def _of_text(seen: Seen, reader: Reader) -> Iterator[Subject]:
    """The URLs of a whole text: a literal or a sum, but no docstring and no part of another text."""
    node, parent = seen.node, seen.parent
    if not _is_text(node) or isinstance(parent, ast.Expr | ast.JoinedStr) or (isinstance(parent, ast.BinOp) and _is_text(parent)):
        return
    value = node.value if isinstance(node, ast.Constant) else reader.constant(node, seen.scope)  # to look at a literal is not to use it
    if isinstance(value, str):
        for url in urls_in(value):
            known = _PLACEHOLDER.split(url)[0]
            yield Address(url) if known == url else Beginning(known)
    else:
        yield from map(Beginning, urls_in(_beginning(node, seen.scope, reader))[:1])


def _is_text(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Add | ast.Mod)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _beginning(node: ast.AST, scope: Scope, reader: Reader) -> str:
    """How a text begins that is not known as a whole; empty if that is not known either."""
    while isinstance(node, ast.BinOp):
        node = node.left
    if isinstance(node, ast.JoinedStr) and node.values:
        node = node.values[0]
    value = reader.constant(node, scope)
    return _PLACEHOLDER.split(value)[0] if isinstance(value, str) else ""
