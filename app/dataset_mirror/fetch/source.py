"""Where the bytes of one archive can be asked for: an origin with its upstreams; see `shared.py` for another mirror, and the bucket."""

from dataclasses import dataclass
from typing import Protocol

from dataset_mirror.fetch.reply import Reply
from dataset_mirror.fetch.retry import ENDLESS, Patience
from dataset_mirror.fetch.upstream import FieldsFor, Upstream, no_fields
from dataset_mirror.origins.asked import PLAIN, Asked, Question
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.origins.model import Origin
from dataset_mirror.store.record import Record


class Source(Protocol):
    """One archive at the place, or the places, that have it."""

    @property
    def url(self) -> str:
        """How messages name it."""
        ...

    @property
    def authority(self) -> str:
        """Whose connections count together with these."""
        ...

    @property
    def connections(self) -> int:
        """The most connections at once."""
        ...

    @property
    def private(self) -> bool:
        """Whether it is asked with credentials, or with a secret in its URL: what it says may repeat them."""
        ...

    @property
    def has_one_place(self) -> bool:
        """Whether all answers come from the same place: validators are a place's own."""
        ...

    @property
    def is_near(self) -> bool:
        """Whether it belongs to us, and is there to be read at full speed: all its connections are worth it from the start."""
        ...

    async def ask(self, fields: FieldsFor = no_fields, *, method: str = "GET", first: str = "", patience: Patience = ENDLESS) -> Reply:
        """An answer, its body unread; it must be closed. Broken if none came; a MirrorError if there can be none.

        `fields` are the request's fields (Range, If-Range, If-None-Match …) for the place that is asked; the place `first` is
        asked before all others. `patience` is for all places together.
        """
        ...

    def failed(self, place: str, why: str) -> None:
        """The place broke off in the middle of a body."""
        ...

    async def distrust(self) -> None:
        """What it sent is not what it should have been."""
        ...

    async def ended(self, record: Record | None) -> None:
        """The fill is over: that was published, or nothing."""
        ...


@dataclass(frozen=True, slots=True)
class OriginSource:
    """An archive at its origin, by way of the upstreams that stand for it."""

    upstream: Upstream
    origin: Origin
    archive: ArchiveId
    question: Question = PLAIN
    shown: ArchiveId | None = None
    """As messages name it, if there are signatures in its URL."""

    @classmethod
    def of(cls, upstream: Upstream, origin: Origin, asked: Asked) -> "OriginSource":
        """What a request asks for, signatures in its URL and all."""
        return cls(upstream, origin, asked.target, asked.question, asked.archive)

    @property
    def url(self) -> str:
        return self.origin.url_of(self.shown or self.archive)

    @property
    def authority(self) -> str:
        return self.origin.authority

    @property
    def connections(self) -> int:
        return self.origin.connections

    @property
    def private(self) -> bool:
        return bool(self.origin.headers or self.question.authorization or self.archive.given)

    @property
    def has_one_place(self) -> bool:
        return self.upstream.has_one(self.origin, self.archive)

    @property
    def is_near(self) -> bool:
        return False

    async def ask(self, fields: FieldsFor = no_fields, *, method: str = "GET", first: str = "", patience: Patience = ENDLESS) -> Reply:
        if method == "GET":
            method = self.question.method
        return await self.upstream.ask(
            self.origin, self.archive, fields, method=method, first=first, patience=patience, question=self.question
        )

    def failed(self, place: str, why: str) -> None:
        self.upstream.health.failed(place, why)

    async def distrust(self) -> None:
        """It is asked once more all the same."""

    async def ended(self, record: Record | None) -> None:
        """Nobody else waits for it."""
