"""Rules per path: how what lies at the paths of an origin is treated. The first rule that matches counts."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from dataset_mirror.origins.checked import checked
from dataset_mirror.origins.confirm import Confirm
from dataset_mirror.origins.durations import Seconds
from dataset_mirror.origins.identity import normalise_authority, parse_url
from dataset_mirror.origins.patterns import Pattern
from dataset_mirror.origins.queries import check_query_rule

BATCH = "batch"
"""The last segment of the paths of Git LFS' batch API."""
REF, COMMIT = "ref", "commit"
"""The name in a match whose place a commit takes, and that of the commit."""

_FIELD = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
_PREFIX = re.compile(r"-[0-9a-f]{8,}\.[^/]+$")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def _patterns(given: object) -> object:
    """Checked here as a whole: the errors of a union say nothing to a person."""
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list | tuple) or not texts or not all(isinstance(text, str) for text in texts):
        raise ValueError('it is a path such as "/sets/**", or a list of such')
    return tuple(Pattern.parse(text).text for text in texts)


def _field_name(name: str) -> str:
    if not _FIELD.fullmatch(name):
        raise ValueError("a response field's name has letters, digits and hyphens, and no colon")
    return name.lower()


def _lifetime(value: object) -> object:
    return float("inf") if value == "never" else value


def _post(value: object) -> object:
    """Checked here as a whole: the errors of a union say nothing to a person."""
    if isinstance(value, bool):
        return value
    if not isinstance(value, list | tuple) or not value or not all(isinstance(name, str) and name for name in value):
        raise ValueError('it is true, or a list of the fields of JSON that are all of a question, such as ["owner", "name"]')
    return tuple(value)


def _ref(value: object) -> object:
    return {"field": value} if isinstance(value, str) else value


def _index_page(url: str) -> str:
    if not url.startswith("https://") or "{project}" not in url:
        raise ValueError('`index` is a URL with {project} in it, such as "https://pypi.org/simple/{project}/"')
    parse_url(url.replace("{project}", "x"))
    return url


FieldName = Annotated[str, AfterValidator(_field_name)]
Query = Annotated[Literal["keep", "ignore", "drop-signature"] | tuple[str, ...], BeforeValidator(check_query_rule)]


class Ref(BaseModel):
    """How a name that moves, such as a branch, is resolved: what of an answer names the commit that it means now."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: FieldName | None = None
    """A response field of the origin's own answer, such as X-Repo-Commit."""
    json_key: str | None = Field(default=None, alias="json")
    """Or a key of the JSON object that it answers."""
    ask: str | None = None
    """The path to ask, with names of the match in it; else the one that was asked for."""
    name: str | None = None
    """The ref that is meant where the match has no `{ref}`, such as main."""
    at: str | None = None
    """The path of the same at a commit, with `{commit}` and names of the match in it; else the commit takes the place of `{ref}`."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.field is None) == (self.json_key is None):
            raise ValueError("a ref has either a field or json: where the origin's answer names the commit")
        if (self.name is not None) and self.at is None:
            raise ValueError("a ref with a name has `at`: the path at a commit")
        if not all(path.startswith("/") for path in (self.ask, self.at) if path is not None):
            raise ValueError("`ask` and `at` are paths, which begin with a slash")
        return self


class Claims(BaseModel):
    """Response fields, before any redirect, that tell digest or size of the bytes; a value that is none says nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: FieldName | None = None
    md5: FieldName | None = None
    size: FieldName | None = None


class Rule(BaseModel):
    """What holds for the paths that `match`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    match: Annotated[tuple[str, ...], BeforeValidator(_patterns)]
    """Paths, one or several, as `patterns.py` has them: `*` and `**`, `{commit}` of 40 digits, `{name}` to be remembered."""
    freshness: Annotated[Seconds | None, BeforeValidator(_lifetime)] = None
    """Age at which the origin is asked again; "never": the bytes at such a path never change. Not given: the origin's."""
    when_stale: Literal["serve", "ask"] = "serve"
    """Stale bytes are served while the origin is asked; or it is asked first, and they are served only if it fails."""
    store: bool = True
    """Whether anything is kept; else each request is passed on, with the client's own fields."""
    digest: Literal["sha256-in-path", "sha256-prefix-in-name"] | None = None
    """The bytes' digest, where the URL has it: a segment of 64 hexadecimal digits; or `name-1a2b3c4d.pth`."""
    index: Annotated[str, checked(_index_page)] | None = None
    """The page of a package index that has the digests of the files, with `{project}` for the name of the project that a file is of."""
    links_to: tuple[Annotated[str, checked(normalise_authority)], ...] = ()
    """Hosts whose URLs in the content lead to the mirror, for clients that asked by its own address; others get it as it is."""
    redirect_fields: tuple[FieldName, ...] = ()
    """Fields of the origin's own answer, before any redirect, that are kept with the archive."""
    claims: Claims = Claims()
    """Which fields of that answer say what the bytes are, wherever it redirects to: they are believed like a catalog."""
    pages: bool = False
    """Whether HTML is the content; the client's Accept is then part of the identity."""
    query: Query = "keep"
    """What of the query is identity: all ("keep"), nothing ("ignore"), all but signatures, or the fields of these names."""
    post: Annotated[bool | tuple[str, ...], BeforeValidator(_post)] = False
    """Whether a POST only asks: its answer is kept under the URL and the digest of what was sent. Or the fields of the JSON object
    that it may send, which a scope may name; one with others is passed on."""
    lfs: bool = False
    """Whether it is Git LFS' batch API, at paths that end in `/batch`: its objects are at `/{sha256}` beside it, kept by digest."""
    confirm: Confirm | None = None
    """What pages mean that come in the place of a file: where the origin asks back, that is followed, and never kept."""
    scope: str | None = None
    """What belongs together, with names of the match in it: refs and permissions hold for all of it."""
    ref: Annotated[Ref | None, BeforeValidator(_ref)] = None
    """`{ref}` in the match is resolved to a commit once for the whole scope."""
    gated: bool = False
    """Whether the origin decides, by the client's own Authorization, who of a scope's readers may have it."""
    shared: bool = False
    """Whether all who may have it get the same, although the origin says that its answers are for one client (`private`, a cookie)."""
    offline_status: int = Field(default=504, ge=400, le=599)
    """With what an offline mirror refuses what it does not have: some clients look into their own cache only after a 4xx."""

    @property
    def patterns(self) -> list[Pattern]:
        return [Pattern(text) for text in self.match]

    @property
    def scope_names(self) -> list[str]:
        """The names in its scope."""
        return _PLACEHOLDER.findall(self.scope or "")

    @property
    def is_immutable(self) -> bool:
        return self.freshness == float("inf")

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        for pattern in self.patterns:
            self._check_names_of(pattern.names)
        if self.gated and self.scope is None:
            raise ValueError("a rule with `gated` has a `scope`: for what a permission holds")
        if self.is_immutable and self.when_stale == "ask":
            raise ValueError('what is fresh for ever (freshness = "never") is never asked for again: leave out `when_stale`')
        if self.lfs and (wrong := [match for match in self.match if not match.endswith((f"/{BATCH}", "/{sha256}"))]):
            raise ValueError(f"a rule with `lfs` is for paths that end in /{BATCH} and in /{{sha256}}, not for {wrong[0]}")
        if self.confirm and self.pages:
            raise ValueError("with `confirm` a page is never the content: leave out `pages`")
        if not self.store and (kept := _KEEPING & self.model_fields_set):
            raise ValueError(f"with store = false nothing is kept: leave out {', '.join(sorted(kept))}")
        return self

    def _check_names_of(self, names: list[str]) -> None:
        _check_names(self.scope, [*names, *(self.post if isinstance(self.post, tuple) else ())])
        if self.ref is None:
            return
        if REF not in names and self.ref.name is None:
            raise ValueError(f"a rule with `ref` has {{{REF}}} in its match, or the `name` of the ref that is meant")
        _check_names(self.ref.ask, names)
        _check_names(self.ref.at, [*names, COMMIT])


def _check_names(template: str | None, known: Iterable[str]) -> None:
    for name in _PLACEHOLDER.findall(template or ""):
        if name not in known:
            raise ValueError(f"{{{name}}} is not in its match")


_KEEPING = frozenset(
    [
        "freshness",
        "when_stale",
        "digest",
        "redirect_fields",
        "claims",
        "post",
        "ref",
        "query",
        "pages",
        "lfs",
        "confirm",
        "shared",
        "index",
        "links_to",
    ]
)
"""What says how something is kept."""


@dataclass(frozen=True, slots=True)
class Matched:
    """The rule for a path, and what its match remembers of it."""

    rule: Rule
    pattern: Pattern
    names: dict[str, str] = field(default_factory=dict)

    def filled(self, template: str, **more: str) -> str:
        """The template with what was remembered in its braces."""
        return _PLACEHOLDER.sub(lambda name: (self.names | more)[name[1]], template)

    @property
    def ref(self) -> str | None:
        """The ref that the path means."""
        return self.names.get(REF) or (self.rule.ref.name if self.rule.ref else None)

    @property
    def scope(self) -> str | None:
        """What the path belongs to."""
        if self.rule.scope is not None:
            return self.filled(self.rule.scope)
        return "/".join(value for name, value in self.names.items() if name != REF) if self.rule.ref else None

    def digest_in(self, path: str) -> str | None:
        """The SHA-256 that the path has as a segment, in lower case, if the rule says that it is the bytes' own."""
        if self.rule.digest != "sha256-in-path" and not self.rule.lfs:
            return None
        return next((segment.lower() for segment in path.split("/") if _SHA256.fullmatch(segment)), None)

    @property
    def is_batch(self) -> bool:
        """Whether the path is that of Git LFS' batch API, by which objects are asked for."""
        return self.rule.lfs and self.pattern.text.endswith(f"/{BATCH}")

    @property
    def is_object(self) -> bool:
        """Whether the path is that of an object of Git LFS."""
        return self.rule.lfs and not self.is_batch

    def tells_digest(self, path: str) -> bool:
        """Whether the path has the digest of the bytes, or its beginning, as the rule says."""
        if self.rule.digest == "sha256-prefix-in-name":
            return _PREFIX.search(path) is not None
        return self.digest_in(path) is not None

    def at_commit(self, path: str, commit: str) -> str:
        """The path of the same at a commit."""
        if self.rule.ref and self.rule.ref.at is not None:
            return self.filled(self.rule.ref.at, commit=commit)
        found = re.fullmatch(self.pattern.regex(), path)
        assert found is not None
        start, end = found.span(REF)
        return path[:start] + commit + path[end:]


class Rules:
    """The rules of one origin, compiled into one matcher."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._known = [(rule, pattern) for rule in rules for pattern in rule.patterns]
        whole = "|".join(f"(?P<r{number}>{pattern.regex(f'r{number}_')})" for number, (_, pattern) in enumerate(self._known))
        self._matcher = re.compile(whole) if whole else None

    def beginnings(self, scope: str) -> list[str]:
        """What the paths begin with that belong to a scope; none of these begins with another."""
        found = {
            pattern.beginning(known) for rule, pattern in self._known if rule.store and (known := _values(rule.scope, scope)) is not None
        }
        return sorted(one for one in found if not any(one != other and one.startswith(other) for other in found))

    def of(self, path: str) -> Matched | None:
        """The first rule that matches the normalised path."""
        found = self._matcher.fullmatch(path) if self._matcher else None
        if found is None or found.lastgroup is None:
            return None
        prefix = f"{found.lastgroup}_"
        names = {name.removeprefix(prefix): value for name, value in found.groupdict().items() if name.startswith(prefix)}
        return Matched(*self._known[int(found.lastgroup[1:])], names)


def _values(template: str | None, scope: str) -> dict[str, str] | None:
    """The values of a template's names with which it is this scope; None if it can never be."""
    if template is None:
        return None
    parts = _PLACEHOLDER.split(template)
    regex = "".join(f"(?P<{part}>.+)" if number % 2 else re.escape(part) for number, part in enumerate(parts))
    found = re.fullmatch(regex, scope)
    return found.groupdict() if found else None


def united(first: Iterable[Rule], then: Iterable[Rule]) -> tuple[Rule, ...]:
    """Both, `first` before `then`; of two with the same match the first."""
    known: dict[tuple[str, ...], Rule] = {}
    for rule in (*first, *then):
        known.setdefault(rule.match, rule)
    return tuple(known.values())
