"""Models of the API's answers. Sizes are bytes, times are ISO 8601 in UTC."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from dataset_mirror.airgap.wanted import Kind
from dataset_mirror.status.shared import SharedStatus
from dataset_mirror.status.times import Time
from dataset_mirror.store.listing import Order
from dataset_mirror.store.record import DigestSource

Bytes = Annotated[int, Field(ge=0, description="bytes")]


_CIFAR10 = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"


class FillStatus(BaseModel):
    """A download under way."""

    url: str = Field(examples=[_CIFAR10])
    received: Bytes = Field(examples=[58720256])
    total: Bytes | None = Field(description="bytes of the whole; null until the origin told", examples=[170498071])
    rate: float = Field(description="bytes per second, of the last seconds", examples=[11800000.0])
    eta: float | None = Field(description="seconds until it is whole at this rate; null if nobody can tell", examples=[9.5])
    readers: int = Field(description="clients that follow it", examples=[3])
    connections: int = Field(0, description="connections that bring its bytes now", examples=[4])
    began: Time
    waiting: bool = Field(description="whether it waits for a free place", examples=[False])
    slow: bool = Field(
        False, description="whether it brought less than slow_rate, gave its place to others, and goes on beside", examples=[False]
    )


class FailureStatus(BaseModel):
    """A download that failed, why, and what to do."""

    at: Time
    url: str
    status: int = Field(description="the HTTP status that its clients got", examples=[502])
    detail: str
    hint: str


class UpstreamStatus(BaseModel):
    """How one upstream has been doing."""

    place: str = Field(description="scheme and authority", examples=["https://storage.googleapis.com"])
    failures: int = Field(description="in a row; 0 if its last answer was well", examples=[0])
    resting: bool = Field(description="whether it is left alone for a while, so that others are asked first", examples=[False])
    last_error: str | None = None
    failed_at: Time | None = None


class StoreStatus(BaseModel):
    """What the archives take of the disk, and what they may."""

    path: str = Field(description="the data folder", examples=["/srv/mirror"])
    file_system: str = Field(examples=["ext4"])
    blob_bytes: Bytes = Field(description="bytes of all blobs, older versions included; equal bytes are kept once", examples=[198000000])
    promised: Bytes = Field(description="bytes that downloads under way will still write", examples=[111772917])
    free: Bytes = Field(description="bytes that the disk has free", examples=[83000000000])
    min_free: Bytes = Field(description="bytes of them that are to stay free", examples=[1000000000])
    max_size: Bytes | None = Field(description="bytes that all archives may take together; null without a limit", examples=[500000000000])
    troubles: list[str] = Field(
        default=[], description="what is wrong with it, in sentences", examples=[["Nothing new can be kept: Read-only file system."]]
    )


class DoorsStatus(BaseModel):
    """What went past the archives, since the start."""

    tunnels: int = Field(description="tunnels to public hosts that are open", examples=[2])
    tunnelled: int = Field(description="tunnels that were opened", examples=[31])
    refused: int = Field(description="CONNECT requests that were refused", examples=[0])
    relayed: int = Field(description="requests for other paths of the origins' hosts", examples=[5])


class Check(BaseModel):
    """One thing that has to be well, whether it is, and what to do if not."""

    name: Literal["disk", "room", "index", "journal", "archives", "upstreams", "configuration", "clock"]
    ok: bool
    detail: str = Field(examples=["The data folder can be written."])
    hint: str = Field(description="what to do; empty if all is well", examples=[""])


class HealthStatus(BaseModel):
    """Whether all is well."""

    state: Literal["ok", "degraded", "failing"] = Field(description="degraded: a check fails; failing: nothing can be served")
    checks: list[Check]


class PinStatus(BaseModel):
    """What is pinned by one name, and how much of it is there."""

    name: str = Field(description="a name of the catalog, a URL, or a glob of either", examples=["keras/*"])
    pinned: Time
    archives: int = Field(description="archives that it means, those included that only other mirrors have", examples=[12])
    present: int = Field(description="those of them that are there", examples=[12])
    damaged: int = Field(description="those that were found to be damaged", examples=[0])
    size: Bytes = Field(description="bytes of those that are there")


class KeepStatus(BaseModel):
    """What is fetched ahead at some hours."""

    name: list[str] = Field(examples=[["keras/*"]])
    at: str = Field(description="hours of the day, in the mirror's local time", examples=["22:00-06:00"])
    active: bool = Field(description="whether it is these hours now")
    next: Time = Field(description="when they begin next")
    archives: int = Field(examples=[12])
    present: int = Field(examples=[11])
    rate_limit: int | None = Field(None, description="bytes per second that its downloads may take together", examples=[20000000])


CLIENT = (
    "an address, to those who may change the mirror; else its network (/24, or /48 of IPv6); `anonymous` if anonymise_clients says so; "
    "empty if it is not known"
)


class ClientStatus(BaseModel):
    """What one client, or one network of clients, asked for since the start."""

    address: str = Field(description=CLIENT, examples=["192.0.2.7"])
    requests: int = Field(examples=[120])
    hits: int = Field(examples=[118])
    misses: int = Field(examples=[2])
    failures: int = Field(0, description="requests that were answered with an error", examples=[0])
    size: Bytes = Field(description="bytes that it was sent")
    last: Time


class LogLine(BaseModel):
    """One request that was answered."""

    at: Time
    id: str = Field(description="its X-Request-ID, given or made", examples=["5f3a0c8e9b1d2a47"])
    client: str = Field(examples=["192.0.2.7"])
    method: str = Field(examples=["GET"])
    target: str = Field(description="without the values of signatures", examples=["/data.example.org/sets/a.zip"])
    archive: str = Field(description="host and path; empty of a page", examples=["data.example.org/sets/a.zip"])
    status: int = Field(examples=[200])
    outcome: str = Field(description="hit, miss, head, page, or the problem", examples=["hit"])
    size: Bytes = Field(description="bytes of the body that left")
    first_byte: float = Field(description="seconds until its first byte left", examples=[0.004])
    seconds: float = Field(description="seconds until its last byte left", examples=[1.2])
    why: str = Field(description="why it was no hit", examples=["It was not stored."])
    complete: bool = Field(description="whether all of it left")


class Status(BaseModel):
    """The mirror in one look."""

    version: str = Field(examples=["0.1.0"])
    uptime: float = Field(description="seconds", examples=[3600.5])
    offline: bool
    health: HealthStatus = HealthStatus(state="ok", checks=[])
    archives: int = Field(description="archives that are kept", examples=[12])
    damaged: int = Field(0, description="archives that were found to be damaged, and have not come again", examples=[0])
    archive_bytes: Bytes = Field(description="their size, equal bytes counted once per archive", examples=[205000000])
    wanted: int = Field(description="archives that were asked for and could not be fetched", examples=[0])
    store: StoreStatus
    fills: list[FillStatus]
    failures: list[FailureStatus] = Field(description="the latest first")
    upstreams: list[UpstreamStatus] = Field(description="those that were asked since the start")
    doors: DoorsStatus
    shared: SharedStatus | None = Field(None, description="what several mirrors share; null for a mirror alone")
    pins: list[PinStatus] = []
    keep: list[KeepStatus] = Field([], description="what is fetched ahead, and when")
    rate_limit: int | None = Field(None, description="bytes per second that origins may be read with now", examples=[20000000])
    hits: int = Field(description="requests answered from the store", examples=[2210])
    misses: int = Field(description="requests that had to wait for an origin", examples=[14])
    bytes_served: Bytes
    bytes_fetched: Bytes
    bytes_saved: Bytes = Field(description="bytes that the origins did not have to send again")


State = Literal["verified", "computed", "adopted", "changed", "damaged"]
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

    url: str = Field(examples=[_CIFAR10])
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

    url: str = Field(examples=[_CIFAR10])
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

    url: str = Field(examples=[_CIFAR10])
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

    url: str = Field(examples=[_CIFAR10])
    outcome: Literal["hit", "miss", "refusal"] = Field(description="from the store; from the origin; not at all")
    why: list[str] = Field(examples=[["It is stored: 170,498,071 bytes, fetched 2026-05-01.", "Its digest is the catalog's."]])
    hint: str = Field(description="what to do about a refusal", examples=[""])
    status: int = Field(description="the HTTP status of a GET, if its origin plays its part", examples=[200])
    at: list[str] = Field(
        description="paths at this mirror that lead to it", examples=[["/www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"]]
    )
    asked: list[str] = Field(description="URLs that are asked for it, in order", examples=[[_CIFAR10]])
    last_error: FailureStatus | None = Field(
        None, description="why it could not be fetched the last time; null if it could, or nobody knows"
    )


class CheckedArchive(BaseModel):
    """What this mirror has of one URL."""

    url: str = Field(description="as it was asked for", examples=[_CIFAR10])
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


class Health(BaseModel):
    status: str = Field(examples=["ok"])


class Readiness(BaseModel):
    """What the mirror can do at the moment."""

    status: Literal["ready", "read-only", "not ready"]
    reading: bool | None = Field(None, description="whether stored archives can be served; left out while all is well")
    writing: bool | None = Field(None, description="whether new archives can be stored; left out while all is well")
    health: HealthStatus | None = Field(None, description="what is wrong; left out while all is well")


class FetchRequest(BaseModel):
    """What to fetch: catalog names, globs of them, URLs, or whole repositories of hubs."""

    archives: list[str] = Field(min_length=1, max_length=10_000, examples=[["keras/mnist", "keras/applications/resnet*", "hf:org/name@v1"]])


class WantRequest(BaseModel):
    """What to put on the wanted list: URLs of archives that an origin lists."""

    archives: list[str] = Field(min_length=1, max_length=10_000, examples=[[_CIFAR10]])


class WantAnswer(BaseModel):
    """What is on the wanted list now; archives that are there are not."""

    wanted: list[str] = Field(examples=[[_CIFAR10]])


class Unwanted(BaseModel):
    """What became of taking archives off the wanted list."""

    removed: int = Field(description="archives that were on it", examples=[1])


class TraceRequest(BaseModel):
    """A URL to look at, whether an origin lists it or not."""

    url: str = Field(examples=[_CIFAR10])


class Selection(BaseModel):
    """Stored archives: catalog names, URLs, or globs of either."""

    archives: list[str] = Field(min_length=1, max_length=10_000, examples=[["keras/mnist", "https://data.example.org/sets/*"]])


class VerifyRequest(BaseModel):
    """Stored archives as for rm; all if none is named."""

    archives: list[str] = Field([], max_length=10_000, examples=[["keras/*"]])


class VerifyProgress(BaseModel):
    """One line of the answer to a verification: how far one archive is."""

    url: str = Field(examples=[_CIFAR10])
    state: Literal["checking", "good", "damaged", "lost", "fetching", "fetched", "failed"]
    checked: Bytes = 0
    total: Bytes = 0
    error: "ProblemFacts | None" = None


class RemovedArchive(BaseModel):
    url: str = Field(examples=[_CIFAR10])
    freed: Bytes = Field(description="0 if other archives share its bytes", examples=[170498071])


class Removal(BaseModel):
    """What was removed."""

    removed: list[RemovedArchive]
    freed: Bytes
    said: str = Field(
        "", description="what was done, in a sentence", examples=["Removed data.example.org/sets/a.zip; 170 MB are free now."]
    )


class CollectRequest(BaseModel):
    """How garbage is collected."""

    dry_run: bool = Field(False, description="only tell what would go")
    last_copies: bool = Field(False, description="for the limits, remove even archives that no origin confirms to have")


class GarbageItem(BaseModel):
    kind: Literal["old version", "orphan", "leftover", "quarantined", "over the limit"]
    what: str = Field(examples=["https://data.example.org/sets/a.zip (9f86d081)"])
    size: Bytes


class Collection(BaseModel):
    """What went, or would go."""

    garbage: list[GarbageItem]
    freed: Bytes = Field(description="bytes that are free now; 0 in a dry run")
    missing: Bytes = Field(description="bytes that are still over max_size or min_free")
    said: str = Field("", description="what was done, in a sentence", examples=["Removed 2 things, 170 MB are free now."])


class ProblemFacts(BaseModel):
    """Why one archive failed."""

    status: int
    detail: str
    hint: str


class TraceAnswer(BaseModel):
    """Where a URL leads; no body was read."""

    hosts: list[str] = Field(
        description="hosts that it redirects to and that its origin does not list, in order", examples=[["cdn.example.org"]]
    )
    place: str = Field(description="what answered in the end; empty if nothing did", examples=["https://cdn.example.org"])
    status: int | None = Field(examples=[200])
    size: Bytes | None = Field(examples=[170498071])
    content_type: str | None = Field(examples=["application/zip"])
    trouble: ProblemFacts | None = Field(description="why it was not looked at to the end")


class FetchProgress(BaseModel):
    """One line of the answer to a fetch: how far one archive is."""

    url: str
    state: str = Field(description="waiting, fetching, present, fetched or failed", examples=["fetching"])
    received: Bytes = 0
    total: Bytes | None = None
    error: ProblemFacts | None = None


class Pinning(BaseModel):
    """Names to pin, or to pin no more."""

    names: list[Annotated[str, Field(min_length=1, max_length=8192)]] = Field(min_length=1, max_length=1000, examples=[["keras/*"]])


class Pinned(BaseModel):
    """Names whose pins were made, or taken away."""

    names: list[str]
    size: Bytes = Field(0, description="bytes of what they mean, as far as it is there")
    said: str = Field("", description="what was done, in a sentence", examples=["Pinned keras/*: 12 of 12 archives are there, 200 MB."])
