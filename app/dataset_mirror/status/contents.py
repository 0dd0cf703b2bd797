"""Models of what the mirror has and lacks: archives, datasets, the wanted list, and what a request for an archive gets."""

from typing import Literal

from pydantic import BaseModel, Field

from dataset_mirror.airgap.wanted import Kind
from dataset_mirror.status.models import CIFAR10, Bytes, FailureStatus
from dataset_mirror.status.times import Time
from dataset_mirror.store.listing import Order, State
from dataset_mirror.store.record import DigestSource

_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"

_STATES = (
    "verified: its digest is vouched for; computed: as the origin sent it; adopted: as somebody brought it; "
    "changed: older bytes are kept, too; damaged: its bytes were found to be damaged, and have not come again"
)

_SOURCES = (
    "who vouches for the digest. catalog, origin (a field of its answer) or url: it matched theirs; computed: nobody, it is of what the "
    "origin sent; disputed: computed, and disagrees with the one in its URL; adopted: of what somebody brought"
)


class ArchiveSummary(BaseModel):
    """One archive in a list."""

    url: str = Field(examples=[CIFAR10])
    name: str = Field(description="the catalog's name; empty if it has none", examples=["keras/cifar10"])
    origin: str = Field(examples=["www.cs.toronto.edu"])
    size: Bytes = Field(examples=[170498071])
    sha256: str = Field(examples=[_SHA256])
    state: State = Field(description=_STATES)
    source: DigestSource = Field(description=_SOURCES)
    fetched: Time
    used: Time = Field(description="the last request")
    hits: int = Field(description="requests answered from the store", examples=[12])
    where: Literal["here", "bucket"] = Field(
        "here", description="bucket: not stored here, but in the bucket that this mirror shares with others", examples=["here"]
    )

    def place(self, order: Order) -> str | float:
        """Its place in a list of that order."""
        return self.url.partition("://")[2] if order == "name" else float(getattr(self, order))


class ArchivePage(BaseModel):
    """A part of a list."""

    archives: list[ArchiveSummary]
    next: str | None = Field(description="the cursor of what follows, for `after`; null at the end", examples=["WyJkYXRhIl0"])


class WantedArchive(BaseModel):
    """An archive that was asked for while it could not be fetched."""

    url: str = Field(examples=[CIFAR10])
    name: str = Field(description="the catalog's name; empty if it has none", examples=["keras/cifar10"])
    count: int = Field(description="how often it was asked for in vain", examples=[3])
    first: Time = Field(description="the first time")
    last: Time = Field(description="the last time")
    asked_by: str | None = Field(
        description="who asked last: the address, to those who may change the mirror, else its network; null if it is not known",
        examples=["192.0.2.0/24"],
    )
    kind: Kind = Field(
        "offline",
        description="offline: it could not be fetched; refused, 404: what its origin says; unlisted: by no origin; damaged: it was here",
    )


class WantedArchivePage(BaseModel):
    """A part of the wanted list, what was asked for last first."""

    wanted: list[WantedArchive]
    next: str | None = Field(description="the cursor of what follows, for `after`; null at the end", examples=["WzEuMCwgMV0"])


class VersionStatus(BaseModel):
    """Bytes that an archive has, or had."""

    sha256: str = Field(examples=[_SHA256])
    size: Bytes = Field(examples=[170498071])
    digest_from: DigestSource = Field(description=_SOURCES)
    fetched: Time
    checked: Time = Field(description="when the origin last confirmed these bytes")
    current: bool = Field(description="whether these are served")


class ArchiveDetail(ArchiveSummary):
    """All that is known of an archive."""

    etag: str = Field(description="as clients get it", examples=['"a2f1-4b"'])
    last_modified: str | None = Field(examples=["Thu, 04 Jun 2009 17:33:52 GMT"])
    md5: str | None = None
    digest_from: DigestSource = Field(description="the same as `source`")
    expected: list[str] = Field(description="the catalog's digests; any of them will do", examples=[[_SHA256]])
    checked: Time
    age: float = Field(description="seconds since the origin confirmed it", examples=[3600.0])
    ttl: float | None = Field(description="seconds until it is checked again; negative: overdue; null: never", examples=[82800.0])
    private: bool = Field(description="whether it was fetched with credentials, and only the origin's readers get it")
    at: str = Field(description="its path at this mirror", examples=["/www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"])
    versions: list[VersionStatus] = Field(description="the latest first; older ones stay until gc")


class DatasetArchive(BaseModel):
    """One archive of a dataset of the catalog."""

    url: str = Field(examples=[CIFAR10])
    state: Literal["verified", "computed", "adopted", "changed", "damaged", "fetching", "missing"] = Field(description=_STATES)
    size: Bytes | None = Field(description="of what is stored, else as the catalog knows it", examples=[170498071])


class DatasetStatus(BaseModel):
    """A named dataset: which of its archives are there."""

    name: str = Field(examples=["keras/cifar10"])
    complete: bool = Field(description="whether all of its archives are there")
    verified: bool = Field(description="whether they are, and all have the catalog's digests")
    size: Bytes = Field(description="bytes of its archives, as far as they are known", examples=[170498071])
    used: Time | None = Field(None, description="the last request for what is there of it; null if nothing is")
    archives: list[DatasetArchive]


class Catalog(BaseModel):
    """Everything that this mirror knows by name."""

    datasets: list[DatasetStatus]


class Explanation(BaseModel):
    """What the mirror does when it is asked for an archive, and why."""

    url: str = Field(examples=[CIFAR10])
    outcome: Literal["hit", "miss", "refusal"] = Field(description="from the store; from the origin; not at all")
    why: list[str] = Field(examples=[["It is stored: 170,498,071 bytes, fetched 2026-05-01.", "Its digest is the catalog's."]])
    hint: str = Field(description="what to do about a refusal", examples=[""])
    status: int = Field(description="the HTTP status of a GET, if its origin plays its part", examples=[200])
    at: list[str] = Field(
        description="paths at this mirror that lead to it", examples=[["/www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"]]
    )
    asked: list[str] = Field(description="URLs that are asked for it, in order", examples=[[CIFAR10]])
    last_error: FailureStatus | None = Field(
        None, description="why it could not be fetched the last time; null if it could, or nobody knows"
    )


class CheckedArchive(BaseModel):
    """What this mirror has of one URL."""

    url: str = Field(description="as it was asked for", examples=[CIFAR10])
    listed: bool = Field(description="whether an origin lists it", examples=[True])
    leads: bool = Field(description="whether it is not listed, but the beginning of what is", examples=[False])
    present: bool = Field(examples=[True])
    verified: bool = Field(description="whether its digest is vouched for: by the catalog, its origin or its URL", examples=[True])
    fetching: bool = Field(description="whether it is on its way", examples=[False])
    size: Bytes | None = Field(description="of what is stored, else as the catalog knows it", examples=[170498071])


class Checked(BaseModel):
    """What this mirror has of several URLs, and whether it could fetch what it lacks."""

    archives: list[CheckedArchive]
    offline: bool
