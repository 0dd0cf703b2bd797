"""What one fill is for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dataset_mirror.fetch.reply import Reply, Shared
from dataset_mirror.origins.asked import Asked
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.origins.model import CatalogEntry, Origin
from dataset_mirror.origins.rules import Rule
from dataset_mirror.rules.digests import Claim, hexadecimal, in_name
from dataset_mirror.rules.fields import Fields, kept
from dataset_mirror.rules.secrets import without_secrets
from dataset_mirror.store.record import Record

_MOST_DIGITS = 20


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be fetched, and what is expected of it."""

    asked: Asked
    origin: Origin
    expected: CatalogEntry | None
    known: Record | None = None
    """What is there already, if this only checks whether the origin still has the same."""
    promised_by: str = ""
    """Who said what is expected, for people, if it is not the catalog: the origin before it led elsewhere, or an index."""
    shared: Shared | None = None
    """What other mirrors know of it, if it comes from them."""
    restricted: str | None = None
    """The scope whose readers alone may have it: it is fetched with the credentials of one of them."""

    @property
    def archive(self) -> ArchiveId:
        return self.asked.archive

    @property
    def rule(self) -> Rule | None:
        return self.asked.matched.rule if self.asked.matched else None

    @property
    def redirect_fields(self) -> tuple[str, ...]:
        return self.rule.redirect_fields if self.rule else ()

    @property
    def url(self) -> str:
        return self.origin.url_of(self.archive)

    @property
    def private(self) -> bool:
        """Whether it is fetched with the operator's credentials."""
        return bool(self.origin.headers)

    @property
    def is_with_credentials(self) -> bool:
        """Whether it is fetched with anybody's credentials: then it goes on with nothing that came without, nor the other way round."""
        return self.private or self.restricted is not None

    @property
    def vouched_for(self) -> bool:
        """Whether digest or size is known: then bytes are judged by that alone."""
        return self.expected is not None and (self.expected.has_digest or self.expected.size is not None)

    @property
    def has_digest(self) -> bool:
        """Whether the catalog has a digest: then it proves the bytes, wherever they come from."""
        return self.expected is not None and self.expected.has_digest

    @property
    def expected_by(self) -> str:
        """Who expects what is expected, for people."""
        return self.promised_by or "the catalog expects"

    @property
    def in_its_name(self) -> tuple[Claim, ...]:
        """What its name says of its bytes, where the rule says that this binds."""
        return in_name(self.archive.path) if self.rule and self.rule.digest == "sha256-prefix-in-name" else ()

    def fields_of(self, reply: Reply) -> Fields:
        """What of an answer is kept with the archive: of the names that the rule lists what the origin itself said first.

        No link that has a secret: it is for one client.
        """
        if reply.shared:
            return reply.shared.fields
        listed = self.redirect_fields
        told = tuple(field for field in kept(reply.hop, listed) if field[0] in listed)
        names = {name for name, _ in told}
        found = tuple(field for field in kept(reply.fields, listed) if field[0] not in names) + told
        return tuple((name, value) for name, value in found if name != "link" or without_secrets(value) == value)

    def promised(self, reply: Reply) -> "Job":
        """The same with what the answer says of the bytes in the fields that the rule names; the catalog knows better."""
        if reply.shared:
            return replace(self, shared=reply.shared)
        if self.rule is None or self.expected is not None:
            return self
        said = dict(reply.fields) | dict(reply.hop)
        claims = self.rule.claims
        sha256, md5 = _digest(said, claims.sha256, 64), _digest(said, claims.md5, 32)
        size = _size(said.get(claims.size or "", ""))
        if not (sha256 or md5 or size is not None):
            return self
        expected = CatalogEntry(url=self.url, sha256=sha256, md5=md5, size=size)
        return replace(self, expected=expected, promised_by="its origin promises")


def _digest(said: Mapping[str, str], name: str | None, length: int) -> tuple[str, ...]:
    """A digest as a field has it, with or without quotes; a value of another length is none, such as git's name of a file."""
    value = said.get(name or "", "").removeprefix("W/").strip('"')
    return (value.lower(),) if hexadecimal(value, length) else ()


def _size(value: str) -> int | None:
    """Bytes, as a field has them; a number of more digits than any size has is none."""
    return int(value) if value.isdecimal() and len(value) < _MOST_DIGITS else None
