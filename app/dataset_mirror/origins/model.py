"""Origins and catalog entries, as presets and mirror.toml write them."""

import re
from collections.abc import Iterable
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from dataset_mirror.errors import BadRequest
from dataset_mirror.origins.credentials import credentials
from dataset_mirror.origins.identity import ArchiveId, normalise_authority, normalise_path, parse_url
from dataset_mirror.origins.networks import Networks


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _hex(length: int) -> AfterValidator:
    def check(values: tuple[str, ...]) -> tuple[str, ...]:
        lowered = tuple(value.lower() for value in values)
        if not all(len(value) == length and set(value) <= set("0123456789abcdef") for value in lowered):
            raise ValueError(f"a digest here has {length} hexadecimal digits")
        return lowered

    return AfterValidator(check)


def _plain_url(url: str) -> str:
    try:
        parse_url(url)
    except BadRequest as error:
        raise ValueError(str(error)) from None
    return url


def _plain_place(url: str) -> str:
    """Its host in the one form that everything is compared in."""
    parts = urlsplit(_plain_url(url))
    return parts._replace(netloc=normalise_authority(parts.netloc, parts.scheme)).geturl()


def _plain_path(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError("a path begins with a slash")
    try:
        return normalise_path(path.encode())
    except BadRequest as error:
        raise ValueError(str(error)) from None


def _place_below(path: str) -> str:
    parts = path.split("/")
    if not all(parts) or {".", ".."} & set(parts) or "\\" in path or not path.isprintable():
        raise ValueError("a path below KERAS_HOME is relative, and stays there")
    return path


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def _seconds(value: object) -> object:
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw])", value.strip(), re.ASCII)
    if match is None:
        raise ValueError('a duration is a number with a unit, such as "90s", "5m", "12h" or "1d"')
    return float(match[1]) * _UNITS[match[2]]


Seconds = Annotated[float, BeforeValidator(_seconds), Field(ge=0)]
Url = Annotated[str, AfterValidator(_plain_url)]
Place = Annotated[str, AfterValidator(_plain_place)]
Sha256s = Annotated[tuple[str, ...], BeforeValidator(_as_list), _hex(64)]
KerasPath = Annotated[str, AfterValidator(_place_below)]
"""Where Keras keeps a file, below KERAS_HOME, such as `datasets/mnist.npz`."""
Md5s = Annotated[tuple[str, ...], BeforeValidator(_as_list), _hex(32)]


class Origin(BaseModel):
    """An upstream server that clients name in URLs, the paths that may be mirrored, and how it is treated."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Place
    paths: tuple[Annotated[str, AfterValidator(_plain_path)], ...] = ()
    """Ending in `/`: a prefix; else one exact path."""
    redirects_to: tuple[str, ...] = ()
    """Hosts (`host` or `host:port`) that this origin may redirect to."""
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

    passthrough: bool = True
    """Whether, inside a CONNECT, paths that are not in `paths` go to the real host unchanged; else they are refused."""

    @model_validator(mode="after")
    def _only_scheme_and_host(self) -> Self:
        if urlsplit(self.url).path not in ("", "/") or urlsplit(self.url).query:
            raise ValueError("an origin's url is scheme and host only; what may be mirrored there goes into paths")
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

    def extended_by(self, other: "Origin") -> "Origin":
        """This origin with `other`'s paths and redirect hosts added, and the other keys that it sets replaced."""
        changes = {name: getattr(other, name) for name in other.model_fields_set}
        changes["paths"] = _united(self.paths, other.paths)
        changes["redirects_to"] = _united(self.redirects_to, other.redirects_to)
        return self.model_copy(update=changes)

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
    def has_digest(self) -> bool:
        return bool(self.sha256 or self.md5)


class Preset(BaseModel):
    """A TOML file of origins and archives."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    origins: tuple[Origin, ...] = ()
    archives: tuple[CatalogEntry, ...] = ()


def _united(first: Iterable[str], second: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*first, *second]))
