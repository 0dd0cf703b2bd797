"""What names in a Python source mean: imports, aliases and constants, whatever function binds them. All else is unknown."""

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from dataset_mirror.airgap.preflight.tables import makers

MAX_TEXT = 8 * 1024
"""Longest text that is put together, in characters; no URL is longer."""
_MAX_DEPTH = 30
_MAX_BITS = 1024
"""Longest number that is a value: Python refuses to write down very long ones."""
_BUILTINS = frozenset([*dir(builtins), "get_ipython"])
_CHANGING = ("append", "extend", "insert", "remove", "pop", "clear", "update")
"""Methods after which a list is another one."""


class Unknown:
    """The value of what only a run can tell."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


Meaning: TypeAlias = ast.expr | str | None
"""What a name is bound to: an expression, the dotted path of what is imported, or something that is not known."""
Paths: TypeAlias = frozenset[str | None]


@dataclass(frozen=True, slots=True)
class Seen:
    """A node, the node around it, and whether the innermost scope around it is a class."""

    node: ast.AST
    parent: ast.AST | None
    in_class: bool


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def walk(tree: ast.Module) -> Iterator[Seen]:
    """All nodes of a source in its order, without annotations."""
    waiting = [Seen(tree, None, False)]
    while waiting:  # not recursive: a source may be nested deeper than a program may
        seen = waiting.pop()
        yield seen
        in_class = isinstance(seen.node, ast.ClassDef) or (seen.in_class and not isinstance(seen.node, _FUNCTIONS))
        waiting += reversed([Seen(child, seen.node, in_class) for child in _children(seen.node)])


def _children(node: ast.AST) -> Iterator[ast.AST]:
    for name, value in ast.iter_fields(node):
        if name not in ("annotation", "returns"):
            yield from (child for child in (value if isinstance(value, list) else [value]) if isinstance(child, ast.AST))


class Bindings:
    """Everything that each name of a source is bound to, anywhere in it; cells of a notebook share one."""

    def __init__(self) -> None:
        self._meanings: dict[str, list[Meaning]] = {}
        self._stars: list[str | None] = []
        self._paths: dict[str, Paths] = {}
        self._values: dict[str, object] = {}
        self._changed: set[str] = set()
        """Names whose lists may have other elements than they were bound with; `os.remove` changes nothing of what `os` is."""

    def note(self, seen: Seen) -> None:
        """Takes up what a node binds. All nodes come before the first question."""
        match seen.node:
            case ast.Import(names):
                for alias in names:
                    root = alias.name.partition(".")[0]
                    self._bind(alias.asname or root, alias.name if alias.asname else root)
            case ast.ImportFrom(module, names, level):
                for alias in names:
                    self._import(alias, module if level == 0 else None)
            case ast.Name(name, ast.Store()):
                self._bind(name, _assigned(seen))
            case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name) | ast.arg(name):
                self._bind(name, None)
            case ast.Call(ast.Attribute(ast.Name(name), last)) if last in _CHANGING:
                self._changed.add(name)
            case ast.Subscript(ast.Name(name), _, ast.Store()):
                self._changed.add(name)
            case ast.ExceptHandler(_, str() as name) | ast.MatchAs(_, str() as name) | ast.MatchStar(str() as name):
                self._bind(name, None)

    def _bind(self, name: str, meaning: Meaning) -> None:
        self._meanings.setdefault(name, []).append(meaning)

    def _import(self, alias: ast.alias, module: str | None) -> None:
        if alias.name == "*":
            self._stars.append(module)
        else:
            self._bind(alias.asname or alias.name, f"{module}.{alias.name}" if module else None)

    def paths(self, node: ast.AST, depth: int = 0) -> Paths:
        """The dotted paths of what an expression may be; None among them: or something that is not known."""
        attributes: list[str] = []
        while isinstance(node, ast.Attribute):
            attributes.append(node.attr)
            node = node.value
        found = self._root(node, depth + 1) if depth < _MAX_DEPTH else frozenset([None])
        tail = "".join(f".{name}" for name in reversed(attributes))
        return frozenset(path + tail if path else None for path in found)

    def _root(self, node: ast.AST, depth: int) -> Paths:
        match node:
            case ast.Name(name):
                return self._of_name(name, depth)
            case ast.Call(function, arguments):
                return frozenset().union(*(self._made(path, arguments, depth) for path in self.paths(function, depth)))
            case ast.Constant():  # such as `tf = None` where an import failed: it has nothing to call
                return frozenset()
        return frozenset([None])

    def _made(self, function: str | None, arguments: list[ast.expr], depth: int) -> Paths:
        """The paths of what a function gives."""
        match function, arguments:
            case str(), _ if function in makers():
                return frozenset([f"{function}()"])
            case "importlib.import_module", [ast.Constant(str(module))]:
                return frozenset([module])
            case "builtins.getattr", [of, name, *_] if isinstance(chosen := self.constant(name, depth), str):
                return frozenset(f"{path}.{chosen}" if path else None for path in self.paths(of, depth))
        return frozenset([None])

    def _of_name(self, name: str, depth: int) -> Paths:
        if name not in self._paths:
            self._paths[name] = frozenset()  # a name that is made of itself adds nothing
            self._paths[name] = self._bound(name, depth)
        return self._paths[name]

    def _bound(self, name: str, depth: int) -> Paths:
        if name not in self._meanings:
            own: Paths = frozenset([f"builtins.{name}"] if name in _BUILTINS else [])
            return own | frozenset(f"{star}.{name}" if star else None for star in self._stars) or frozenset([None])
        known = [self.paths(one, depth) if isinstance(one, ast.expr) else frozenset([one]) for one in self._meanings[name]]
        return frozenset().union(*known)

    def defines(self, name: str) -> bool:
        """Whether the source has something of its own by that name, such as a function."""
        return None in self._meanings.get(name, [])

    def meanings(self, node: ast.AST) -> list[Meaning]:
        """All that a name is bound to; nothing for what is no name."""
        if not isinstance(node, ast.Name):
            return []
        return [*self._meanings.get(node.id, []), *([None] if node.id in self._changed else [])]

    def constant(self, node: ast.AST, depth: int = 0) -> object:
        """The value of an expression of literals, sums, and names that are bound once; else UNKNOWN."""
        if depth > _MAX_DEPTH:
            return UNKNOWN
        match node:
            case ast.Constant(int(value)) if value.bit_length() > _MAX_BITS:
                return UNKNOWN
            case ast.Constant(value):
                return value
            case ast.Name(name):
                return self._value(name, depth)
            case ast.Tuple(elements) | ast.List(elements):
                values = tuple(self.constant(element, depth + 1) for element in elements)
                return UNKNOWN if any(value is UNKNOWN for value in values) else values
            case ast.BinOp(left, ast.Add(), right):
                return _sum(self.constant(left, depth + 1), self.constant(right, depth + 1))
            case ast.JoinedStr(parts):
                return _text([self.constant(part, depth + 1) for part in parts])
            case ast.FormattedValue(value, -1, None):
                return self.constant(value, depth + 1)
            case ast.Call(function, [first, *_]) if "urllib.request.Request" in self.paths(function, depth):
                return self.constant(first, depth + 1)
        return UNKNOWN

    def _value(self, name: str, depth: int) -> object:
        if name not in self._values:
            self._values[name] = UNKNOWN
            match self._meanings.get(name):
                case [ast.expr() as meaning] if name not in self._changed:
                    self._values[name] = self.constant(meaning, depth + 1)
        return self._values[name]


def _assigned(seen: Seen) -> ast.expr | None:
    """The value that a name gets where it stands; None if it gets a part of one, or belongs to a class."""
    match seen.parent:
        case ast.Assign(_, value) | ast.AnnAssign(_, _, ast.expr() as value) | ast.withitem(value):
            return value if isinstance(value, ast.Constant) or not seen.in_class else None
    return None


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
