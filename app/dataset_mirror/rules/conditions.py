"""Conditional requests and ranges: which status and which bytes a request gets (RFC 9110 13 and 14)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_RANGE = re.compile(r"bytes=\s*(\d{0,999})\s*-\s*(\d{0,999})\s*", re.ASCII | re.IGNORECASE)
_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


@dataclass(frozen=True, slots=True)
class Validators:
    """What identifies these bytes at this URL: entity tag and date of the last modification, as header fields carry them."""

    etag: str | None = None
    last_modified: str | None = None
    date_is_strong: bool = False
    """Whether `last_modified` is a strong validator (RFC 9110 8.8.2.2)."""
    also: str | None = field(default=None, compare=False)
    """What else answers If-None-Match and nothing more: the origin's own tag, where it is weak or has no quotes."""

    @property
    def strong_etag(self) -> str | None:
        """The entity tag if it is one (RFC 9110 8.8.3) and not weak."""
        return self.etag if self.etag and not self.etag.startswith("W/") and _TAG.fullmatch(self.etag) else None

    def refreshed_by(self, given: "Validators") -> "Validators":
        """These after a 304 with those `given` ones: a tag that clients know stays, any other follows its origin (RFC 9111 4.3.4)."""
        etag = self.etag if self.strong_etag or given.strong_etag else given.etag or self.etag
        if given.last_modified is None:
            return replace(self, etag=etag)
        return Validators(etag, given.last_modified, given.date_is_strong)

    def served_as(self, etag: str | None) -> "Validators":
        """What clients see under the tag that is sent; the origin's own goes on answering If-None-Match."""
        return replace(self, etag=etag, also=self.etag if self.etag != etag else self.also)

    @property
    def strong(self) -> str | None:
        """What may stand in If-Range: a strong entity tag, else a strong date, else nothing."""
        return self.strong_etag or (self.last_modified if self.date_is_strong else None)


NO_VALIDATORS = Validators()


@dataclass(frozen=True, slots=True)
class Selection:
    """The answer's status and its bytes [start, end); `end` is None while the length is unknown."""

    status: int
    start: int = 0
    end: int | None = None


def date_is_strong(last_modified: str | None, date: str | None) -> bool:
    """Whether Last-Modified lies at least 60 s before the Date of the same answer.

    RFC 9110 8.8.2.2 is content with one second; 60 s, as RFC 7232 2.2.2 asked, leave room for clocks that disagree.
    """
    modified, sent = _date(last_modified), _date(date)
    return bool(modified and sent and (sent - modified).total_seconds() >= 60)


def select(fields: Mapping[str, str], validators: Validators, size: int | None) -> Selection:
    """What a GET or HEAD with these (lower-case) `fields` gets of a representation of `size` bytes (RFC 9110 13.2.2).

    Several ranges give the whole, as RFC 9110 14.2 allows; so does any Range while the size is unknown.
    """
    refused = _precondition(fields, validators)
    if refused:
        return Selection(refused)
    wanted = _wanted_range(fields.get("range"), size)
    if wanted is None or not _if_range_holds(fields.get("if-range"), validators):
        return Selection(200, 0, size)
    return wanted


def _precondition(fields: Mapping[str, str], validators: Validators) -> int | None:
    if "if-match" in fields:
        if not _names(fields["if-match"], validators.strong_etag):
            return 412
    elif "if-unmodified-since" in fields and _modified_since(fields["if-unmodified-since"], validators.last_modified):
        return 412
    if "if-none-match" in fields:
        tags = [tag for tag in (validators.etag, validators.also) if tag]
        return 304 if _names_any(fields["if-none-match"], tags) else None
    if "if-modified-since" in fields and _modified_since(fields["if-modified-since"], validators.last_modified) is False:
        return 304
    return None


def _names(field: str, etag: str | None) -> bool:
    """Whether a list of entity tags has this strong one, or is `*` (RFC 9110 13.1.1)."""
    return field.strip() == "*" or etag in _TAG.findall(field)


def _names_any(field: str, tags: Iterable[str]) -> bool:
    """The same by weak comparison (RFC 9110 8.8.3.2, 13.1.2); clients repeat a tag without quotes as their origin sent it."""
    if field.strip() == "*":
        return True
    given = {tag.removeprefix("W/") for tag in _TAG.findall(field)}
    bare = {part.strip() for part in field.split(",")}
    return any(tag.removeprefix("W/") in given if _TAG.fullmatch(tag) else tag in bare or f'"{tag}"' in given for tag in tags)


def _modified_since(field: str, last_modified: str | None) -> bool | None:
    since, modified = _date(field), _date(last_modified)
    return modified > since if since and modified else None


def _if_range_holds(field: str | None, validators: Validators) -> bool:
    """Strong comparison only (RFC 9110 13.1.5)."""
    if field is None:
        return True
    field = field.strip()
    if field.startswith(('"', "W/")):
        return field == validators.strong_etag
    return validators.date_is_strong and field == validators.last_modified


def _wanted_range(field: str | None, size: int | None) -> Selection | None:
    """The single range of a Range field; None if it is to be ignored (RFC 9110 14.1.2)."""
    match = _RANGE.fullmatch(field.strip()) if field else None
    if match is None or size is None or match[1] == match[2] == "":
        return None
    if not match[1]:
        suffix = int(match[2])
        return Selection(206, max(0, size - suffix), size) if suffix and size else Selection(416)
    start, last = int(match[1]), int(match[2]) if match[2] else size - 1
    if match[2] and last < start:
        return None
    return Selection(206, start, min(last + 1, size)) if start < size else Selection(416)


def _date(field: str | None) -> datetime | None:
    """The time of an HTTP-date in any of its three forms, all of them in UTC; None if it is not one (RFC 9110 5.6.7)."""
    try:
        date = parsedate_to_datetime(field) if field else None
    except (ValueError, OverflowError):
        return None
    return date.replace(tzinfo=UTC) if date and date.tzinfo is None else date  # the asctime form names no zone
