"""The head of an answer: status and fields for an archive, a fill under way, or a problem."""

import hashlib
import json
import time
from dataclasses import dataclass, replace
from functools import lru_cache

from dataset_mirror.errors import MirrorError
from dataset_mirror.fetch.edition import Edition
from dataset_mirror.fetch.reply import Reply
from dataset_mirror.origins.model import CatalogEntry
from dataset_mirror.rules.conditions import Selection, Validators
from dataset_mirror.rules.digests import told
from dataset_mirror.rules.fields import (
    Fields,
    as_bytes,
    cache_status,
    kept,
    of_decoded,
    of_part,
    of_unchanged,
    repr_digest,
    without_content,
)
from dataset_mirror.rules.secrets import without_secrets
from dataset_mirror.serve.asgi import RawFields
from dataset_mirror.serve.error_page import POLICY, error_page, prefers_page
from dataset_mirror.store.record import Record, digest_etag

# An origin's HTML would otherwise run with the rights of the mirror's own pages.
_SAFE = (("x-content-type-options", "nosniff"), ("content-security-policy", "sandbox"))


@dataclass(frozen=True, slots=True)
class Representation:
    """What can be said of an archive's bytes: from the index, from a fill, or from the origin's answer to HEAD."""

    validators: Validators
    """As clients see them."""
    fields: Fields
    size: int | None
    """Bytes; None while unknown."""
    age: int = 0
    """Seconds since the origin last confirmed them."""
    sha256: str | None = None
    also: tuple[str, ...] = ()
    """Names of fields that the origin's rule lets pass."""

    @classmethod
    def of_record(cls, record: Record, also: tuple[str, ...] = ()) -> "Representation":
        """`also` are names of fields that pass, besides those that always do."""
        age = max(0, int(time.time() - (record.checked or record.fetched)))
        return cls(
            record.as_served(),
            _of_bytes(record.fields, record.sha256, record.md5, record.size, also),
            record.size,
            age,
            record.sha256,
            also,
        )

    @classmethod
    def of_edition(cls, edition: Edition, expected: CatalogEntry | None) -> "Representation":
        age = int(edition.age + max(0.0, time.time() - edition.came))
        return cls(edition.as_served(expected), edition.fields, edition.length, age)

    @classmethod
    def of_reply(cls, reply: Reply, fields: Fields) -> "Representation":
        """`fields` are those of it that clients get."""
        given = reply.validators
        shown = given.served_as(given.strong_etag)
        age = int(reply.age)
        return cls(shown, of_decoded(fields), None, age) if reply.encoding else cls(shown, fields, reply.length, age)

    def of_content(self, content: bytes) -> "Representation":
        """What can be said of other bytes, which were made of these."""
        sha256 = hashlib.sha256(content).hexdigest()
        return replace(self, validators=Validators(digest_etag(sha256)), fields=of_decoded(self.fields), size=len(content), sha256=sha256)

    def without_content(self) -> "Representation":
        """What an answer to HEAD says of it."""
        return replace(self, fields=without_content(self.fields))


@lru_cache(maxsize=4096)
def _of_bytes(fields: Fields, sha256: str, md5: str | None, size: int, also: tuple[str, ...]) -> Fields:
    """The stored fields that describe these bytes: older versions stored more, and a bundle may say anything."""
    passed = kept(fields, also)
    digests = {"sha256": sha256} | ({"md5": md5} if md5 else {})
    stored_size = dict(passed).get("x-goog-stored-content-length", str(size))
    is_wrong = stored_size != str(size) or any(claim.holds(digests) is False for claim in told(passed))
    return of_decoded(passed) if is_wrong else passed


def archive_head(what: Representation, selection: Selection, *status: str) -> tuple[int, RawFields]:
    """Status and fields of an answer with these bytes; `status` are parameters of Cache-Status."""
    fields: list[tuple[str, str]] = []
    if selection.status in (200, 206):
        described = what.fields if selection.status == 200 else of_part(what.fields)
        fields += [field for field in described if field[0] != "last-modified"]
        if what.size is not None:
            fields.append(("content-length", str((selection.end or 0) - selection.start)))
    if selection.status == 304:
        fields += of_unchanged(what.fields, what.also)
    if selection.status == 206:
        fields.append(("content-range", f"bytes {selection.start}-{(selection.end or 0) - 1}/{what.size}"))
    if selection.status == 416:
        fields += [("content-range", f"bytes */{what.size}"), ("content-length", "0")]
    if selection.status == 412:
        fields.append(("content-length", "0"))
    fields += _validator_fields(what)
    fields += [("accept-ranges", "bytes"), ("age", str(what.age)), ("cache-status", cache_status(*status)), *_SAFE]
    if what.sha256 and selection.status < 400:
        fields.append(("repr-digest", repr_digest(what.sha256)))
    return selection.status, raw(fields)


def problem(error: MirrorError, accept: str = "") -> tuple[int, RawFields, bytes]:
    """Status, fields and body of a problem document (RFC 9457), or of a page if the client's Accept field prefers one. No secrets."""
    if prefers_page(accept):
        return _answer(
            error,
            without_secrets(error_page(error).decode()).encode(),
            [("content-type", "text/html; charset=utf-8"), ("content-security-policy", POLICY), _SAFE[0]],
        )
    document = {
        "type": f"urn:dataset-mirror:{error.problem}" if ":" not in error.problem else error.problem,
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        **({"hint": error.hint} if error.hint else {}),
        **error.facts,
    }
    body = json.dumps(_blanked(document), indent=2, ensure_ascii=False, default=str).encode() + b"\n"
    return _answer(error, body, [("content-type", "application/problem+json")])


def _blanked(value: object) -> object:
    """The same without secrets in any of its texts."""
    if isinstance(value, dict):
        return {key: _blanked(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_blanked(inner) for inner in value]
    return without_secrets(value) if isinstance(value, str) else value


def _answer(error: MirrorError, body: bytes, of_kind: list[tuple[str, str]]) -> tuple[int, RawFields, bytes]:
    fields = [*of_kind, ("content-length", str(len(body))), ("cache-control", "no-store")]
    fields += [(name.lower(), value) for name, value in error.headers.items()]
    fields.append(("cache-status", cache_status(f"detail={error.problem.removeprefix('about:')}")))
    return error.status, raw(fields), body


def for_one_client(fields: RawFields) -> RawFields:
    """The fields of an answer that no cache in front may share (RFC 9111 5.2.2.7), whatever the origin or RFC 9213 allows.

    Nor may a page of another site have it in an image, a script or a frame (Fetch, Cross-Origin-Resource-Policy).
    """
    shared = (b"expires", b"surrogate-control")
    others = [(name, value) for name, value in fields if name not in shared and not name.endswith(b"cache-control")]
    own = [(name, value) for name, value in others if not name.startswith((b"access-control-", b"cross-origin-"))]
    return [*own, (b"cache-control", b"private"), (b"cross-origin-resource-policy", b"same-origin")]


def raw(fields: list[tuple[str, str]]) -> RawFields:
    """Fields as ASGI wants them."""
    return [(name.encode("latin-1"), as_bytes(value)) for name, value in fields]


def _validator_fields(what: Representation) -> list[tuple[str, str]]:
    pairs = (("etag", what.validators.etag), ("last-modified", what.validators.last_modified))
    return [(name, value) for name, value in pairs if value]
