"""What a Python source asks for. Read from its syntax tree, never run; what only a run can tell is said to be so."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dataset_mirror.airgap.preflight import loaders, programs, tables, urls
from dataset_mirror.airgap.preflight.bindings import Bindings, Seen, walk
from dataset_mirror.airgap.preflight.loaders import Call
from dataset_mirror.airgap.preflight.subjects import Ask, Subject, Unclear

_LOOKING = ("isinstance", "issubclass", "hasattr", "callable", "print", "type", "repr", "str", "id", "dir", "help")
"""Builtins that only look at what they are given."""


@dataclass(frozen=True, slots=True)
class Part:
    """A parsed source, or one cell of it; `place` has `{}` for the line."""

    tree: ast.Module
    place: str


def asks_of(parts: Iterable[Part]) -> list[Ask]:
    """Everything that a source asks for, in its order. Its parts share their names, as the cells of a notebook do."""
    bindings = Bindings()
    walked = [(number, part, seen) for number, part in enumerate(parts) for seen in walk(part.tree)]
    for _, _, seen in walked:  # all names first: a function may use what is bound below it
        bindings.note(seen)
    reader = _Reader(bindings)
    found = [(number, part, seen, subject) for number, part, seen in walked for subject in reader.of(seen)]
    found += [(*each, subject) for each in walked if id(each[2].node) not in reader.used for subject in urls.texts(each[2], bindings)]
    lines = [(number, getattr(seen.node, "lineno", 1), part.place, subject) for number, part, seen, subject in found]
    return _once(Ask(place.format(line), subject) for _, line, place, subject in sorted(lines, key=lambda each: each[:2]))


def _once(asks: Iterable[Ask]) -> list[Ask]:
    found: list[Ask] = []
    for ask in asks:
        if ask not in found[-50:]:  # near each other: one expression is seen through each of its names
            found.append(ask)
    return found


class _Reader:
    """Reads one source."""

    def __init__(self, bindings: Bindings) -> None:
        self._bindings = bindings
        self.used: set[int] = set()
        """Texts that are accounted for."""

    def of(self, seen: Seen) -> Iterator[Subject]:
        """What an import, a name, a chain of attributes, or a call asks for."""
        modules = dict.fromkeys(filter(None, map(tables.fetched_on_import, self._imported(seen.node))))
        yield from (Unclear(f"{module}, which fetches when it is imported") for module in modules)
        if isinstance(seen.node, ast.Call):
            yield from self._of_call(seen.node)
        if isinstance(seen.parent, ast.Attribute) or not _is_read(seen.node):
            return
        paths = self._bindings.paths(seen.node)
        for path in sorted(tables.canonical(path) for path in paths if path is not None):
            for subject in self._named(path, seen):
                yield subject
                if None in paths:
                    yield Unclear(f"{path}, or something else that has its name here")

    def _imported(self, node: ast.AST) -> Iterable[str]:
        match node:
            case ast.Import(names):
                return [alias.name for alias in names]
            case ast.ImportFrom(str(module), names, 0):
                return [f"{module}.{alias.name}" for alias in names]
            case ast.Attribute() | ast.Call():
                return [path for path in self._bindings.paths(node) if path]
        return []

    def _of_call(self, call: ast.Call) -> Iterator[Subject]:
        """What a call asks for whose function no table knows: a method that loads, or URLs that it is given."""
        last = call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id if isinstance(call.func, ast.Name) else ""
        paths = [tables.canonical(path) for path in self._bindings.paths(call.func) if path]
        if any(tables.loads(path) or path in tables.fetchers() for path in paths):
            return
        first = self._bindings.constant(call.args[0]) if call.args else None
        if not tables.is_loading_method(last):
            subjects = list(urls.handed(last, call, self._bindings))
            if not subjects and urls.is_for_downloads(last) and not self._bindings.defines(last):
                subjects = [Unclear(f"{last}, which fetches something, by its name")]
        elif isinstance(first, str) and first.startswith(("./", "../", "/", "~")):
            subjects = []
        else:
            subjects = [_unmapped(f"{last}({first!r})" if isinstance(first, str) else last)]
        if subjects:
            self._account_for(call)
        yield from subjects

    def _account_for(self, call: ast.Call) -> None:
        self.used |= urls.literals([*call.args, *(keyword.value for keyword in call.keywords)], self._bindings)

    def _named(self, path: str, seen: Seen) -> Iterator[Subject]:
        """What something with a dotted path asks for, where it stands."""
        call = seen.parent if isinstance(seen.parent, ast.Call) and seen.parent.func is seen.node else None
        fetcher, function = tables.fetchers().get(path), tables.mapped(path)
        module = path.removesuffix(".__dict__")
        if fetcher and call:
            self._account_for(call)
            asked = programs.started if fetcher.how in programs.KINDS else urls.fetched
            yield from asked(path, fetcher, call, self._bindings)
        elif function and call:
            yield self._call(function, call)
        elif tables.loads(path) and call:
            yield _unmapped(path)
        elif call or not self._is_handed_on(seen):
            return
        elif function and loaders.asks_always(function):
            yield Call(function)
        elif tables.has_loaders(module) and _is_asked_for_a_part(seen):
            yield Unclear(f"a part of {module} that a variable names")
        elif fetcher or tables.loads(path) or path.removesuffix("()") in tables.makers() or tables.has_loaders(module):
            yield Unclear(f"{module.removeprefix('builtins.')}, handed on as a value")

    def _call(self, function: str, call: ast.Call) -> Call:
        return Call(
            function,
            tuple(self._value(value) for value in call.args),
            {keyword.arg: self._value(keyword.value) for keyword in call.keywords if keyword.arg},
            any(isinstance(value, ast.Starred) for value in call.args) or any(keyword.arg is None for keyword in call.keywords),
        )

    def _value(self, node: ast.expr) -> object:
        """A constant; for a member of an enumeration of a library, such as `ResNet50_Weights.DEFAULT`, the member's name."""
        paths = self._bindings.paths(node) if isinstance(node, ast.Attribute | ast.Name) else frozenset()
        if len(paths) == 1 and (path := next(iter(paths))) and path.rpartition(".")[0].endswith("_Weights"):
            return path.rpartition(".")[2]
        return self._bindings.constant(node)

    def _is_handed_on(self, seen: Seen) -> bool:
        """Whether a value goes where it can no longer be followed: not into a name, a test, or nowhere."""
        match seen.parent:
            case ast.Expr() | ast.Compare() | ast.If() | ast.UnaryOp():
                return False
            case ast.Subscript(of, _, ast.Store() | ast.Del()):
                return of is not seen.node
            case ast.Assign(targets) if not seen.in_class:
                return not all(isinstance(target, ast.Name) for target in targets)
            case ast.AnnAssign(ast.Name()) | ast.withitem() if not seen.in_class:
                return False
            case ast.Call(ast.Name(name)) if name in _LOOKING:
                return False
            case ast.Call(ast.Name("getattr"), [_, name, *_]):
                return not isinstance(self._bindings.constant(name), str)
        return True


def _is_read(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) or (isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load))


def _is_asked_for_a_part(seen: Seen) -> bool:
    match seen.parent:
        case ast.Subscript() | ast.Call(ast.Name("getattr" | "vars")):
            return True
    return False


def _unmapped(what: str) -> Unclear:
    return Unclear(f"{what}, of which no table says what it asks for")
