"""After a restart: a fill goes on with what a former run of the mirror left, if the origin proves that it has the same bytes."""

import logging

from dataset_mirror.fetch.edition import Edition
from dataset_mirror.fetch.opening import first_reply
from dataset_mirror.fetch.resume import fits
from dataset_mirror.fetch.shared import Shared
from dataset_mirror.fetch.upstream import Reply
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.origins.model import CatalogEntry, Origin
from dataset_mirror.store.partial import PartialFile
from dataset_mirror.store.resumable import Leftover

log = logging.getLogger(__name__)


async def first_or_next(shared: Shared, origin: Origin, archive: ArchiveId, expected: CatalogEntry | None) -> tuple[Reply, Edition | None]:
    """The origin's first answer: a 206 that goes on with the edition beside it, or a 200. Raises the error that clients get.

    While the origin gives no such answer, what is there stays and waits for the next fill.
    """
    left = _usable(shared, origin, archive, expected)
    if left is None:
        return await first_reply(shared.upstream, origin, archive), None
    start = _start(left)
    going_on = {"range": f"bytes={start}-", "if-range": left.validators.strong or ""}
    reply = await first_reply(shared.upstream, origin, archive, going_on, first=left.upstream)
    if reply.status == 206 and reply.encoding is None and fits(reply, left, start) and (partial := shared.store.leftovers.take(left)):
        return reply, await _edition(shared, left, partial, reply)
    shared.store.leftovers.drop(left)
    log.info("Starting over with %s: the origin does not prove that it has what was there before the restart.", left.url)
    if reply.status == 200:
        return reply, None
    await reply.close()
    return await first_reply(shared.upstream, origin, archive), None


def _usable(shared: Shared, origin: Origin, archive: ArchiveId, expected: CatalogEntry | None) -> Leftover | None:
    """What is there of the archive; what can be of no use any more is removed."""
    left = shared.store.leftovers.get(archive)
    if left is None:
        return None
    same_size = expected is None or expected.size in (None, left.length)
    if same_size and left.url == origin.url_of(archive) and left.private == bool(origin.headers):
        return left
    shared.store.leftovers.drop(left)
    return None


def _start(left: Leftover) -> int:
    """The first byte that is missing, or the last of all if none is: no byte at all cannot be asked for."""
    prefix = max((end for start, end in left.have if start == 0), default=0)
    return min(prefix, left.length - 1)


async def _edition(shared: Shared, left: Leftover, partial: PartialFile, reply: Reply) -> Edition:
    """StoreFull if there is no room for the rest; then what is there waits on."""
    try:
        room = await shared.eviction.reserve(left.length, left.url, there=left.total)
    except BaseException:
        partial.close()
        shared.store.leftovers.give_back(left)
        await reply.close()
        raise
    log.info("Going on with %s: %s of %s bytes are there from before the restart.", left.url, f"{left.total:,}", f"{left.length:,}")
    return Edition(left.length, left.validators, list(left.fields), partial, room, left.upstream)
