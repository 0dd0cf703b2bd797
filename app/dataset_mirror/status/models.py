"""Models of how the mirror is, and of what all answers have in common. Sizes are bytes, times are ISO 8601 in UTC."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from dataset_mirror.status.shared import SharedStatus
from dataset_mirror.status.times import Time

Bytes = Annotated[int, Field(ge=0, description="bytes")]

CIFAR10 = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"


class FillStatus(BaseModel):
    """A download under way."""

    url: str = Field(examples=[CIFAR10])
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


class Health(BaseModel):
    status: str = Field(examples=["ok"])


class Readiness(BaseModel):
    """What the mirror can do at the moment."""

    status: Literal["ready", "read-only", "not ready"]
    reading: bool | None = Field(None, description="whether stored archives can be served; left out while all is well")
    writing: bool | None = Field(None, description="whether new archives can be stored; left out while all is well")
    health: HealthStatus | None = Field(None, description="what is wrong; left out while all is well")
