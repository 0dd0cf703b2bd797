"""What people call a whole repository of a hub: `hf:org/name@revision`. A table of a preset says where its hub tells what is in it.

[[names]]
name = ["hub:*/*"]                                       what a name looks like; `*` is one segment
origin = "https://hub.example.org"
revision = "/api/{scope}/revision/{ref}"                 the path that tells the commit; its rule has a `ref`
tree = { ask = "/api/{scope}/tree/{commit}" }            the files at a commit, in JSON; pages are linked by rel="next"
file = "/{scope}/at/{commit}/{path}"                     where each of them is

What follows the colon is the scope of the origin's rules: a name means what these say of it, and nothing here knows a hub.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Self
from urllib.parse import quote, unquote, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from dataset_mirror.errors import BadRequest, UsageError
from dataset_mirror.origins.identity import ArchiveId, normalise_authority, parse_url
from dataset_mirror.origins.lists import as_list

_WORD = re.compile(r"([a-z][a-z0-9_-]*):(?!/)(?![0-9]+(?:/|$))(.*)", re.DOTALL)
_SHAPE = re.compile(r"[a-z][a-z0-9_-]*:[A-Za-z0-9._~*/-]+")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def prefix_of(word: str) -> str | None:
    """The `hf` of `hf:org/name`; None for what is no such name, such as a URL or HOST:PORT/PATH."""
    found = _WORD.fullmatch(word)
    return found[1] if found else None


def without_revision(word: str) -> str:
    """The `hf:org/name` of `hf:org/name@v1`; any other word as it is."""
    return word.partition("@")[0] if prefix_of(word) else word


def _shape(text: str) -> str:
    if not _SHAPE.fullmatch(text):
        raise ValueError('a name is such as "hub:*/*"')
    return text


def _template(*names: str) -> AfterValidator:
    def check(text: str) -> str:
        found = set(_PLACEHOLDER.findall(text))
        if not text.startswith("/") or found != set(names):
            raise ValueError(f"it is a path with {' and '.join(f'{{{name}}}' for name in names)} in it")
        return text

    return AfterValidator(check)


def _server(url: str) -> str:
    parts = urlsplit(url)
    try:
        if parts.scheme in ("http", "https") and parts.netloc and parts.path in ("", "/"):
            return f"{parts.scheme}://{normalise_authority(parts.netloc, parts.scheme)}"
    except BadRequest:
        pass
    raise ValueError("it is the url of one of the preset's origins")


class Tree(BaseModel):
    """Where a hub lists the files at a commit, and which keys of its JSON say what."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ask: Annotated[str, _template("scope", "commit")]
    """Path and query of the whole listing, folders included; of a long one further pages are linked (RFC 8288, rel="next")."""
    list_key: str | None = Field(default=None, alias="list")
    """The key of the list of entries; else the answer itself is the list."""
    path: str = "path"
    """The key of an entry's path in its repository."""
    size: str = "size"
    """The key of its size in bytes; entries may lack it."""
    files: Mapping[str, str] = {"type": "file"}
    """What tells entries that are files from others."""


class Names(BaseModel):
    """One kind of name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[tuple[Annotated[str, AfterValidator(_shape)], ...], BeforeValidator(as_list), Field(min_length=1)]
    """What names look like; `*` is one segment. What follows the colon is the scope."""
    origin: Annotated[str, AfterValidator(_server)]
    ref: str = "main"
    """The revision that is meant where none is named."""
    revision: Annotated[str, _template("scope", "ref")]
    tree: Tree
    file: Annotated[str, _template("scope", "commit", "path")]
    also: tuple[Annotated[str, _template("scope", "commit")], ...] = ()
    """What clients ask for besides, once for each commit."""
    absent: Mapping[str, str] | None = None
    """Fields of the 404 for a file that the stored listing of its commit does not name, when its origin cannot be asked."""
    folders: Annotated[str, _template("scope", "commit", "folder")] | None = None
    """What clients ask for besides, once for each folder."""

    @model_validator(mode="after")
    def _one_prefix(self) -> Self:
        if len({shape.partition(":")[0] for shape in self.name}) != 1:
            raise ValueError("all names of one table begin with the same word and a colon")
        return self

    @property
    def prefix(self) -> str:
        return self.name[0].partition(":")[0]

    @property
    def authority(self) -> str:
        return urlsplit(self.origin).netloc

    def means(self, scope: str) -> bool:
        """Whether a scope has the shape of these names."""
        return any(_fits(shape.partition(":")[2], scope) for shape in self.name)

    def path_in(self, path: str) -> tuple[str, str, str] | None:
        """Scope, commit and path in the repository of a file's path at its origin; None if it is that of no file."""
        found = self._files.fullmatch(path)
        if found is None or not self.means(found["scope"]):
            return None
        return found["scope"], found["commit"], unquote(found["path"])

    @cached_property
    def _files(self) -> re.Pattern[str]:
        kinds = {"scope": "(?P<scope>.+?)", "commit": "(?P<commit>[0-9a-f]{40})", "path": "(?P<path>.+)"}
        parts = _PLACEHOLDER.split(self.file)
        return re.compile("".join(kinds[part] if number % 2 else re.escape(part) for number, part in enumerate(parts)))

    def samples(self) -> Iterator[str]:
        """Paths as they are asked for, for checks: of a revision, a listing and a file."""
        for shape in self.name:
            scope = shape.partition(":")[2].replace("*", "x")
            known = {"scope": scope, "ref": "x", "commit": "0" * 40, "path": "x"}
            yield from (_filled(template, **known).partition("?")[0] for template in (self.revision, self.tree.ask, self.file))


def _fits(shape: str, scope: str) -> bool:
    return re.fullmatch("[^/:]+".join(re.escape(part) for part in shape.split("*")), scope) is not None


def _filled(template: str, **known: str) -> str:
    return _PLACEHOLDER.sub(lambda name: known[name[1]], template)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a listing; its size in bytes, if that is said."""

    path: str
    size: int | None


@dataclass(frozen=True, slots=True)
class Repository:
    """What a name means: a scope of an origin, and a revision of it."""

    names: Names
    scope: str
    revision: str | None = None
    """As it was named; None if it was not."""

    def __str__(self) -> str:
        return f"{self.name}@{self.revision}" if self.revision else self.name

    @property
    def name(self) -> str:
        """Without a revision."""
        return f"{self.names.prefix}:{self.scope}"

    @property
    def about(self) -> str:
        """`HOST/SCOPE`, as facts have it."""
        return f"{self.names.authority}/{self.scope}"

    @property
    def ref(self) -> str:
        """The revision that is meant, as a segment of a path."""
        return quote(self.revision or self.names.ref, safe="")

    @property
    def commit(self) -> str | None:
        """The commit, if the name has one."""
        return self.revision if self.revision and _COMMIT.fullmatch(self.revision) else None

    @property
    def question(self) -> ArchiveId:
        """What tells which commit is meant."""
        return self._at(self.names.revision, ref=self.ref)

    def listing(self, commit: str) -> ArchiveId:
        """The first page of the files at a commit."""
        return self._at(self.names.tree.ask, commit=commit)

    def file(self, commit: str, path: str) -> ArchiveId:
        """Where a file is. BadRequest for a path that cannot be."""
        return self._at(self.names.file, commit=commit, path=quote(path))

    def besides(self, commit: str, entries: Iterable[Entry]) -> list[ArchiveId]:
        """What clients ask for besides its files."""
        found = [self._at(self.names.revision, ref=commit), *(self._at(each, commit=commit) for each in self.names.also)]
        if self.names.folders is not None:
            folders = sorted({folder for entry in entries for folder in _folders(entry.path)})
            found += [self._at(self.names.folders, commit=commit, folder=f"/{quote(folder)}" if folder else "") for folder in folders]
        return found

    def entries(self, content: bytes) -> list[Entry]:
        """The files that a page of a listing names. ValueError if it is none."""
        try:
            known: Any = json.loads(content)
            listed = known if self.names.tree.list_key is None else known[self.names.tree.list_key]
            if not isinstance(listed, list):
                raise TypeError("it is no list")
            return [self._entry(each) for each in listed if self._is_file(each)]
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"no listing of files: {error!r}") from None

    def _is_file(self, entry: Mapping[str, Any]) -> bool:
        return all(entry.get(key) == value for key, value in self.names.tree.files.items())

    def _entry(self, entry: Mapping[str, Any]) -> Entry:
        path, size = entry[self.names.tree.path], entry.get(self.names.tree.size)
        if not isinstance(path, str) or not path:
            raise ValueError("a file without a path")
        path.encode()  # half a character, which no URL can have, is a ValueError, too
        return Entry(path, size if type(size) is int and size >= 0 else None)

    def _at(self, template: str, **known: str) -> ArchiveId:
        return parse_url(self.names.origin + _filled(template, scope=quote(self.scope), **known))


def _folders(path: str) -> Iterator[str]:
    """The folders that a path is in, the repository itself included."""
    parts = path.split("/")[:-1]
    return ("/".join(parts[:end]) for end in range(len(parts) + 1))


def repository(word: str, tables: Iterable[Names]) -> Repository | None:
    """The repository that a word names; None if the word is no such name. UsageError if it looks like one, but means none."""
    prefix = prefix_of(word)
    if prefix is None:
        return None
    known = [table for table in tables if table.prefix == prefix]
    scope, at, revision = word.partition(":")[2].partition("@")
    found = next((table for table in known if table.means(scope)), None)
    if found is None:
        raise _unknown(word, prefix, known, tables)
    if (at and not revision) or not (scope + revision).isprintable() or {".", ".."} & {*scope.split("/"), *revision.split("/")}:
        raise UsageError(f"{word!r} is not a name of a repository.", f"For example: {found.prefix}:{scope}@{found.ref}")
    return Repository(found, scope, revision or None)


def _file_in(word: str, known: Sequence[Names]) -> str:
    """What to say of `hf:org/name/file`: its URL."""
    parts = word.partition(":")[2].strip("/").split("/")
    most = max((shape.count("/") + 1 for table in known for shape in table.name), default=0)
    for end in range(min(len(parts) - 1, most), 0, -1):
        scope, at, revision = "/".join(parts[:end]).partition("@")
        if table := next((table for table in known if table.means(scope)), None):
            path = _filled(table.file, scope=quote(scope), commit=quote(revision or table.ref, safe=""), path=quote("/".join(parts[end:])))
            return f" A file of {table.prefix}:{scope}{at}{revision} is {table.origin}{path}"
    return ""


def _unknown(word: str, prefix: str, known: Sequence[Names], tables: Iterable[Names]) -> UsageError:
    shapes = [shape for table in known for shape in table.name]
    if shapes:
        hint = f"Names are {', '.join(shapes)}, each with or without @REVISION."
        return UsageError(f"{word!r} is not a name of a repository.", hint + _file_in(word, known))
    others = sorted({f"{table.prefix}:" for table in tables})
    hint = f"Names of whole repositories begin with {' or '.join(others)}." if others else "No preset has names of whole repositories."
    return UsageError(f"No preset has names that begin with {prefix}:, such as {word!r}.", hint)
