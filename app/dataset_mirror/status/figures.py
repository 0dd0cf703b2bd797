"""Models of what the mirror did and does: traffic, use, answers under way, log, changes, the report. Sizes are bytes."""

from typing import Literal

from pydantic import BaseModel, Field

from dataset_mirror.status.contents import ArchiveSummary
from dataset_mirror.status.models import CLIENT, Bytes, FailureStatus
from dataset_mirror.status.times import Time
from dataset_mirror.store.changes import Kind

Span = Literal["hour", "day", "month", "year"]
By = Literal["origin", "dataset", "age", "client"]
Level = Literal["warning", "error", "critical"]


class Counts(BaseModel):
    """What was asked for in some time."""

    served: Bytes = Field(0, description="bytes of archives sent to clients", examples=[341000000])
    fetched: Bytes = Field(0, description="bytes that came from upstreams", examples=[170498071])
    saved: Bytes = Field(0, description="bytes that the origins did not have to send again: served, without what was fetched for it")
    hits: int = Field(0, ge=0, description="requests answered from the store", examples=[120])
    misses: int = Field(0, ge=0, description="requests that had to wait for an origin", examples=[2])
    failures: int = Field(0, ge=0, description="requests that were answered with an error", examples=[0])


class Point(Counts):
    """One step of a plot."""

    at: Time = Field(description="when the step begins")


class TrafficStatus(BaseModel):
    """Traffic over time: one point a step, the earliest first, quiet ones too; the last step is not over yet."""

    span: Span
    of: str = Field("", description="the origin, dataset or client network that it is of; empty: of everything", examples=["keras/mnist"])
    since: Time
    until: Time
    step: int = Field(description="seconds of a step", examples=[60])
    points: list[Point]
    total: Counts
    hit_ratio: float | None = Field(description="part of the served bytes that came from the store, 0 to 1; null if nothing was served")


class AnswerStatus(BaseModel):
    """An answer under way: bytes of an archive on their way to a client."""

    id: str = Field(description="its X-Request-ID, given or made; empty of one from memory", examples=["5f3a0c8e9b1d2a47"])
    url: str = Field(description="the archive", examples=["https://data.example.org/sets/a.zip"])
    client: str = Field(description=CLIENT, examples=["192.0.2.0/24"])
    outcome: str = Field(description="hit: from the store; miss: as it is being fetched; memory: from memory", examples=["hit"])
    sent: Bytes = Field(description="bytes that the client's connection took", examples=[58720256])
    total: Bytes | None = Field(description="bytes of the whole answer; null while nobody knows", examples=[170498071])
    rate: float = Field(description="bytes per second, of the last seconds", examples=[11800000.0])
    since: Time


class LogMessage(BaseModel):
    """A warning or an error that the mirror logged."""

    at: Time
    level: Level
    room: str = Field(description="the part of the program that wrote it, or a library", examples=["fetch"])
    message: str = Field(
        description="what happened; without secrets, addresses of clients as networks", examples=["The origin answers 403."]
    )
    error: str = Field("", description="kind and words of the exception, if there was one", examples=["OSError: No space left on device"])
    request_id: str = Field("", description="X-Request-ID of the request that it is about", examples=["5f3a0c8e9b1d2a47"])


class Held(BaseModel):
    """Files of one sort."""

    number: int = Field(0, ge=0)
    size: Bytes = 0


class UsageRow(BaseModel):
    """What one origin, dataset, age or client takes."""

    name: str = Field(
        description="the origin; the catalog's name, or `(no name) HOST`; today, this week, this month, this year, earlier; the network",
        examples=["storage.googleapis.com"],
    )
    archives: int = Field(0, ge=0, description="archives that are kept; of a client: requests", examples=[12])
    size: Bytes = Field(
        0,
        description="bytes that they take; equal bytes count once, for the first by name (by age: for each). Of a client: what it was sent",
    )
    counts: Counts = Field(Counts(), description="what was asked for in the last 30 days; empty by age")


class UsageStatus(BaseModel):
    """What takes the room."""

    by: By
    rows: list[UsageRow] = Field(description="the largest first; by age the latest first")
    archives: int = Field(description="archives that are kept", examples=[12])
    size: Bytes = Field(description="bytes of all blobs, older versions included", examples=[198000000])
    old_versions: Held = Field(description="bytes that archives had before; `gc` removes them")
    partial: Held = Field(description="files of downloads under way, and of those that can be gone on with")
    quarantine: Held = Field(description="damaged blobs that were set aside; `gc` removes them")


class ChangeStatus(BaseModel):
    """One line of the log of changes."""

    id: int = Field(examples=[17])
    at: Time
    kind: Kind = Field(
        description="added, changed (other bytes at its origin), removed, gc, evicted, damaged, imported, adopted, pinned, unpinned, "
        "cancelled, retried, unblocked, allowed (a block in mirror.toml), reloaded"
    )
    what: str = Field(description="URL of an archive, name of a pin, origin, or file", examples=["https://data.example.org/sets/a.zip"])
    size: Bytes = Field(0, description="bytes that came, or were freed", examples=[170498071])
    by: str = Field(
        description="who did it: an address (to those who may change the mirror, else its network), a command or `mirror`",
        examples=["192.0.2.0/24"],
    )
    detail: str = Field("", description="a sentence, if there is more to say")


class ChangePage(BaseModel):
    """A part of the log of changes."""

    changes: list[ChangeStatus] = Field(description="the latest first")
    next: str | None = Field(description="the cursor of what came before, for `after`; null at the end", examples=["WzE3XQ"])


class Unused(BaseModel):
    """What nobody asked for, and could go."""

    number: int = Field(description="archives that were not used since then, without pinned ones", examples=[3])
    size: Bytes
    archives: list[ArchiveSummary] = Field(description="the largest of them, at most 100")


class ReportRow(Counts):
    """One line of a report."""

    name: str = Field(examples=["keras/cifar10"])


class ReportStatus(BaseModel):
    """What the mirror did in some time, for people who did not look."""

    since: Time
    until: Time
    total: Counts
    hit_ratio: float | None = Field(description="part of the served bytes that came from the store, 0 to 1; null if nothing was served")
    origin_rate: float | None = Field(
        description="bytes per second of an average download from the origins in that time, else ever; null if there was none",
        examples=[11800000.0],
    )
    hours_saved: float | None = Field(description="hours that the saved bytes would have taken at `origin_rate`", examples=[12.4])
    datasets: list[ReportRow] = Field(description="those of which most was served first")
    origins: list[ReportRow]
    clients: list[ReportRow] = Field(description="networks of clients; their `fetched` is what was fetched at their request")
    failures: list[FailureStatus] = Field(description="the last downloads that failed in that time, the latest first")
    unused: Unused
    stored: Held = Field(description="archives that are kept, and bytes of all blobs")
