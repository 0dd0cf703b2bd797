"""What is not here, and the bucket has: lists of it, and its bytes. All of this blocks: it is for threads without an event loop."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from io import RawIOBase
from typing import Protocol, TypeVar

from dataset_mirror.errors import SharedAway
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.rules.secrets import without_secrets
from dataset_mirror.store.damaged import Damaged
from dataset_mirror.store.index import Index
from dataset_mirror.store.knowledge import Fact, Kind
from dataset_mirror.store.listing import Listed, Page, Query, cursor_of, place_of, state_of
from dataset_mirror.store.record import Record
from dataset_mirror.store.shared.bucket import Bucket, BucketFails
from dataset_mirror.store.shared.catalogue import Catalogue
from dataset_mirror.store.shared.database import Session, Unavailable

T = TypeVar("T")
_STEP = 1000


class Ask(Protocol):
    """Puts a question to the database, and waits for the answer. Unavailable."""

    def __call__(self, question: Callable[[Session], Awaitable[T]]) -> T: ...


class Elsewhere:
    """What only the bucket has. SharedAway if the database does not answer."""

    def __init__(self, index: Index, catalogue: Catalogue, ask: Ask, bucket: Bucket) -> None:
        self._index, self._catalogue, self._asking, self._bucket = index, catalogue, ask, bucket

    def _ask(self, question: Callable[[Session], Awaitable[T]]) -> T:
        try:
            return self._asking(question)
        except Unavailable as error:
            raise SharedAway(
                f"What only the bucket has is not known: the shared database is away ({without_secrets(str(error))}).",
                "Repeat it when the database is back: dataset-mirror doctor",
            ) from None

    def listed(self, archive: ArchiveId) -> Listed | None:
        """What lists say of the archive; None if it is here, or nowhere."""
        known = self._ask(lambda session: self._catalogue.find(session, str(archive)))
        return _line(known.record) if known and self._index.listed(archive) is None else None

    def every(self, query: Query) -> Iterator[Listed]:
        """All that fits, by name."""
        query = replace(query, order="name", descending=False, after=None, limit=_STEP)
        while True:
            page = self.page(query)
            yield from page.archives
            if page.next is None:
                return
            query = replace(query, after=page.next)

    def page(self, query: Query) -> Page:
        """One page, by name, whatever the query's order is. It may have less than its limit, and yet a next one."""
        (after,) = place_of(query.after, 1) if query.after else ("",)
        beginning = max(query.prefix, f"{query.origin}/" if query.origin else "")
        part = query.search.lower()
        found, reached = self._ask(lambda session: self._catalogue.page(session, beginning, after, part, query.limit))
        here = self._index.versions_of([record.archive for record in found])
        lines = (_line(record) for record in found if not here[record.archive])
        shown = tuple(line for line in lines if _fits(query, line))
        return Page(shown, cursor_of([reached]) if reached else None)

    def versions(self, archive: ArchiveId) -> list[Record]:
        """All versions that the bucket has."""
        known = self._ask(partial(self._versions, [str(archive)]))
        return [record for record, is_kept in known[str(archive)] if is_kept]

    def latest(self, archives: Sequence[ArchiveId]) -> dict[ArchiveId, Record]:
        """The latest versions that the bucket has of some archives, stored here or not."""
        found: dict[ArchiveId, Record] = {}
        for start in range(0, len(archives), _STEP):
            keys = [str(archive) for archive in archives[start : start + _STEP]]
            known = self._ask(partial(self._versions, keys))
            found |= {record.archive: record for some in known.values() for record, is_kept in reversed(some) if is_kept}
        return found

    async def _versions(self, keys: list[str], session: Session) -> dict[str, list[tuple[Record, bool]]]:
        return await self._catalogue.versions(session, keys)

    def open(self, sha256: str) -> "FromBucket":
        """Bytes that the bucket has. FileNotFoundError."""
        name = self._ask(lambda session: self._catalogue.kept(session, sha256))
        if name is None:
            raise FileNotFoundError(sha256)
        return FromBucket(partial(self._bucket.read, name))


class Everywhere:
    """What is here and, after it, what only the bucket has."""

    def __init__(self, index: Index, elsewhere: Elsewhere) -> None:
        self._index, self.elsewhere = index, elsewhere
        self.trouble: SharedAway | None = None
        """Why only what is here was looked through, if so."""

    def listed(self, archive: ArchiveId) -> Listed | None:
        if (here := self._index.listed(archive)) is not None:
            return here
        try:
            return self.elsewhere.listed(archive)
        except SharedAway as error:
            self.trouble = error
            return None

    def every(self, query: Query) -> Iterator[Listed]:
        yield from self._index.every(query)
        try:
            yield from self.elsewhere.every(query)
        except SharedAway as error:
            self.trouble = error

    def versions(self, archive: ArchiveId) -> list[Record]:
        found = {record.sha256: record for record in self._index.versions(archive)}
        try:
            found = {record.sha256: record for record in self.elsewhere.versions(archive)} | found
        except SharedAway as error:
            self.trouble = error
        return sorted(found.values(), key=lambda record: (-record.fetched, record.sha256))

    def known_of(self, archives: Sequence[ArchiveId]) -> dict[ArchiveId, Record]:
        """What the bucket has of some archives; nothing, if nobody knows."""
        try:
            return self.elsewhere.latest(archives)
        except SharedAway as error:
            self.trouble = error
            return {}

    def damaged(self) -> list[Damaged]:
        return self._index.damaged()

    def known(self, kind: Kind, about: str) -> Fact | None:
        return self._index.known(kind, about)


class FromBucket(RawIOBase):
    """An object's bytes in order. One that breaks off, or is not there, is too short."""

    def __init__(self, read: Callable[[], Iterator[memoryview]]) -> None:
        self._parts, self._left = read(), memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._left:
            with suppress(BucketFails, FileNotFoundError):
                self._left = next(self._parts, memoryview(b""))
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def _line(record: Record) -> Listed:
    return Listed(record, state_of([record]), record.fetched, 0, elsewhere=True)


def _fits(query: Query, line: Listed) -> bool:
    archive = str(line.record.archive)
    return (
        archive.startswith(query.prefix)
        and query.origin in (None, line.record.archive.authority)
        and query.state in (None, line.state)
        and (query.used_before is None or line.used < query.used_before)
    )
