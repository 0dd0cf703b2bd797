"""Models of what people ask /api/ to do, and of what became of it. Sizes are bytes."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from dataset_mirror.status.models import CIFAR10, Bytes


class ProblemFacts(BaseModel):
    """Why one archive failed."""

    status: int
    detail: str
    hint: str


class FetchRequest(BaseModel):
    """What to fetch: catalog names, globs of them, URLs, or whole repositories of hubs."""

    archives: list[str] = Field(min_length=1, max_length=10_000, examples=[["keras/mnist", "keras/applications/resnet*", "hf:org/name@v1"]])


class FetchProgress(BaseModel):
    """One line of the answer to a fetch: how far one archive is."""

    url: str
    state: str = Field(description="waiting, fetching, present, fetched or failed", examples=["fetching"])
    received: Bytes = 0
    total: Bytes | None = None
    error: ProblemFacts | None = None


class WantRequest(BaseModel):
    """What to put on the wanted list: URLs of archives that an origin lists."""

    archives: list[str] = Field(min_length=1, max_length=10_000, examples=[[CIFAR10]])


class WantAnswer(BaseModel):
    """What is on the wanted list now; archives that are there are not."""

    wanted: list[str] = Field(examples=[[CIFAR10]])


class Unwanted(BaseModel):
    """What became of taking archives off the wanted list."""

    removed: int = Field(description="archives that were on it", examples=[1])


class TraceRequest(BaseModel):
    """A URL to look at, whether an origin lists it or not."""

    url: str = Field(examples=[CIFAR10])


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


class Selection(BaseModel):
    """Stored archives: catalog names, URLs, or globs of either."""

    archives: list[str] = Field(min_length=1, max_length=10_000, examples=[["keras/mnist", "https://data.example.org/sets/*"]])


class VerifyRequest(BaseModel):
    """Stored archives as for rm; all if none is named."""

    archives: list[str] = Field([], max_length=10_000, examples=[["keras/*"]])


class VerifyProgress(BaseModel):
    """One line of the answer to a verification: how far one archive is."""

    url: str = Field(examples=[CIFAR10])
    state: Literal["checking", "good", "damaged", "lost", "fetching", "fetched", "failed"]
    checked: Bytes = 0
    total: Bytes = 0
    error: ProblemFacts | None = None


class RemovedArchive(BaseModel):
    url: str = Field(examples=[CIFAR10])
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


class Pinning(BaseModel):
    """Names to pin, or to pin no more."""

    names: list[Annotated[str, Field(min_length=1, max_length=8192)]] = Field(min_length=1, max_length=1000, examples=[["keras/*"]])


class Pinned(BaseModel):
    """Names whose pins were made, or taken away."""

    names: list[str]
    size: Bytes = Field(0, description="bytes of what they mean, as far as it is there")
    said: str = Field("", description="what was done, in a sentence", examples=["Pinned keras/*: 12 of 12 archives are there, 200 MB."])


class Done(BaseModel):
    """What an action did."""

    said: str = Field(
        description="what was done, in a sentence with names and bytes",
        examples=["Cancelled the download of data.example.org/sets/a.zip (58,720,256 bytes were there)."],
    )
    names: list[str] = Field(description="what it concerned: URLs, names of pins, or origins; empty if there was nothing to do")
    size: Bytes = Field(0, description="the bytes that it concerned")


class Which(BaseModel):
    """Downloads: URLs of archives."""

    archives: list[str] = Field(min_length=1, max_length=10_000, examples=[["https://data.example.org/sets/a.zip"]])


class Again(BaseModel):
    """Downloads that failed: URLs of archives; all that failed lately if none is named."""

    archives: list[str] = Field([], max_length=10_000, examples=[["https://data.example.org/sets/a.zip"]])


class Unblocking(BaseModel):
    """An origin or upstream that is on hold."""

    origin: str = Field(min_length=1, max_length=8192, description="host, or scheme and host", examples=["https://storage.googleapis.com"])


class Adding(BaseModel):
    """A URL to allow, as `dataset-mirror add` does it."""

    url: str = Field(pattern="^https?://", max_length=8192, examples=["https://data.example.org/sets/a.zip"])
    exact: bool = Field(False, description="allow only this path, not its whole folder")
    redirects: bool = Field(False, description="allow the hosts that it redirects to as well")
