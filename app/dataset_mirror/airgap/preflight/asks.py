"""What a Python source asks for. Read from its syntax tree, never run; what only a run can tell is said to be so."""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dataset_mirror.airgap.preflight import loaders, programs, urls
from dataset_mirror.airgap.preflight.bindings import Bindings, Seen, walk
from dataset_mirror.airgap.preflight.loaders import Call
from dataset_mirror.airgap.preflight.subjects import Ask, Subject, Unclear

_KERAS = re.compile(
    r"(?:tensorflow(?:\.compat\.v[12]|\.python|\._api\.v2)?\.keras|tf_keras|keras)(?:\.(?:api|src|_tf_keras\.keras|_v2))*(?:\.(.+))?"
)
_METHODS = re.compile(
    r"from_pretrained|from_single_file|from_preset|from_hub|load_from_hub|load_dataset(?:_builder)?|snapshot_download|hf_hub_download"
    r"|load_state_dict_from_url|load_lora_weights|load_textual_inversion|load_ip_adapter|untar_data|download_and_prepare|from_hparams"
    r"|use_artifact|clone_from|download_fileobj|download_to_filename|download_as_\w+|download_blob"
)
"""Methods that load something wherever they come from."""


@dataclass(frozen=True, slots=True)
class Part:
    """A parsed source, or one cell of it; `place` has `{}` for the line."""

    tree: ast.Module
    place: str


def asks_of(parts: Iterable[Part]) -> list[Ask]:
    """Everything that a source asks for, in its order. Its parts share their names, as the cells of a notebook do."""
    bindings = Bindings(urls.constructors())
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


def _is_called(seen: Seen) -> bool:
    return isinstance(seen.parent, ast.Call) and seen.parent.func is seen.node


class _Reader:
    """Reads one source."""

    def __init__(self, bindings: Bindings) -> None:
        self._bindings = bindings
        self.used: set[int] = set()
        """Texts that are accounted for."""

    def of(self, seen: Seen) -> Iterator[Subject]:
        """What a name, a chain of attributes, or a call asks for."""
        yield from self._of_module(seen)
        if isinstance(seen.node, ast.Call):
            yield from self._of_call(seen.node)
        if isinstance(seen.parent, ast.Attribute) or not _is_read(seen.node):
            return
        paths = self._bindings.paths(seen.node)
        for path in sorted(path for path in paths if path is not None):
            for subject in self._named(path, seen):
                yield subject
                if None in paths:
                    yield Unclear(f"{_written(path)}, or something else that has its name here")

    def _of_module(self, seen: Seen) -> Iterator[Subject]:
        """A module that fetches when it is imported; a name that a variable chooses among all."""
        match seen.node:
            case ast.Import(names):
                paths = [alias.name for alias in names]
            case ast.ImportFrom(str(module), names, 0):
                paths = [f"{module}.{alias.name}" for alias in names]
            case ast.Subscript(space, chosen, ast.Load()) if self._bindings.is_namespace(space):
                paths = []
                if not isinstance(chosen, ast.Constant):
                    yield Unclear(f"{ast.unparse(seen.node)[:80]}, which a variable names")
            case ast.Attribute() | ast.Call():
                paths = [path for path in self._bindings.paths(seen.node) if path]
            case _:
                return
        modules = dict.fromkeys(filter(None, map(loaders.fetched_on_import, paths)))
        yield from (Unclear(f"{module}, which fetches when it is imported") for module in modules)

    def _of_call(self, call: ast.Call) -> Iterator[Subject]:
        """What is asked for by a call whatever its function is a name of: of known methods, of URLs and of programs."""
        function = call.func
        last = function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
        paths = [path for path in self._bindings.paths(function) if path]
        known = [path for path in paths if self._is_known(path)]
        subjects: list[Subject] = []
        if _METHODS.fullmatch(last) and not known:
            subjects += self._of_method(last, call)
        elif not known:
            subjects += urls.handed(last, call, self._bindings)
        subjects += programs.started(paths, last, call, self._bindings)
        if subjects:
            self.used |= urls.literals([*call.args, *(keyword.value for keyword in call.keywords)], self._bindings)
        yield from subjects

    def _is_known(self, path: str) -> bool:
        canonical = _written(path)
        return loaders.loads(canonical) or urls.is_fetcher(canonical)

    def _of_method(self, last: str, call: ast.Call) -> Iterator[Subject]:
        first = self._bindings.constant(call.args[0]) if call.args else None
        if not (isinstance(first, str) and first.startswith(("./", "../", "/", "~"))):
            yield Unclear(f"{last}{f'({first!r})' if isinstance(first, str) else ''}, of which no table says what it asks for")

    def _named(self, path: str, seen: Seen) -> Iterator[Subject]:
        canonical = _written(path)
        if urls.is_fetcher(canonical):
            yield from self._of_fetcher(canonical, seen)
        elif loaders.loads(canonical):
            yield from self._of_loader(canonical, seen)
        elif urls.is_maker(canonical) and self._is_handed_on(seen):
            yield Unclear(f"{canonical}, handed on as a value")
        elif self._is_chosen_from(canonical, seen):
            yield _handed_on(canonical, seen)

    def _is_chosen_from(self, path: str, seen: Seen) -> bool:
        """Whether a module with loaders is handed on, or asked for what a variable names."""
        module = path.removesuffix(".__dict__")
        if loaders.is_library(module):
            return (_is_argument_of(seen, "getattr") or _is_put_away(seen)) and not self._is_known_getattr(seen)
        return loaders.has_loaders(module) and self._is_handed_on(seen)

    def _of_fetcher(self, path: str, seen: Seen) -> Iterator[Subject]:
        if not _is_called(seen):
            if self._is_handed_on(seen):
                yield Unclear(f"{path}, handed on as a value")
            return
        assert isinstance(seen.parent, ast.Call)
        self.used |= urls.literals([*seen.parent.args, *(keyword.value for keyword in seen.parent.keywords)], self._bindings)
        yield from urls.fetched(path, seen.parent, self._bindings)

    def _of_loader(self, path: str, seen: Seen) -> Iterator[Subject]:
        function = loaders.mapped(path)
        if _is_called(seen):
            assert isinstance(seen.parent, ast.Call)
            yield Call(function, *self._arguments(seen.parent)) if function else Unclear(f"{path}, of which no table says what it asks for")
        elif self._is_handed_on(seen):
            yield Call(function) if function and loaders.asks_always(function) else Unclear(f"{path}, handed on as a value")

    def _arguments(self, call: ast.Call) -> tuple[tuple[object, ...], dict[str, object], bool]:
        return (
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

    # Where a name stands

    def _is_known_getattr(self, seen: Seen) -> bool:
        call = seen.parent
        is_getattr = _is_argument_of(seen, "getattr") and isinstance(call, ast.Call) and len(call.args) > 1
        return is_getattr and isinstance(call, ast.Call) and isinstance(self._bindings.constant(call.args[1]), str)

    def _is_handed_on(self, seen: Seen) -> bool:
        """Whether a value goes where it can no longer be followed: not into a name, a call of itself, or nowhere."""
        match seen.parent:
            case ast.Expr() | ast.Attribute():
                return False
            case ast.Assign(targets) if not seen.in_class:
                return not all(isinstance(target, ast.Name) for target in targets)
            case ast.AnnAssign(ast.Name()) | ast.NamedExpr() if not seen.in_class:
                return False
            case ast.withitem() if not seen.in_class:
                return False
            case ast.Call(ast.Name("isinstance" | "issubclass")):
                return False
        return not _is_called(seen) and not self._is_known_getattr(seen)


def _is_read(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) or (isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load))


def _is_argument_of(seen: Seen, function: str) -> bool:
    call = seen.parent
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == function and seen.node in call.args[:1]


def _is_put_away(seen: Seen) -> bool:
    """Whether a value goes into an attribute or an element of something."""
    match seen.parent:
        case ast.Assign(targets):
            return any(isinstance(target, ast.Attribute | ast.Subscript) for target in targets)
    return False


def _handed_on(path: str, seen: Seen) -> Unclear:
    what = path.removesuffix(".__dict__")
    chosen = _is_argument_of(seen, "getattr") or _is_argument_of(seen, "vars") or isinstance(seen.parent, ast.Subscript)
    return Unclear(f"a part of {what} that a variable names" if chosen else f"{what}, handed on as a value")


def _written(path: str) -> str:
    """`keras.datasets.mnist` for each of the ways to name it; any other path as it is."""
    match = _KERAS.fullmatch(path)
    return f"keras.{match[1] or ''}".rstrip(".") if match else path
