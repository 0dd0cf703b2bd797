"""Models of the API's answers. Sizes are bytes, times are ISO 8601 in UTC."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, Field, PlainSerializer

Bytes = Annotated[int, Field(ge=0, description="bytes")]
Time = Annotated[float, PlainSerializer(lambda seconds: datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds"), str)]


class FillStatus(BaseModel):
    """A download under way."""

    url: str = Field(examples=["https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"])
    received: Bytes = Field(examples=[58720256])
    total: Bytes | None = Field(description="bytes of the whole; null until the origin told", examples=[170498071])
    readers: int = Field(description="clients that follow it", examples=[3])
    began: Time
    waiting: bool = Field(description="whether it waits for a free place", examples=[False])


class FailureStatus(BaseModel):
    """A download that failed, why, and what to do."""

    at: Time
    url: str
    status: int = Field(description="the HTTP status that its clients got", examples=[502])
    detail: str
    mend: str


class UpstreamStatus(BaseModel):
    """How one upstream has been doing."""

    place: str = Field(description="scheme and authority", examples=["https://storage.googleapis.com"])
    failures: int = Field(description="in a row; 0 if its last answer was well", examples=[0])
    resting: bool = Field(description="whether it is left alone for a while, so that others are asked first", examples=[False])
    last_error: str | None = None
    failed_at: Time | None = None


class Status(BaseModel):
    """The mirror in one look."""

    version: str = Field(examples=["0.1.0"])
    uptime: float = Field(description="seconds", examples=[3600.5])
    offline: bool
    archives: int = Field(description="archives that are kept", examples=[12])
    archive_bytes: Bytes = Field(description="their size, equal bytes counted once per archive", examples=[205000000])
    fills: list[FillStatus]
    failures: list[FailureStatus] = Field(description="the latest first")
    upstreams: list[UpstreamStatus] = Field(description="those that were asked since the start")
    hits: int = Field(description="requests answered from the store", examples=[2210])
    misses: int = Field(description="requests that had to wait for an origin", examples=[14])
    bytes_served: Bytes
    bytes_fetched: Bytes
    bytes_saved: Bytes = Field(description="bytes that the origins did not have to send again")


class Health(BaseModel):
    status: str = Field(examples=["ok"])


class FetchRequest(BaseModel):
    """What to fetch: catalog names, globs of them, or URLs."""

    archives: list[str] = Field(min_length=1, max_length=10_000, examples=[["keras/mnist", "keras/applications/resnet*"]])


class ProblemFacts(BaseModel):
    """Why one archive failed."""

    status: int
    detail: str
    mend: str


class FetchProgress(BaseModel):
    """One line of the answer to a fetch: how far one archive is."""

    url: str
    state: str = Field(description="waiting, fetching, present, fetched or failed", examples=["fetching"])
    received: Bytes = 0
    total: Bytes | None = None
    error: ProblemFacts | None = None
