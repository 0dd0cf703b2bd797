"""After a restart: a fill goes on with what a former run of the mirror left, if the origin proves that it has the same bytes."""

import logging
from dataclasses import dataclass

from dataset_mirror.fetch.job import Job
from dataset_mirror.fetch.opening import first_reply
from dataset_mirror.fetch.reply import Reply
from dataset_mirror.fetch.resume import fits
from dataset_mirror.fetch.source import Source
from dataset_mirror.store.partial import PartialFile
from dataset_mirror.store.resumable import Leftover, Leftovers

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rest:
    """What a former run left, taken up: its partial file is open now."""

    left: Leftover
    partial: PartialFile


async def first_or_next(source: Source, leftovers: Leftovers, job: Job) -> tuple[Reply, Rest | None]:
    """The source's first answer: a 206 that goes on with the rest beside it, or a 200. Raises the error that clients get.

    While the source gives no such answer, what is there stays and waits for the next fill.
    """
    left = _usable(leftovers, source, job)
    if left is None:
        return await first_reply(source), None
    start = _start(left)
    going_on = {"range": f"bytes={start}-", "if-range": left.validators.strong or ""}
    reply = await first_reply(source, going_on, first=left.upstream)
    if reply.status == 206 and reply.encoding is None and fits(reply, left, start) and (partial := leftovers.take(left)):
        return reply, Rest(left, partial)
    leftovers.drop(left)
    log.info("Starting over with %s: the origin does not prove that it still has the bytes of before the restart.", left.url)
    if reply.status == 200:
        return reply, None
    await reply.close()
    return await first_reply(source), None


def _usable(leftovers: Leftovers, source: Source, job: Job) -> Leftover | None:
    """What is there of the archive; what can be of no use any more is removed."""
    left = leftovers.get(job.archive)
    if left is None:
        return None
    same_size = job.expected is None or job.expected.size in (None, left.length)
    if same_size and left.url == source.url and left.private == job.is_with_credentials:
        return left
    leftovers.drop(left)
    return None


def _start(left: Leftover) -> int:
    """The first byte that is missing, or the last of all if none is: no byte at all cannot be asked for."""
    prefix = max((end for start, end in left.have if start == 0), default=0)
    return min(prefix, left.length - 1)
