"""What the index knows of an archive, and its form as a line of `archives.ndjson` and of a bundle."""

import json
import re
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from app.errors import BadRequest
from app.origins.identity import ArchiveId, parse_url
from app.rules.conditions import NO_VALIDATORS, Validators
from app.rules.fields import Fields

_SHA256 = re.compile("[0-9a-f]{64}")

DigestSource = Literal["catalog", "computed"]
"""Where the digest is known from: it matched the catalog's, or it was computed from what the origin sent."""


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

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.archive}"

    @property
    def etag(self) -> str:
        """The one entity tag of these bytes at this URL for ever: the origin's strong one, else made of the digest."""
        return self.validators.strong_etag or digest_etag(self.sha256)

    def as_served(self) -> Validators:
        """The validators that clients see; a weak tag of the origin still answers If-None-Match through the strong one."""
        return replace(self.validators, etag=self.etag)

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
        }
        return json.dumps({key: value for key, value in known.items() if value is not None}, ensure_ascii=False)

    @classmethod
    def from_line(cls, line: str) -> Self:
        """The record of a line; ValueError if it is not one, or if its digest or size cannot be."""
        try:
            known: dict[str, Any] = json.loads(line)
            if not (_SHA256.fullmatch(known["sha256"]) and type(known["size"]) is int and known["size"] >= 0):
                raise ValueError("not a line of the journal: its digest or size cannot be")
            return cls(
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
            )
        except (KeyError, TypeError, AttributeError, BadRequest) as error:
            raise ValueError(f"not a line of the journal: {error!r}") from None


def archive_of(key: str) -> ArchiveId:
    """The archive whose `str` is a row's key."""
    authority, slash, target = key.partition("/")
    path, _, query = target.partition("?")
    return ArchiveId(authority, slash + path, query)


def digest_etag(sha256: str) -> str:
    """The entity tag of bytes whose origin has no strong one."""
    return f'"sha256-{sha256}"'
