"""Settings: mirror.toml, then DATASET_MIRROR_* variables, then flags; the last one wins.

A wrong value is one sentence: where it stands, its key, its value, and what would be right.
"""

import json
import os
import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from platformdirs import user_data_path
from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from dataset_mirror.errors import UsageError
from dataset_mirror.origins.ahead import Keep, Rates
from dataset_mirror.origins.credentials import HIDDEN, without_headers
from dataset_mirror.origins.lines import line_of
from dataset_mirror.origins.lists import as_list
from dataset_mirror.origins.model import CatalogEntry, Origin
from dataset_mirror.origins.networks import Networks
from dataset_mirror.origins.paths import DatabaseUrl, SomePath, expanded
from dataset_mirror.origins.presets import preset_text, read_preset
from dataset_mirror.origins.sharing import Bucket, as_bucket, database_url
from dataset_mirror.origins.table import Origins
from dataset_mirror.origins.urls import BaseUrl, Upstreams, WebhookUrl
from dataset_mirror.rules.anonymous import Anonymising
from dataset_mirror.rules.company import FROM_ENVIRONMENT, company_proxy
from dataset_mirror.rules.no_proxy import entries_of
from dataset_mirror.rules.secrets import BLANK, without_secrets

ENV_PREFIX = "DATASET_MIRROR_"
CONFIG_VARIABLE = ENV_PREFIX + "CONFIG"
URL_VARIABLE = ENV_PREFIX + "URL"
"""The mirror that commands work with; no setting."""
_NO_SETTINGS = (CONFIG_VARIABLE, URL_VARIABLE)
FILE_NAME = "mirror.toml"
_ORIGIN_KEYS = frozenset(Origin.model_fields) - {"headers"}
_USER = re.compile(r"[^\s/@'\":]+:[^\s/@'\"]+@")
_LEAST_SECRET = 8
"""Characters of a configured value that is a secret; shorter ones would blank words."""


def _workers(value: object) -> object:
    """Checked here as a whole, as below."""
    number = int(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value
    if value != "auto" and (not isinstance(number, int) or not 1 <= number <= MOST_WORKERS):
        raise ValueError(f'it is a number from 1 to {MOST_WORKERS}, or "auto" for one per core')
    return number


MOST_WORKERS = 256
_NUMBER = re.compile(r"-?\d{1,9}", re.ASCII)


def _tunnel(value: object) -> object:
    """Checked here as a whole: the errors of a union say nothing to a person."""
    hosts = as_list(value)
    if value == "public":
        return value
    if not isinstance(hosts, list | tuple) or not all(isinstance(host, str) and _TUNNEL_HOST.fullmatch(host) for host in hosts):
        raise ValueError('it is "public", or a list of hosts such as "pypi.org", or "*.pypi.org" for all below it')
    return tuple(host.removesuffix(".").lower() for host in hosts)


_TUNNEL_HOST = re.compile(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\.?")


class Settings(BaseSettings):
    """All that can be set. Units: seconds and bytes (sizes may be written "10GB")."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="forbid", frozen=True)

    data: SomePath = Field(default_factory=lambda: _user_folder(), description="folder that holds everything", examples=["/srv/mirror"])
    host: str = Field("127.0.0.1", min_length=1, description="address to listen at", examples=["0.0.0.0"])
    port: int = Field(8080, ge=0, le=65535, description="port to listen at; 0 takes a free one", examples=[8080])
    offline: bool = Field(
        False,
        description="serve only what is there; no packet leaves, but to the mirrors that share one store, and to that",
        examples=[True],
    )
    presets: tuple[str, ...] = Field(
        ("keras", "huggingface"), description="presets by name, or paths of TOML files", examples=[["keras", "huggingface"]]
    )
    upstreams: Upstreams = Field(
        {},
        description="base URLs to fetch from instead of an origin's host, in order",
        examples=[{"storage.googleapis.com": ["http://127.0.0.1:9000"]}],
    )
    origins: tuple[Origin, ...] = Field(
        (), description="more origins", examples=[[{"url": "https://data.example.org", "paths": ["/sets/"]}]]
    )
    archives: tuple[CatalogEntry, ...] = Field(
        (), description="digests that override the presets'", examples=[[{"url": "https://data.example.org/a.zip", "sha256": "ab12" * 16}]]
    )
    idle_timeout: float = Field(30, gt=0, description="seconds of silence after which an upstream is given up", examples=[30])
    grace: float = Field(8, ge=0, description="seconds that answers under way get when the mirror stops", examples=[8])
    head_timeout: float = Field(30, gt=0, description="seconds that a client gets to send a request's head", examples=[30])
    max_connections: int | None = Field(
        None, ge=1, description="connections of clients at once; default: as many as open files allow, at most 10000", examples=[2000]
    )
    workers: Annotated[int | Literal["auto"], BeforeValidator(_workers)] = Field(
        1, description='processes that answer clients, the one that fetches among them; "auto": one per core', examples=[4, "auto"]
    )
    public_url: BaseUrl | None = Field(None, description="URL at which clients reach the mirror", examples=["http://mirror.lab:8080"])
    upstream_proxy: BaseUrl | None = Field(
        None, description='proxy for the mirror\'s own way out; "env": that of the environment', examples=["http://proxy.lab:3128"]
    )
    no_proxy: Annotated[tuple[str, ...], BeforeValidator(as_list), AfterValidator(entries_of)] = Field(
        (),
        description='hosts reached without upstream_proxy: domains, addresses, networks, or "*", as in NO_PROXY',
        examples=[["internal.lab", "10.0.0.0/8"]],
    )
    ca_file: SomePath | None = Field(
        None, description="CAs to trust instead of the system's, as a PEM file", examples=["/etc/ssl/certs/ca-certificates.crt"]
    )
    max_size: ByteSize | None = Field(
        None, ge=0, description="bytes that all archives may take together; those used longest ago make room", examples=["500GB"]
    )
    min_free: ByteSize = Field(ByteSize(1_000_000_000), ge=0, description="bytes of the disk to leave free", examples=["1GB"])
    memory_cache: ByteSize = Field(
        ByteSize(64 * 1024 * 1024), ge=0, description="bytes of memory for small archives that are asked for often", examples=["64MiB"]
    )
    max_fills: int = Field(16, ge=1, le=1000, description="downloads at once", examples=[16])
    slow_rate: ByteSize = Field(
        ByteSize(32 * 1024),
        ge=0,
        description="bytes per second below which a download gives its place to those that wait, and goes on beside; 0: never",
        examples=["32KiB"],
    )
    token: str | None = Field(None, min_length=8, repr=False, description="bearer token for /api/", examples=["a-long-secret"])
    forwarded_allow_ips: Networks = Field(
        (), description="proxies in front whose Forwarded or X-Forwarded-For is believed", examples=[["127.0.0.1"]]
    )
    anonymise_clients: Anonymising = Field(
        "off",
        description='what is told and kept of clients\' addresses: "off" all, "network" (/24, /48 of IPv6), "all" nothing',
        examples=["network"],
    )
    tunnel: Annotated[Literal["public"] | tuple[str, ...], BeforeValidator(_tunnel)] = Field(
        "public",
        description='hosts, other than origins, that CONNECT leads to: "public" for all public ones, or a list',
        examples=[["pypi.org", "*.pythonhosted.org"], [], "public"],
    )
    max_tunnels: int = Field(256, ge=0, description="tunnels to such hosts at once", examples=[256])
    tls_port: int | None = Field(None, ge=0, le=65535, description="second port, for https with tls_cert and tls_key", examples=[8443])
    tls_cert: SomePath | None = Field(
        None, description="certificate of tls_port, with its chain, as a PEM file", examples=["/etc/mirror/cert.pem"]
    )
    tls_key: SomePath | None = Field(None, description="private key of tls_cert, as a PEM file", examples=["/etc/mirror/key.pem"])
    keep: tuple[Keep, ...] = Field(
        (), description="archives that are fetched ahead, and at which hours", examples=[[{"name": "keras/*", "at": "02:00"}]]
    )
    rate_limit: Rates | None = Field(
        None, description="bytes per second from all origins together, for always or by hours", examples=["20MB", {"08:00-18:00": "5MB"}]
    )
    notify: WebhookUrl | None = Field(
        None,
        repr=False,
        description="URL that is told of failures, of a full disk, and of archives that changed",
        examples=["https://hooks.example.org/mirror"],
    )
    database: DatabaseUrl | None = Field(
        None, pattern="^sqlite:///", description="index elsewhere than in the data folder", examples=["sqlite:////var/lib/mirror/index.db"]
    )
    shared: Annotated[str | None, AfterValidator(database_url)] = Field(
        None,
        repr=False,
        description="PostgreSQL database that several mirrors know things from together; needs `bucket`",
        examples=["postgresql://mirror:password@db.lab/mirrors"],
    )
    bucket: Annotated[Bucket | None, NoDecode, BeforeValidator(as_bucket)] = Field(
        None, description="bucket that they keep archives in together; needs `shared`", examples=["s3://mirrors/lab"]
    )
    advertise_url: BaseUrl | None = Field(
        None, description="URL at which the other mirrors reach this one; default: its own address", examples=["http://mirror-1.lab:8080"]
    )
    require_shared: bool = Field(
        False, description="do not start without database and bucket, rather than go on alone until they are back", examples=[True]
    )
    prefetch: Annotated[tuple[str, ...], BeforeValidator(as_list)] = Field(
        (), description="archives to take from the bucket as soon as another mirror has them", examples=[["keras/*"]]
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch(cls, value: object, about: ValidationInfo) -> object:
        """Python takes True for 1: `port = true` would be port 1."""
        if isinstance(value, bool) and cls.model_fields[str(about.field_name)].annotation is not bool:
            raise ValueError("a number is meant, or a text, but not true or false")
        return value

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load` gives: it reads the layers itself, to be able to say where a wrong value stands."""
        return (init_settings,)


class Configuration:
    """Settings together with the origins that they and their presets describe, and the file they came from.

    There is one in a process, and it is live: whoever needs a setting or an origin reads it here at that moment, and keeps no
    copy, so that a reload reaches everybody without being told.
    """

    def __init__(self, settings: Settings, file: Path, again: "Callable[[], Configuration]") -> None:
        self.settings = settings
        self.file = file
        self._again = again
        self.refused: UsageError | None = None
        """Why the last reload was refused, if it was."""
        self.origins = Origins((read_preset(name, file.parent) for name in settings.presets), settings.origins, settings.archives)
        for origin, match in self.origins.idle_rules():
            raise UsageError(
                f"{self._place_of(match)}: the rule with match = {json.dumps(match)} can match nothing, "
                f"for the `paths` of {origin.url} allow no such path.",
                "Correct it, add the path to `paths`, or remove the rule.",
            )

    def _place_of(self, match: str) -> str:
        """Where a rule stands: the file and the line, or the name of the preset."""
        texts = {f"The preset {name}": preset_text(name, self.file.parent) for name in self.settings.presets}
        if self.file.exists():
            texts = {f"In {self.file}": self.file.read_text(encoding="utf-8"), **texts}
        for place, text in texts.items():
            for number, line in enumerate(text.splitlines(), 1):
                if json.dumps(match) in line or f"'{match}'" in line:
                    return f"{place}, line {number}"
        return "In the environment: DATASET_MIRROR_ORIGINS"

    def read_again(self) -> "Configuration":
        """Everything read once more, and not taken up yet; UsageError if it is wrong now."""
        try:
            return self._again()
        except UsageError as error:
            self.refused = error
            raise

    def take_up(self, fresh: "Configuration") -> None:
        """What was read is what holds from now on."""
        self.settings, self.origins, self.refused = fresh.settings, fresh.origins, None

    def secrets(self) -> Collection[str]:
        """What it has at the moment that must not be written down."""
        settings = self.settings
        found = {value.get_secret_value() for origin in self.origins for value in origin.headers.values()}
        found |= {settings.token or "", settings.notify or "", settings.shared or "", urlsplit(settings.shared or "").password or ""}
        if settings.bucket and settings.bucket.secret_access_key:
            found.add(settings.bucket.secret_access_key.get_secret_value())
        parts = {part for value in found for part in value.split()}
        return {secret for secret in found | parts if len(secret) >= _LEAST_SECRET}

    def reload(self) -> None:
        """Reads everything once more and takes it up; UsageError, and nothing changes, if it is wrong now."""
        self.take_up(self.read_again())


def sharing(settings: Settings) -> tuple[str, Bucket] | None:
    """Database and bucket of several mirrors; None for one alone. UsageError if only one of them is given."""
    if settings.shared is not None and settings.bucket is not None:
        return settings.shared, settings.bucket
    if settings.shared is None and settings.bucket is None:
        return None
    there, missing = ("shared", "bucket") if settings.shared else ("bucket", "shared")
    raise UsageError(
        f"`{there}` is set, but `{missing}` is not: several mirrors need both.", f"For example: {missing} = {_example(missing)}."
    )


def load(config: Path | None = None, flags: Mapping[str, object] | None = None) -> Configuration:
    """The configuration from file, environment and flags. UsageError, in one sentence, if any value is wrong."""
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    environment = _environment()
    if config is None and CONFIG_VARIABLE in os.environ:
        config = Path(os.environ[CONFIG_VARIABLE])
    file = _given(config) if config else _data_folder(given, environment) / FILE_NAME
    layers = [("the command line: --{flag}", given), (f"the environment: {ENV_PREFIX}{{KEY}}", environment)]
    written = _read_file(file, must_exist=config is not None)
    values = _with_company_proxy({**written, **environment, **given})
    settings = _validated(values, [*layers, (f"{file}: {{key}}", written)])
    return Configuration(settings, file.absolute(), lambda: load(config, flags))


def _with_company_proxy(values: dict[str, Any]) -> dict[str, Any]:
    """With the proxy of the environment, and its exceptions beside ours, where `upstream_proxy` says so."""
    if values.get("upstream_proxy") != FROM_ENVIRONMENT:
        return values
    company, own = company_proxy(os.environ), as_list(values.get("no_proxy", ()))
    exceptions = [*own, *(company.exceptions if company else ())] if isinstance(own, list | tuple) else own
    return {**values, "upstream_proxy": company.proxy if company else None, "no_proxy": exceptions}


def _data_folder(flags: Mapping[str, object], environment: Mapping[str, object]) -> Path:
    named = flags.get("data") or environment.get("data")
    return _given(Path(str(named))) if named else _user_folder()


def _user_folder() -> Path:
    """Below the user's home, or where XDG_DATA_HOME says. UsageError for a user without a home."""
    try:
        found = user_data_path("dataset-mirror")
    except (RuntimeError, KeyError):
        found = None
    if found is None or not found.is_absolute():
        raise UsageError("This user has no home folder for the data.", "Give the data folder: --data DIR, or DATASET_MIRROR_DATA.")
    return found


def _given(path: Path) -> Path:
    try:
        return expanded(path)
    except ValueError as error:
        raise UsageError(f"{path} cannot be found: {error}.", "Write the whole path.") from None


def _environment() -> dict[str, Any]:
    fields = Settings.model_fields
    for variable in os.environ:
        name = variable.removeprefix(ENV_PREFIX)
        if variable.startswith(ENV_PREFIX) and name.lower() not in fields and variable not in _NO_SETTINGS:
            raise UsageError(f"The environment has {variable}, but there is no such setting.", _did_you_mean(name.lower()))
    try:
        return EnvSettingsSource(Settings)()
    except SettingsError as error:
        match = re.search(r'field "(\w+)"', str(error))
        key = match[1] if match else "?"
        variable = ENV_PREFIX + key.upper()
        value = os.environ.get(variable, "")
        shown = HIDDEN if key == "origins" and "{" in value else _blanked(repr(value))
        example = _example(key, as_json=True)
        raise UsageError(f"In the environment: {variable}={shown} is not valid JSON.", f"For example: {variable}='{example}'.") from None


def _read_file(file: Path, *, must_exist: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        if must_exist:
            raise UsageError(f"The configuration file {file} does not exist.", "Check --config, or leave it out.") from None
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The configuration file {file} cannot be read: {error}.", "Check its permissions.") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file} is not valid TOML: {error}.", "Fix that line; texts, sizes and hours stand in quotes.") from None


def _validated(values: dict[str, Any], layers: list[tuple[str, Mapping[str, object]]]) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
    key = str(first["loc"][0]) if first["loc"] else "?"
    where = next((place for place, layer in layers if key in layer), "{key}")
    place = where.replace("{key}", key).replace("{KEY}", key.upper()).replace("{flag}", key.replace("_", "-"))
    if first["type"] == "extra_forbidden" and len(first["loc"]) == 1:
        raise UsageError(f"In {place}: there is no such setting.", _did_you_mean(key))
    inside = "".join(f".{part}" for part in first["loc"][1:])
    line = _line(where, first["loc"])
    if first["type"] == "extra_forbidden":  # its value may be a secret that stands in the wrong place
        raise UsageError(f"In {place}{inside}: there is no such key{line}.", f"For example: {key} = {_example(key)}.")
    shown = _shown(key, first["loc"], first["input"])
    message = _blanked(str(first["msg"]).removeprefix("Value error, ")).removesuffix(".")
    raise UsageError(f"In {place}{inside} = {shown}: {message}{line}.", f"For example: {key} = {_example(key)}.")


def _line(place: str, way: tuple[int | str, ...]) -> str:
    """Where in mirror.toml a wrong value stands, in words; nothing if it came from elsewhere."""
    file = place.removesuffix(": {key}")
    if place == file or not Path(file).is_file():
        return ""
    number = line_of(Path(file).read_text(encoding="utf-8"), way)
    return f" (line {number})" if number else ""


def _shown(key: str, way: tuple[int | str, ...], value: object) -> str:
    """A wrong value in an error; never a secret."""
    if key in ("token", "notify", "shared") or "headers" in way or (key == "bucket" and way != ("bucket", "url")):
        return HIDDEN
    return _blanked(repr(without_headers(value, _ORIGIN_KEYS) if key == "origins" else value))[:120]


def _blanked(text: str) -> str:
    """Without the passwords of URLs, also of one that lacks its scheme and is wrong for that."""
    return _USER.sub(f"{BLANK}@", without_secrets(text))


def _example(key: str, *, as_json: bool = False) -> str:
    field = Settings.model_fields.get(key)
    example = field.examples[0] if field and field.examples else "…"
    return json.dumps(example, ensure_ascii=False) if as_json else _as_toml(example)


def _as_toml(value: object) -> str:
    """The value as mirror.toml has it: TOML writes strings, numbers and lists as JSON does, but tables in its own way."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(name)} = {_as_toml(inner)}" for name, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_as_toml(inner) for inner in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _did_you_mean(key: str) -> str:
    near = get_close_matches(key, Settings.model_fields, n=1)
    return f"Did you mean {near[0]}?" if near else f"Settings are: {', '.join(Settings.model_fields)}."
