"""What the origin has had at each path, and whether an answer is that."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

Tag = Literal["strong", "weak", "none"]
Verdict = Literal["fine", "refused", "cut", "wrong", "hung"]
"""cut: the client saw an error, a reset or no answer at all; refused: a problem document; wrong: what looked well and was not."""


@dataclass(frozen=True)
class Version:
    """Bytes that the origin had under these validators."""

    content: bytes
    etag: str | None
    last_modified: str | None = None

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@dataclass
class Archive:
    """One archive of the origin, with all versions that it may come to have."""

    path: str
    versions: list[Version]
    nature: dict[str, object] = field(default_factory=dict)
    known: bool = False
    """Whether the mirror's catalog has the digests of all versions."""
    kept: bool = False
    """Whether the origin has lost it after the mirror has fetched it: from then on the mirror may never be without it."""
    now: int = 0
    host: str = "data.example.org"

    @property
    def current(self) -> Version:
        return self.versions[self.now]

    @property
    def size(self) -> int:
        return len(self.current.content) if self.versions else 100

    @property
    def tags(self) -> list[str]:
        """The validators that a client may have."""
        return [version.etag or '"none"' for version in self.versions] + ['"other"']


def versions(seed: str, size: int, number: int, etag: Tag, dated: bool) -> list[Version]:
    """Versions of an archive, each of other bytes and validators, some of the same length."""
    random_, made = random.Random(seed), []
    for count in range(number):
        length = size if count % 2 == 0 else size + count
        tag = {"strong": f'"{seed}-{count}"', "weak": f'W/"{seed}-{count}"', "none": None}[etag]
        date = f"Mon, {4 + count:02} Mar 2024 10:00:00 GMT" if dated else None
        made.append(Version(random_.randbytes(length), tag, date))
    return made


@dataclass
class Answer:
    """What a client took for an answer. `over`: it ended well as far as a client can tell that checks no length."""

    status: int
    fields: dict[str, str]
    body: bytes
    over: bool = True


def judge(answer: Answer, archive: Archive, method: str = "GET") -> tuple[Verdict, str]:
    """Whether a whole answer is what the origin had; why, if not."""
    if answer.status >= 400 and answer.status != 416:
        return _refusal(answer, method)
    if not answer.over:
        return "cut", "the end was an error"
    if method == "HEAD" or answer.status in (304, 416):
        return "fine", ""
    if answer.status not in (200, 206):
        return "wrong", f"status {answer.status}"
    return _body(answer, archive)


def _refusal(answer: Answer, method: str) -> tuple[Verdict, str]:
    if method == "HEAD":
        return "refused", ""
    if not answer.over:
        return "cut", "the end of an error was an error"
    try:
        problem = json.loads(answer.body)
    except ValueError:
        return "wrong", f"status {answer.status} without a whole problem document: {answer.body[:80]!r}"
    told = f"{problem.get('detail')} {problem.get('hint')}"
    if problem.get("status") != answer.status or not problem.get("detail") or "a bug" in told:
        return "wrong", f"an unclear refusal: {problem}"
    return "refused", f"{answer.status} {told}"


def _body(answer: Answer, archive: Archive) -> tuple[Verdict, str]:
    candidates = [version for version in archive.versions if _is(answer, version)]
    if not candidates:
        return (
            "wrong",
            f"{answer.status} with {len(answer.body)} bytes that the origin never had; {_nearest(answer, archive)}; {answer.fields}",
        )
    tag, digest = answer.fields.get("etag"), answer.fields.get("repr-digest")
    if tag and not any(_may_have(tag, version, archive) for version in candidates):
        return "wrong", f"bytes of another version than its ETag {tag}"
    stated = re.search(r"sha-256=:([^:]+):", digest or "")
    if stated and base64.b64decode(stated[1]).hex() not in {version.sha256 for version in candidates}:
        return "wrong", f"bytes of another version than its digest {digest}"
    return "fine", ""


def _is(answer: Answer, version: Version) -> bool:
    if answer.status == 200:
        return answer.body == version.content
    span = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.fields.get("content-range", ""))
    return span is not None and int(span[3]) == len(version.content) and answer.body == version.content[int(span[1]) : int(span[2]) + 1]


def _may_have(tag: str, version: Version, archive: Archive) -> bool:
    if tag.startswith('"sha256-'):
        return tag == f'"sha256-{version.sha256}"'
    known = [each.etag for each in archive.versions]
    return version.etag == tag or tag not in known  # one that is made per connection may be that of any version


def _nearest(answer: Answer, archive: Archive) -> str:
    """Where the bytes part from those of the version that they have most in common with, for people."""
    found = []
    for number, version in enumerate(archive.versions):
        same = next((at for at, (a, b) in enumerate(zip(answer.body, version.content, strict=False)) if a != b), -1)
        common = min(len(answer.body), len(version.content)) if same < 0 else same
        found.append((common, f"the same as version {number} of {len(version.content)} bytes up to {common}"))
    return max(found)[1]
