"""What names in a Python source may mean, found out from its syntax alone; nothing of it is ever run."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

MAX_TEXT = 8 * 1024
"""Longest text that is put together, in characters; no URL is longer."""
_MAX_DEPTH = 30

Function = ast.FunctionDef | ast.AsyncFunctionDef
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, *_COMPREHENSIONS)


class Unknown:
    """The value of what only a run can tell."""


UNKNOWN: Final = Unknown()


@dataclass(frozen=True, slots=True)
class Imported:
    """A name that an import binds, as the dotted path of what it imports."""

    path: str


@dataclass(eq=False, slots=True)
class Scope:
    """A module, class, function or comprehension, and every binding of each name in it, whatever the order of the lines."""

    parent: "Scope | None" = None
    is_class: bool = False
    bindings: "dict[str, list[Binding]]" = field(default_factory=dict)
    elsewhere: "dict[str, Scope]" = field(default_factory=dict)
    """Names declared global or nonlocal, and the scope that has them."""
    stars: list[str | None] = field(default_factory=list)
    """What `from … import *` was made from; None where that cannot be told."""

    @property
    def module(self) -> "Scope":
        scope = self
        while scope.parent:
            scope = scope.parent
        return scope

    def bind(self, name: str, to: "ast.expr | Imported | None" = None) -> None:
        """`to` None: to something that is not known."""
        scope = self.elsewhere.get(name, self)
        scope.bindings.setdefault(name, []).append((to, self))

    def lookup(self, name: str) -> "list[Binding] | None":
        """What the name may be bound to where this scope uses it, or None if nothing binds it. Functions do not see into classes."""
        scope: Scope | None = self
        while scope:
            if (scope is self or not scope.is_class) and name in scope.bindings:
                return scope.bindings[name]
            scope = scope.parent
        return None


Binding: TypeAlias = tuple[ast.expr | Imported | None, Scope]


@dataclass(frozen=True, slots=True)
class Seen:
    """A node of a source, the node around it, and the scope that it is in."""

    node: ast.AST
    parent: ast.AST | None
    scope: Scope


def walk(tree: ast.Module, module: Scope) -> list[Seen]:
    """All nodes of a source in its order, with what they bind noted down in their scopes."""
    found, named = [], set[int]()
    for seen in _walk(tree, module):
        _bind(seen, named)
        found.append(seen)
    return found


def _walk(tree: ast.Module, module: Scope) -> Iterator[Seen]:
    waiting = [Seen(tree, None, module)]
    while waiting:  # not recursive: a source may be nested deeper than a program may
        seen = waiting.pop()
        yield seen
        inner = Scope(seen.scope, isinstance(seen.node, ast.ClassDef)) if isinstance(seen.node, _SCOPES) else seen.scope
        waiting += reversed([Seen(child, seen.node, inner) for child in ast.iter_child_nodes(seen.node)])


def _bind(seen: Seen, named: set[int]) -> None:
    """Notes what a node binds; `named` are the targets whose value is known, which come later by themselves."""
    node, scope = seen.node, seen.scope
    match node:
        case ast.Import() | ast.ImportFrom():
            _bind_imports(node, scope)
        case ast.Assign(targets, value):
            for target in targets:
                _assign(target, value, scope, named)
        case ast.AnnAssign(target, _, ast.expr() as value) | ast.NamedExpr(target, value):
            _assign(target, value, scope, named)
        case ast.Name(name, ast.Store()) if id(node) not in named:
            scope.bind(name)
        case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name) | ast.arg(name):
            scope.bind(name)
        case ast.ExceptHandler(_, str() as name) | ast.MatchAs(_, str() as name) | ast.MatchStar(str() as name):
            scope.bind(name)
        case ast.Global(names):
            scope.elsewhere |= dict.fromkeys(names, scope.module)
        case ast.Nonlocal(names) if scope.parent:
            scope.elsewhere |= dict.fromkeys(names, scope.parent)


def _bind_imports(node: ast.Import | ast.ImportFrom, scope: Scope) -> None:
    if isinstance(node, ast.Import):
        for alias in node.names:
            root = alias.name.partition(".")[0]
            scope.bind(alias.asname or root, Imported(alias.name if alias.asname else root))
        return
    source = node.module if node.level == 0 else None
    for alias in node.names:
        if alias.name == "*":
            scope.stars.append(source)
        else:
            scope.bind(alias.asname or alias.name, Imported(f"{source}.{alias.name}") if source else None)


def _assign(target: ast.expr, value: ast.expr, scope: Scope, named: set[int]) -> None:
    match target, value:
        case ast.Name(name), _:
            named.add(id(target))
            scope.bind(name, value)
        case ast.Tuple(targets), ast.Tuple(values) if len(targets) == len(values):
            for each, its_value in zip(targets, values, strict=True):
                if isinstance(each, ast.Name) and not isinstance(its_value, ast.Starred):
                    _assign(each, its_value, scope, named)


class Reader:
    """Reads expressions: which dotted path they may name, and which constant they are."""

    def __init__(self) -> None:
        self.used: set[int] = set()
        """Literals that constants were made of."""
        self._paths: dict[tuple[int, str], frozenset[str | None]] = {}
        self._values: dict[tuple[int, str], object] = {}

    def paths(self, node: ast.AST, scope: Scope, depth: int = 0) -> frozenset[str | None]:
        """The dotted paths of modules and their contents that an expression may be; None among them: or something else."""
        attributes: list[str] = []
        while isinstance(node, ast.Attribute):
            attributes.append(node.attr)
            node = node.value
        found = self._root(node, scope, depth) if depth < _MAX_DEPTH else frozenset({None})
        tail = "".join(f".{name}" for name in reversed(attributes))
        return frozenset(path + tail if path else None for path in found)

    def _root(self, node: ast.AST, scope: Scope, depth: int) -> frozenset[str | None]:
        match node:
            case ast.Name(name):
                return self._named(name, scope, depth)
            case ast.IfExp(_, one, other):
                return self.paths(one, scope, depth + 1) | self.paths(other, scope, depth + 1)
            case ast.NamedExpr(_, value):
                return self.paths(value, scope, depth + 1)
            case ast.Call(function, [first, *others]):
                return self._called(function, first, others, scope, depth)
            case ast.Constant():  # such as `tf = None` where an import failed: it has nothing to call
                return frozenset()
        return frozenset({None})

    def _named(self, name: str, scope: Scope, depth: int) -> frozenset[str | None]:
        key = (id(scope), name)
        if key not in self._paths:
            self._paths[key] = frozenset()  # a name that is made of itself adds nothing
            self._paths[key] = self._bound(name, scope, depth)
        return self._paths[key]

    def _bound(self, name: str, scope: Scope, depth: int) -> frozenset[str | None]:
        bindings = scope.lookup(name)
        if bindings is None:
            stars = scope.module.stars or [None]
            return frozenset(f"{star}.{name}" if star else None for star in stars)
        found: set[str | None] = set()
        for value, its_scope in bindings:
            match value:
                case Imported(path):
                    found.add(path)
                case ast.expr() if not its_scope.is_class:
                    found |= self.paths(value, its_scope, depth + 1)
                case _:
                    found.add(None)
        return frozenset(found)

    def _called(self, function: ast.expr, first: ast.expr, others: list[ast.expr], scope: Scope, depth: int) -> frozenset[str | None]:
        """`getattr(module, "name")`, `importlib.import_module("path")` and `__import__("path")`."""
        if isinstance(function, ast.Name) and function.id == "getattr" and others:
            name = self.constant(others[0], scope)
            is_name = isinstance(name, str) and name.isidentifier()
            return frozenset(f"{path}.{name}" if path and is_name else None for path in self.paths(first, scope, depth + 1))
        is_import = isinstance(function, ast.Name) and function.id == "__import__"
        if is_import or self.paths(function, scope, depth + 1) == {"importlib.import_module"}:
            path = self.constant(first, scope)
            if isinstance(path, str) and all(name.isidentifier() for name in path.split(".")):
                return frozenset({path.partition(".")[0] if is_import else path})
        return frozenset({None})

    def constant(self, node: ast.AST, scope: Scope, depth: int = 0) -> object:
        """The value of an expression of literals, sums, and names that are bound once; else UNKNOWN."""
        if depth > _MAX_DEPTH:
            return UNKNOWN
        match node:
            case ast.Constant(value):
                self.used.add(id(node))
                return value
            case ast.Name(name):
                return self._value(name, scope, depth)
            case ast.Tuple(elements) | ast.List(elements):
                return _all_or_unknown(tuple(self.constant(element, scope, depth + 1) for element in elements))
            case ast.BinOp(left, ast.Add(), right):
                return _sum(self.constant(left, scope, depth + 1), self.constant(right, scope, depth + 1))
            case ast.JoinedStr(parts):
                return _text([self.constant(part, scope, depth + 1) for part in parts])
            case ast.FormattedValue(value, -1, None):
                return self.constant(value, scope, depth + 1)
        return UNKNOWN

    def _value(self, name: str, scope: Scope, depth: int) -> object:
        key = (id(scope), name)
        if key not in self._values:
            self._values[key] = UNKNOWN
            bindings = scope.lookup(name) or []
            if len(bindings) == 1 and isinstance(bindings[0][0], ast.expr):
                self._values[key] = self.constant(bindings[0][0], bindings[0][1], depth + 1)
        return self._values[key]


def _all_or_unknown(values: tuple[object, ...]) -> object:
    return UNKNOWN if any(value is UNKNOWN for value in values) else values


def _text(values: list[object]) -> object:
    if not all(isinstance(value, str | int) for value in values):
        return UNKNOWN
    text = "".join(str(value) for value in values)
    return text if len(text) <= MAX_TEXT else UNKNOWN


def _sum(left: object, right: object) -> object:
    if isinstance(left, str) and isinstance(right, str):
        return _text([left, right])
    if isinstance(left, tuple) and isinstance(right, tuple) and len(left) + len(right) <= MAX_TEXT:
        return left + right
    return UNKNOWN
