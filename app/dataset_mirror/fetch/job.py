"""What one fill is for."""

from dataclasses import dataclass

from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.origins.model import CatalogEntry, Origin
from dataset_mirror.store.record import Record


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be fetched, and what is expected of it."""

    archive: ArchiveId
    origin: Origin
    expected: CatalogEntry | None
    known: Record | None = None
    """What is there already, if this only checks whether the origin still has the same."""

    @property
    def url(self) -> str:
        return self.origin.url_of(self.archive)

    @property
    def private(self) -> bool:
        """Whether it is fetched with the operator's credentials."""
        return bool(self.origin.headers)

    @property
    def vouched_for(self) -> bool:
        """Whether digest or size is known: then bytes are judged by that alone."""
        return self.expected is not None and (self.expected.has_digest or self.expected.size is not None)

    @property
    def has_digest(self) -> bool:
        """Whether the catalog has a digest: then it proves the bytes, wherever they come from."""
        return self.expected is not None and self.expected.has_digest
