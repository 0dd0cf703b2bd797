"""Looking at the shared store as a whole: what all know, whether the bucket has it, and whether its bytes are right."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal

from dataset_mirror.origins import sharing
from dataset_mirror.store.record import archive_of
from dataset_mirror.store.shared.answers import Peer
from dataset_mirror.store.shared.bucket import Bucket, BucketFails
from dataset_mirror.store.shared.catalogue import Catalogue
from dataset_mirror.store.shared.database import Session
from dataset_mirror.store.shared.life import peers
from dataset_mirror.store.shared.thread import beside

_STEP = 1000
_KEYS = """
SELECT DISTINCT key FROM versions JOIN objects USING (sha256) WHERE state = 'kept' AND key > %(last)s ORDER BY key LIMIT %(most)s
"""
_OBJECTS = """
SELECT object, sha256, size, (SELECT key FROM versions WHERE versions.sha256 = objects.sha256 LIMIT 1) AS key FROM objects
WHERE state = 'kept' AND object > %(last)s ORDER BY object LIMIT 100
"""


@dataclass(frozen=True, slots=True)
class Read:
    """An object that was read to its end."""

    name: str
    url: str
    """An archive whose bytes it has."""
    size: int
    state: Literal["good", "damaged", "lost", "failed"]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Overview:
    """Numbers of the shared store; `clock` is how many seconds ahead of this machine's the database's clock is."""

    archives: int
    kept: int
    kept_bytes: int
    passing: int
    """Objects that are being uploaded, or wait to be removed."""
    clock: float
    mirrors: list[Peer]


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Session]:
    """One session for all questions, which ends with them. Unavailable."""
    session = await Session.connected(url, "dataset-mirror")
    try:
        yield session
    finally:
        await session.close()


async def every_url(places: tuple[str, sharing.Bucket]) -> AsyncIterator[str]:
    """The URL of each archive that all know and the bucket has, by name. Unavailable."""
    last: str | None = ""
    async with _connected(places[0]) as session:
        while last is not None:
            rows = await session.run(_KEYS, {"last": last, "most": _STEP})
            for row in rows:
                yield f"https://{archive_of(row['key'])}"
            last = rows[-1]["key"] if len(rows) == _STEP else None


async def overview(places: tuple[str, sharing.Bucket], now: float) -> Overview:
    """What there is. Unavailable."""
    async with _connected(places[0]) as session:
        (known,) = await session.run(
            "SELECT count(DISTINCT key) AS archives, extract(epoch FROM clock_timestamp())::float8 AS at FROM versions"
        )
        (objects,) = await session.run(
            "SELECT count(*) FILTER (WHERE state = 'kept') AS kept, count(*) FILTER (WHERE state <> 'kept') AS passing,"
            " coalesce(sum(size) FILTER (WHERE state = 'kept'), 0)::bigint AS bytes FROM objects"
        )
        found = await peers(session)
    return Overview(known["archives"], objects["kept"], objects["bytes"], objects["passing"], known["at"] - now, found)


async def read_bucket(places: tuple[str, sharing.Bucket]) -> AsyncIterator[Read]:
    """Reads every object that is kept; a damaged or missing one is given up, and a mirror that has the bytes uploads them again.

    Unavailable or BucketFails if there is nothing to be asked.
    """
    bucket, catalogue, last = Bucket(places[1]), Catalogue("verify"), ""
    while True:
        async with _connected(places[0]) as session:  # a new one each time: to read objects may take hours
            rows = await session.run(_OBJECTS, {"last": last})
        if not rows:
            return
        for row in rows:
            read = await _read(bucket, row["object"], row["sha256"], row["size"], row["key"] or row["object"])
            if read.state in ("damaged", "lost"):
                async with _connected(places[0]) as session:
                    await catalogue.spoil(session, row["object"])
            yield read
        last = rows[-1]["object"]


async def _read(bucket: Bucket, name: str, sha256: str, size: int, key: str) -> Read:
    url = f"https://{key}"
    try:
        found = await beside(partial(_digest, bucket, name))
    except FileNotFoundError:
        return Read(name, url, size, "lost")
    except BucketFails as error:
        return Read(name, url, size, "failed", str(error))
    return Read(name, url, size, "good" if found == sha256 else "damaged")


def _digest(bucket: Bucket, name: str) -> str:
    hashing = hashlib.sha256()
    for part in bucket.read(name):
        hashing.update(part)
    return hashing.hexdigest()
