"""What several mirrors share, as any of them sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, Field

from dataset_mirror.rules.secrets import without_secrets
from dataset_mirror.status.times import Time

if TYPE_CHECKING:
    from dataset_mirror.mirror import Mirror

_Count = Annotated[int, Field(ge=0, examples=[0])]


class Following(BaseModel):
    """A download of a mirror, and where its bytes come from."""

    url: str = Field(examples=["https://data.example.org/sets/a.zip"])
    place: str = Field(description="the origin, another mirror, or the bucket", examples=["http://mirror-1.lab:8080"])


class PeerStatus(BaseModel):
    """One of the mirrors, as its last life sign described it."""

    id: str
    url: str = Field(description="where the others reach it; empty: nowhere", examples=["http://mirror-1.lab:8080"])
    version: str = Field(examples=["dataset-mirror/0.1.0"])
    began: Time
    seen: Time
    alive: bool
    fills: _Count
    outbox: _Count
    downloads: list[Following]


class SharedStatus(BaseModel):
    """The store that several mirrors share."""

    bucket: str = Field(examples=["s3://mirrors/lab"])
    joined: bool = Field(description="whether the database answers")
    alone_since: Time | None = Field(description="since when the others take this mirror for dead; null: they do not")
    why: str = Field(description="why the database does not answer", examples=[""])
    outbox: _Count = Field(description="publications and removals that the others are still to be told of")
    uploaded: _Count = Field(description="bytes that went to the bucket since the start")
    failed: _Count = Field(description="attempts to tell the others that failed since the start")
    leases: _Count = Field(description="archives that this mirror fetches for all, or has fetched and not told of yet")
    seen: _Count = Field(description="changes of the others up to this number are known here")
    behind: _Count = Field(description="changes of the others that are still to be read")
    mirrors: list[PeerStatus] = Field(description="all mirrors of late, this one too; those that live first")


async def shared_of(mirror: Mirror) -> SharedStatus | None:
    """None for a mirror alone."""
    shared = mirror.shared
    if shared is None:
        return None
    peers = await shared.peers() or []
    return SharedStatus(
        bucket=shared.bucket.url,
        joined=shared.life.is_joined,
        alone_since=shared.life.alone_since,
        why=without_secrets(shared.life.why),
        outbox=await mirror.store.in_worker(mirror.store.index.number_in_outbox),
        uploaded=shared.replicator.uploaded,
        failed=shared.replicator.failed,
        leases=len(shared.tokens),
        seen=shared.feed.seen,
        behind=max(0, shared.feed.newest - shared.feed.seen),
        mirrors=[
            PeerStatus(
                id=peer.id,
                url=peer.url,
                version=peer.program,
                began=peer.began,
                seen=peer.seen,
                alive=peer.is_alive,
                fills=peer.fills,
                outbox=peer.outbox,
                downloads=[Following(url=url, place=place) for url, place in peer.following],
            )
            for peer in peers
        ],
    )
