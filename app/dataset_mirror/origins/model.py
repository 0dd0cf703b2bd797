"""Origins and catalog entries, as presets and mirror.toml write them."""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from dataset_mirror.origins.checked import checked
from dataset_mirror.origins.credentials import credentials
from dataset_mirror.origins.durations import Seconds
from dataset_mirror.origins.hosts import allows, redirect_host
from dataset_mirror.origins.identity import ArchiveId, normalise_authority, normalise_path, parse_url, with_scheme
from dataset_mirror.origins.lists import as_list
from dataset_mirror.origins.names import Names
from dataset_mirror.origins.networks import Networks
from dataset_mirror.origins.rules import Matched, Rule, Rules, united


def _hex(length: int) -> AfterValidator:
    def check(values: tuple[str, ...]) -> tuple[str, ...]:
        lowered = tuple(value.lower() for value in values)
        if not all(len(value) == length and set(value) <= set("0123456789abcdef") for value in lowered):
            raise ValueError(f"a digest here has {length} hexadecimal digits")
        return lowered

    return AfterValidator(check)


def _plain_url(url: str) -> str:
    """With its scheme, which may be left out."""
    parse_url(url)
    return with_scheme(url)


def _plain_place(url: str) -> str:
    """Its host in the one form that everything is compared in."""
    if with_scheme(url) != url:
        raise ValueError("an origin's url begins with https:// or http://")
    parse_url(url)
    parts = urlsplit(url)
    return parts._replace(netloc=normalise_authority(parts.netloc, parts.scheme)).geturl()


def _plain_path(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError("a path begins with a slash")
    return normalise_path(path.encode())


def _place_below(path: str) -> str:
    parts = path.split("/")
    if not all(parts) or {".", ".."} & set(parts) or "\\" in path or not path.isprintable():
        raise ValueError("a path below KERAS_HOME is relative, and stays there")
    return path


Url = Annotated[str, checked(_plain_url)]
Place = Annotated[str, checked(_plain_place)]
Sha256s = Annotated[tuple[str, ...], BeforeValidator(as_list), _hex(64)]
KerasPath = Annotated[str, AfterValidator(_place_below)]
"""Where Keras keeps a file, below KERAS_HOME, such as `datasets/mnist.npz`."""
Md5s = Annotated[tuple[str, ...], BeforeValidator(as_list), _hex(32)]


class Origin(BaseModel):
    """An upstream server that clients name in URLs, the paths that may be mirrored, and how it is treated."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Place
    paths: tuple[Annotated[str, checked(_plain_path)], ...] = ()
    """Ending in `/`: a prefix; else one exact path."""
    redirects_to: tuple[Annotated[str, AfterValidator(redirect_host)], ...] = ()
    """Hosts (`host`, `host:port`, or `*.host` for all below it) that this origin may redirect to."""
    connections: int = Field(default=4, ge=1, le=64)
    """Most connections to this origin at once."""
    freshness: Seconds = 86400.0
    """Age at which an archive without a catalog digest is checked at its origin, in the background; also "1s", "5m", "1d"."""
    on_change: Literal["update", "keep"] = "update"
    """When the origin has other bytes: the next request gets them, or the first ones are kept for ever."""
    allow_private: bool = False
    """Whether its address may be private, loopback or otherwise not global."""
    headers: Annotated[dict[str, SecretStr], BeforeValidator(credentials)] = Field(default={}, repr=False)
    """Credentials, sent to this origin only; `${NAME}` in a value is that environment variable."""
    readers: Networks | None = None
    """Networks whose clients may have its archives. Not given: everybody, or, if it has `headers`, this machine only."""

    offline_gated: Literal["refuse", "readers"] = "refuse"
    """Offline nobody can be asked who may have what a rule says is `gated`: it is refused, or its `readers` get it."""
    passthrough: bool = True
    """Whether, inside a CONNECT, paths that are not in `paths` go to the real host unchanged; else they are refused."""
    rules: tuple[Rule, ...] = ()
    """How what lies at some of its paths is treated; the first one that matches counts."""

    @model_validator(mode="after")
    def _only_scheme_and_host(self) -> Self:
        parts = urlsplit(self.url)
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError("an origin's url is scheme and host only; what may be mirrored there goes into paths")
        return self

    @model_validator(mode="after")
    def _no_rule_twice(self) -> Self:
        if repeated := _repeated(match for rule in self.rules for match in rule.match):
            raise ValueError(f"two rules have the match {repeated}")
        return self

    @property
    def scheme(self) -> str:
        return urlsplit(self.url).scheme

    @property
    def authority(self) -> str:
        return normalise_authority(urlsplit(self.url).netloc, self.scheme)

    def lists(self, path: str, *, but: str | None = None) -> bool:
        """Whether the normalised `path` may be mirrored; `but` is an entry of `paths` that does not count."""
        return any(path.startswith(listed) if listed.endswith("/") else path == listed for listed in self.paths if listed != but)

    def redirects_may_lead_to(self, authority: str) -> bool:
        """Whether a redirect to that normalised authority is followed."""
        return authority == self.authority or any(allows(listed, authority) for listed in self.redirects_to)

    @cached_property
    def _rules(self) -> Rules:
        return Rules(self.rules)

    def rule(self, path: str) -> Matched | None:
        """The rule for the normalised `path`, if there is one."""
        return self._rules.of(path)

    def beginnings(self, scope: str) -> list[str]:
        """What the paths begin with that belong to a scope."""
        return self._rules.beginnings(scope)

    def lifetime(self, path: str) -> float:
        """Seconds for which what lies at the normalised `path` is fresh; infinite if it never changes."""
        found = self.rule(path)
        return self.freshness if found is None or found.rule.freshness is None else found.rule.freshness

    def extended_by(self, other: "Origin") -> "Origin":
        """This origin with `other`'s paths, redirect hosts and rules added, and the other keys that it sets replaced.

        Its rules come first: what an operator writes wins over a preset.
        """
        changes = {name: getattr(other, name) for name in other.model_fields_set}
        changes["paths"] = _united(self.paths, other.paths)
        changes["redirects_to"] = _united(self.redirects_to, other.redirects_to)
        changes["rules"] = united(other.rules, self.rules)
        extended = self.model_copy(update=changes)
        extended.__dict__.pop("_rules", None)  # a copy takes along what was compiled of the rules before
        return extended

    def url_of(self, archive: ArchiveId) -> str:
        """The URL that a client without a mirror would ask for."""
        return f"{self.scheme}://{archive}"


class CatalogEntry(BaseModel):
    """An archive that we know: its name, digests (any one matches), size in bytes, and where Keras keeps it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Url
    name: str = ""
    sha256: Sha256s = ()
    md5: Md5s = ()
    size: int | None = Field(default=None, ge=0)
    keras_home: tuple[KerasPath, ...] = ()
    """Paths below KERAS_HOME, the newest layout first."""
    note: str = ""

    @property
    def archive(self) -> ArchiveId:
        return parse_url(self.url)

    @property
    def shown(self) -> str:
        """Its URL without secrets."""
        return f"{self.url.partition('://')[0]}://{self.archive}" if "?" in self.url else self.url

    @property
    def has_digest(self) -> bool:
        return bool(self.sha256 or self.md5)


class Preset(BaseModel):
    """A TOML file of origins and archives."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    about: str = ""
    """What it is for, in one sentence."""
    note: str = ""
    """What to know before it is switched on: what does not work, and why."""
    catalog: Path | None = None
    """A file of more archives, as `catalog_file.py` has it; only presets that ship with the mirror have one."""
    origins: tuple[Origin, ...] = ()
    archives: tuple[CatalogEntry, ...] = ()
    names: tuple[Names, ...] = ()
    """What people call whole repositories of its origins; the first table that fits counts."""

    @model_validator(mode="after")
    def _no_path_twice(self) -> Self:
        if repeated := _repeated(f"{origin.authority}{path}" for origin in self.origins for path in origin.paths):
            raise ValueError(f"it lists {repeated} twice")
        return self

    @model_validator(mode="after")
    def _names_are_scopes(self) -> Self:
        """What a name asks for, the origin's rules have to tell apart by the same scope."""
        origins = {origin.authority: origin for origin in self.origins}
        for table in self.names:
            origin = origins.get(table.authority)
            if origin is None:
                raise ValueError(f"names of {table.origin}, which is none of its origins")
            for path in table.samples():
                matched = origin.rule(path)
                if matched is None or matched.scope is None:
                    raise ValueError(f"names {table.prefix}: ask for {path}, for which no rule has a `scope`")
        return self


def _united(first: Iterable[str], second: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*first, *second]))


def _repeated(values: Iterable[str]) -> str | None:
    """The first value that came before."""
    seen: set[str] = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None
