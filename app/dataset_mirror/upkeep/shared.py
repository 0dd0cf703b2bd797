"""Checks of what several mirrors share: database, bucket, clocks, the way to the others, what is left over."""

import asyncio
import time
from collections.abc import AsyncIterator

import httpx

from dataset_mirror.origins.sharing import Bucket
from dataset_mirror.rules.counted import counted
from dataset_mirror.store.shared.answers import Peer
from dataset_mirror.upkeep.checkup import Finding

_CLOCK_SECONDS = 30.0
_LEFT_OVER = 1000
"""Objects on their way in or out; more of them are not swept."""


async def check_shared(places: tuple[str, Bucket]) -> AsyncIterator[Finding]:
    """All of it; nothing is changed."""
    try:
        from dataset_mirror.store.shared.audit import overview
        from dataset_mirror.store.shared.bucket import Bucket as Opened
        from dataset_mirror.store.shared.bucket import BucketFails
        from dataset_mirror.store.shared.database import Unavailable
    except ImportError as error:
        yield Finding("shared", f"{error.name} is not installed.", "Run: pip install 'dataset-mirror[shared]'")
        return
    try:
        await asyncio.to_thread(Opened(places[1]).check)
        yield Finding("bucket", f"{places[1].url} can be listed.")
    except BucketFails as error:
        yield Finding("bucket", f"{places[1].url}: {error}.", "Check `bucket`, its endpoint and its keys.")
    try:
        found = await overview(places, time.time())
    except Unavailable as error:
        yield Finding(
            "database", f"The shared database cannot be used: {error}.", "Check `shared`; a mirror makes the tables at its start."
        )
        return
    kept = f"{counted(found.kept, 'object')}, {counted(found.kept_bytes, 'byte')}"
    yield Finding("database", f"It knows {counted(found.archives, 'archive')}; the bucket has {kept}.")
    hint = "Set both clocks: timedatectl set-ntp true" if abs(found.clock) > _CLOCK_SECONDS else ""
    yield Finding("clocks", f"The database's clock and this machine's are {abs(found.clock):.0f} s apart.", hint)
    hint = "Look at the mirrors' logs: the bucket does not take or remove objects." if found.passing > _LEFT_OVER else ""
    yield Finding("objects", f"{found.passing:,} are being uploaded, or wait to be removed.", hint)
    for finding in await asyncio.gather(*(_reached(peer) for peer in found.mirrors if peer.is_alive)):
        yield finding


async def _reached(peer: Peer) -> Finding:
    if not peer.url:
        return Finding("mirror", f"{peer.id} is reached by none of the others; it fetches for itself.")
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=3) as client:
            (await client.get(f"{peer.url}/healthz")).raise_for_status()
    except httpx.HTTPError as error:
        what = str(error) or type(error).__name__
        return Finding(
            "mirror", f"{peer.url} is alive, and cannot be reached from here: {what}.", "Check its `advertise_url`, and the network."
        )
    return Finding("mirror", f"{peer.url} answers.")
