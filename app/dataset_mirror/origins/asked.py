"""What a request asks for, as the rules of its origin understand it: what of it is identity, and what goes to the origin besides."""

import hashlib
import re
from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote

from dataset_mirror.origins.confirm import Confirm
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.origins.model import Origin
from dataset_mirror.origins.posted import as_sent, posted
from dataset_mirror.origins.queries import identifying
from dataset_mirror.origins.rules import BATCH, Matched

_LONGEST_ACCEPT = 512
_SIZE = re.compile(r"size=([0-9]{1,18})")
_RANGE = re.compile(r"[!-+\--~]+")


@dataclass(frozen=True, slots=True)
class Lfs:
    """An object of Git LFS: its SHA-256, its size in bytes as the client knows it, and the path of the batch API."""

    oid: str
    size: int
    batch: str


@dataclass(frozen=True, slots=True)
class Question:
    """What goes to the origin with a request for an archive, besides its URL: never a field that its rule does not name."""

    accept: str = "*/*"
    authorization: str | None = field(default=None, repr=False)
    body: bytes | None = field(default=None, repr=False)
    """What a POST sends, as `content_type`; None for GET."""
    content_type: str = ""
    lfs: "Lfs | None" = None
    """The object of Git LFS that it is: its bytes are where the batch API says."""
    confirm: Confirm | None = None
    """What pages in the place of the archive mean."""

    @property
    def method(self) -> str:
        return "GET" if self.body is None else "POST"


PLAIN = Question()


@dataclass(frozen=True, slots=True)
class Asked:
    """An archive, the URL that its origin is asked for, with what, and the rule for it, if there is one."""

    archive: ArchiveId
    target: ArchiveId
    question: Question = PLAIN
    matched: Matched | None = None
    is_for_readers: bool = False
    """Whether only the origin's `readers` get it, since nobody can be asked who may have it."""
    is_kept: bool = True
    """Whether the answer is kept; else the request is passed on: it is another question than its rule is for."""

    @property
    def asks_first(self) -> bool:
        """Whether its origin is asked before anything stale is served."""
        return self.matched is not None and self.matched.rule.when_stale == "ask"

    def at(self, path: str) -> "Asked":
        """The same at another path of the origin; whoever calls it looks up the rule that holds there."""
        return replace(self, archive=replace(self.archive, path=path), target=replace(self.target, path=path))

    def of_size(self, size: int) -> "Asked":
        """The same; an object of Git LFS, of which nobody else says it, has so many bytes."""
        lfs = self.question.lfs
        return replace(self, question=replace(self.question, lfs=replace(lfs, size=size))) if lfs else self

    def by(self, authorization: str | None) -> "Asked":
        """The same, asked with these credentials."""
        return replace(self, question=replace(self.question, authorization=authorization))


def asked(origin: Origin, target: ArchiveId, accept: str = "", body: bytes | None = None, content_type: str = "") -> Asked:
    """What a request for `target` asks for. `accept` is the client's own field; `body` what it sends, None for GET."""
    matched, variant = origin.rule(target.path), target.variant
    if matched is None:
        return Asked(replace(target, given=None), replace(target, variant=""), _of(variant))
    if matched.rule.pages and not variant:
        variant = f"accept={quote(_normal(accept), safe='*,;=')}"
    question = replace(_of(variant), confirm=matched.rule.confirm)
    is_kept = True
    if body is not None:
        body, matched, is_kept = _posted(body, content_type, matched)
        variant = f"post={hashlib.sha256(as_sent(body, content_type)).hexdigest()}"
        question = replace(question, body=body, content_type=content_type)
    if matched.is_object:
        question = replace(question, lfs=_object(target))
    named = "" if matched.is_object else identifying(target.asked_with, matched.rule.query)
    identity = replace(ArchiveId.of(target.authority, target.path, named, variant, again=target.given is not None), given=None)
    return Asked(identity, replace(target, variant=""), question, matched, is_kept=is_kept)


def _posted(body: bytes, content_type: str, matched: Matched) -> tuple[bytes, Matched, bool]:
    """What is sent and what is known of it; False if the rule is for other questions."""
    fields = matched.rule.post
    if isinstance(fields, bool):
        return body, matched, True
    found = posted(body, content_type, fields)
    if found is None or not set(matched.rule.scope_names) <= {*matched.names, *found.names}:
        return body, matched, False
    return found.body, replace(matched, names=found.names | matched.names), True


def _object(target: ArchiveId) -> Lfs:
    folder, _, oid = target.path.rpartition("/")
    size = _SIZE.fullmatch(target.query)
    return Lfs(oid.lower(), int(size[1]) if size else 0, f"{folder}/{BATCH}")


def _of(variant: str) -> Question:
    name, _, value = variant.partition("=")
    return Question(accept=unquote(value)) if name == "accept" else PLAIN


def _normal(accept: str) -> str:
    """The same in one spelling: media types in small letters without spaces; what is absurd is taken for anything at all."""
    ranges = ["".join(each.split()).lower() for each in accept.split(",")]
    known = ",".join(each for each in ranges if each)
    return known if known and len(known) <= _LONGEST_ACCEPT and all(map(_RANGE.fullmatch, filter(None, ranges))) else "*/*"
