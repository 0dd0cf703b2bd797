"""What Python sources say in literals, read from their syntax: nothing of them is run."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

URL = re.compile(r"https?://[^\s{}]+")
MD5 = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Literals:
    """A class or module: its name and what its attributes are, where they are literals."""

    name: str
    values: Mapping[str, object] = field(default_factory=dict)
    body: tuple[ast.AST, ...] = ()

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Each URL with the MD5 that stands beside it in one bracket."""
        for node in self.body:
            for inner in ast.walk(node):
                texts = list(_texts(inner))
                urls, md5s = [text for text in texts if URL.fullmatch(text)], [text for text in texts if MD5.fullmatch(text)]
                if len(urls) == len(md5s) == 1:
                    yield urls[0], md5s[0]

    def files(self) -> Iterator[tuple[str, str]]:
        """Each file name with its MD5: of tuples, and of dictionaries by name."""
        for value in self.values.values():
            yield from _files(value)


def _texts(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Tuple | ast.List | ast.Dict | ast.Call):
        children = [*ast.iter_child_nodes(node), *(keyword.value for keyword in getattr(node, "keywords", []))]
        yield from (child.value for child in children if isinstance(child, ast.Constant) and isinstance(child.value, str))


def _files(value: object) -> Iterator[tuple[str, str]]:
    match value:
        case (*_, str(name), str(md5)) if MD5.fullmatch(md5):
            yield name, md5
        case dict():
            for key, inner in value.items():
                yield from _files((key, inner) if isinstance(key, str) and isinstance(inner, str) else inner)
        case list() | tuple():
            for inner in value:
                yield from _files(inner)


def classes(tree: ast.Module) -> list[Literals]:
    """The classes of a module, each with what the module itself has in literals."""
    module = literals(tree.body)
    return [Literals(node.name, module | literals(node.body), tuple(node.body)) for node in tree.body if isinstance(node, ast.ClassDef)]


def literals(body: Iterable[ast.AST]) -> dict[str, object]:
    """The names that are assigned literals."""
    found: dict[str, object] = {}
    for node in body:
        match node:
            case ast.Assign([ast.Name(name)], value) | ast.AnnAssign(ast.Name(name), _, ast.expr() as value):
                found[name] = partly(value)
    return found


def partly(node: ast.expr) -> object:
    """The value of a literal, with None for what in it is none."""
    match node:
        case ast.Constant(value):
            return value
        case ast.Dict(keys, values):
            return {partly(key): partly(value) for key, value in zip(keys, values, strict=True) if key is not None}
        case ast.Tuple(elements):
            return tuple(partly(element) for element in elements)
        case ast.List(elements):
            return [partly(element) for element in elements]
    return None


def parameters(function: ast.FunctionDef) -> str:
    """The parameters of a function as a call may give them, with defaults that are literals; `?` for other ones."""
    arguments = function.args
    given = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [*[None] * (len(given) - len(arguments.defaults)), *arguments.defaults, *arguments.kw_defaults]
    pairs = zip([*given, *arguments.kwonlyargs], defaults, strict=True)
    return ",".join(argument.arg + _default(default) for argument, default in pairs if argument.arg not in ("self", "cls"))


def _default(default: ast.expr | None) -> str:
    match default:
        case None:
            return ""
        case ast.Constant(bool() | int() | None as value):
            return f"={value}"
        case ast.Constant(str() as text) if not set(text) & set(",;=|\t\n"):
            return f"={text}"
        case ast.Attribute(ast.Name(), name):
            return f"={name}"
    return "=?"
