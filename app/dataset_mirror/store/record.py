"""What the index knows of an archive, and its form as a line of `archives.ndjson` and of a bundle."""

import json
import re
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, get_args

from pydantic_core import from_json  # twice as fast as the standard library: a journal may have a million lines

from dataset_mirror.errors import BadRequest
from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.rules.conditions import NO_VALIDATORS, Validators
from dataset_mirror.rules.fields import Fields

_SHA256 = re.compile("[0-9a-f]{64}")
_MD5 = re.compile("[0-9a-f]{32}")
_NUMBERS, _TEXT, _TEXT_OR_NONE = frozenset([int, float]), frozenset([str]), frozenset([str, type(None)])
_MOST_BYTES = 2**63 - 1
_END_OF_TIME = 253402300800.0
"""The year 10000, in seconds since the epoch."""

DigestSource = Literal["catalog", "origin", "url", "computed", "disputed", "adopted"]
"""Who vouches for the digest: the catalog, the origin in a field of its answer, or the archive's own URL; else nobody: it was
computed from what the origin sent, there although the URL has another one (`disputed`), or from a file that somebody brought."""
_SOURCES = frozenset(get_args(DigestSource))
VOUCHED = frozenset[DigestSource](["catalog", "origin", "url"])


@dataclass(frozen=True, slots=True)
class Record:
    """One archive as one blob: digest, size (bytes), validators, stored fields, times (seconds since the epoch)."""

    archive: ArchiveId
    sha256: str
    size: int
    fetched: float
    """When the origin sent these bytes."""
    scheme: str = "https"
    md5: str | None = None
    validators: Validators = NO_VALIDATORS
    """The origin's own."""
    fields: Fields = ()
    source: DigestSource = "computed"
    checked: float = 0.0
    """When the origin last confirmed them."""
    private: bool = False
    """They were fetched with the operator's credentials: only the origin's `readers` may have them."""
    restricted: str | None = None
    """The scope (a repository) of which they are, if only those may have them whom the origin lets: fetched with a client's token."""

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.archive}"

    @property
    def etag(self) -> str:
        """The one entity tag of these bytes at this URL for ever: the origin's strong one, else made of the digest."""
        return self.validators.strong_etag or digest_etag(self.sha256)

    def as_served(self) -> Validators:
        """The validators that clients see; a weak or unquoted tag of the origin still answers If-None-Match."""
        return self.validators.served_as(self.etag)

    def to_line(self) -> str:
        """One line of JSON without its end; `from_line` reads it back."""
        known = {
            "url": self.url,
            "sha256": self.sha256,
            "size": self.size,
            "md5": self.md5,
            "etag": self.validators.etag,
            "last_modified": self.validators.last_modified,
            "date_is_strong": self.validators.date_is_strong or None,
            "fields": [list(field) for field in self.fields],
            "source": self.source,
            "fetched": self.fetched,
            "checked": self.checked,
            "private": self.private or None,
            "restricted": self.restricted,
        }
        return json.dumps({key: value for key, value in known.items() if value is not None}, ensure_ascii=False)

    @classmethod
    def from_line(cls, line: str) -> Self:
        """The record of a line; ValueError if it is not one, or if a value cannot be: lines of bundles are nobody's word."""
        try:
            known: dict[str, Any] = from_json(line)
            found = cls(
                archive=parse_url(known["url"]),
                scheme=known["url"].partition(":")[0],
                sha256=known["sha256"],
                size=known["size"],
                md5=known.get("md5"),
                validators=Validators(known.get("etag"), known.get("last_modified"), known.get("date_is_strong", False)),
                fields=tuple((name, value) for name, value in known.get("fields", [])),
                source=known["source"],
                fetched=known["fetched"],
                checked=known.get("checked", 0.0),
                private=known.get("private", False),
                restricted=known.get("restricted"),
            )
            found._check()
        except (KeyError, TypeError, AttributeError, RecursionError, BadRequest) as error:
            raise ValueError(f"not a line of the journal: {error!r}") from None
        return found

    def _check(self) -> None:
        """ValueError or TypeError if a value is of the wrong type or cannot be."""
        texts = [text for field in self.fields for text in field]
        maybe = [self.restricted, self.md5, self.validators.etag, self.validators.last_modified]
        if not (
            self.scheme in ("http", "https")
            and _SHA256.fullmatch(self.sha256)
            and (self.md5 is None or _MD5.fullmatch(self.md5))
            and type(self.size) is int
            and 0 <= self.size <= _MOST_BYTES
            and _NUMBERS.issuperset((type(self.fetched), type(self.checked)))
            and 0 <= self.fetched <= _END_OF_TIME
            and 0 <= self.checked <= _END_OF_TIME
            and _TEXT.issuperset(map(type, texts))
            and _TEXT_OR_NONE.issuperset(map(type, maybe))
            and self.source in _SOURCES
            and type(self.validators.date_is_strong) is type(self.private) is bool
        ):
            raise ValueError("not a line of the journal: a value cannot be")

    def united(self, other: "Record") -> "Record":
        """What is known of the same bytes of the same archive from both. Commutative, associative and idempotent.

        The facts are those of the later fetching; of two at the same time the private or restricted ones, then those of the smaller line.
        """
        last = max(self.fetched, other.fetched)
        found = min(
            (each for each in (self, other) if each.fetched == last), key=lambda each: (not each.private, not each.restricted, each._facts)
        )
        return replace(found, checked=max(self.checked, other.checked))

    @property
    def _facts(self) -> str:
        return replace(self, checked=0.0).to_line()


def archive_of(key: str) -> ArchiveId:
    """The archive whose `str` is a row's key."""
    key, _, variant = key.partition("#")
    authority, slash, target = key.partition("/")
    path, _, query = target.partition("?")
    return ArchiveId(authority, slash + path, query, variant)


def digest_etag(sha256: str) -> str:
    """The entity tag of bytes whose origin has no strong one."""
    return f'"sha256-{sha256}"'
