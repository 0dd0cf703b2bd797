"""What a bundle says of an archive, held against what we know ourselves. Nothing in a bundle is trusted."""

import re
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from functools import lru_cache

from dataset_mirror.errors import BadRequest, BundleError, DigestMismatch
from dataset_mirror.origins.identity import parse_url
from dataset_mirror.origins.table import Origins
from dataset_mirror.rules.conditions import Validators
from dataset_mirror.rules.counted import counted
from dataset_mirror.rules.digests import confirmed, named
from dataset_mirror.rules.fields import Fields, is_value, kept
from dataset_mirror.store.knowledge import Fact
from dataset_mirror.store.record import DigestSource, Record

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]{1,100}")
_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]{0,1000}"')
_MOST_FIELDS = 32 * 1024
_AHEAD = 24 * 3600.0
"""Seconds that clocks on the two sides may differ."""


@dataclass(frozen=True, slots=True)
class LineJudge:
    """Judges lines of a bundle at the time `now` (seconds since the epoch)."""

    origins: Origins
    any_origin: bool
    now: float
    allowed: frozenset[str] = frozenset()
    """Hosts whose archives are taken though no origin lists them."""

    def read(self, line: bytes) -> Record:
        """The record of a line, as it could be kept; BundleError, NotAllowed or DigestMismatch if it cannot."""
        try:
            record = Record.from_line(line.decode())
        except ValueError:
            raise BundleError(f"A line of the bundle's list is no archive: {line[:80]!r}.", "Export it again.") from None
        if not self.any_origin and record.archive.authority not in self.allowed:
            self.origins.of(record.archive)
        if max(record.fetched, record.checked) > self.now + _AHEAD:
            # It could not become older by waiting: it would be current whatever the origin sends later.
            raise BundleError(
                f"{record.url} claims to have been fetched in the future.", "Set the clocks of both sides, and fetch it again."
            )
        expected = self.origins.expected(record.archive)
        if expected and expected.sha256 and not expected.md5 and record.sha256 not in expected.sha256:
            raise _mismatch(record)
        return replace(record, validators=_validators(record.validators), fields=_fields(record), md5=None, source=_unproven(record))

    def fact(self, line: bytes) -> Fact:
        """What a line says that an origin said; BundleError or NotAllowed if it cannot be kept."""
        try:
            fact = Fact.from_line(line.decode())
            _check_text(fact)
            archive = parse_url(f"https://{fact.about if fact.kind == 'refusal' else fact.scope + '/'}")
            kept_fields = kept(fact.fields)
        except (ValueError, BadRequest):
            raise BundleError(f"A line of the bundle's list is not understood: {line[:80]!r}.", "Export it again.") from None
        if not self.any_origin and archive.authority not in self.allowed and self.origins.get(archive.authority) is None:
            self.origins.of(archive)
        if fact.checked > self.now + _AHEAD:
            raise BundleError(f"What is said of {fact.about} was said in the future.", "Set the clocks of both sides.")
        return replace(fact, fields=kept_fields)

    def wants_md5(self, record: Record) -> bool:
        """Whether the catalog knows the archive by an MD5."""
        expected = self.origins.expected(record.archive)
        return bool(expected and expected.md5)

    def settled(self, record: Record, md5: str | None) -> Record:
        """The record of bytes that have its digest, and `md5` if that was wanted; DigestMismatch if our catalog expects others."""
        expected = self.origins.expected(record.archive)
        source = _unproven(record)
        if expected and expected.has_digest:
            if record.sha256 not in expected.sha256 and md5 not in expected.md5:
                raise _mismatch(record)
            source = "catalog"
        elif expected and expected.size not in (None, record.size):
            said = f"{record.url} has {counted(record.size, 'byte')}, but the catalog expects {expected.size:,}."
            raise BundleError(said, "It was not imported.")
        return replace(record, md5=md5 if self.wants_md5(record) else None, source=source)


def _unproven(record: Record) -> DigestSource:
    """Where its digest is known from while our own catalog does not prove it; what was believed stays so."""
    if record.source == "adopted":
        return "adopted"
    names = named(record.archive.path)
    if confirmed(names, {"sha256": record.sha256}):
        return "url"
    return "disputed" if any(claim.holds({"sha256": record.sha256}) is False for claim in names) else "computed"


def _check_text(fact: Fact) -> None:
    """ValueError if what it is about could make a terminal do things, or if its texts cannot be kept: JSON can have half a character."""
    if not (fact.about.isprintable() and fact.scope.isprintable()):
        raise ValueError("it is about something that has no name")
    fact.to_line().encode()


def _mismatch(record: Record) -> DigestMismatch:
    return DigestMismatch(
        f"The bundle's bytes of {record.url} have sha256 {record.sha256}, which is not what the catalog here expects.",
        f'They were not imported. If you trust them, write into mirror.toml: [[archives]] url = "{record.url}" sha256 = "{record.sha256}"',
    )


def _fields(record: Record) -> Fields:
    """Those that would be kept of an origin's; what is no field of HTTP is dropped."""
    if sum(len(name) + len(value) for name, value in record.fields) > _MOST_FIELDS:
        raise BundleError(f"The header fields of {record.url} are longer than {counted(_MOST_FIELDS, 'byte')}.", "It was not imported.")
    return kept((name, value) for name, value in record.fields if _TOKEN.fullmatch(name.lower()) and is_value(value))


def _validators(known: Validators) -> Validators:
    """Those that can stand in a field."""
    etag = known.etag if known.etag and _TAG.fullmatch(known.etag) else None
    dated = known.last_modified is not None and _is_date(known.last_modified)
    return Validators(etag, known.last_modified if dated else None, known.date_is_strong and dated)


@lru_cache(1024)
def _is_date(text: str) -> bool:
    if not (len(text) <= 64 and text.isascii() and text.isprintable()):
        return False
    try:
        parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return False
    return True
