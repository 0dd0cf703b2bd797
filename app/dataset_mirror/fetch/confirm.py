"""Asking an upstream, at this moment, whether it would send the bytes that are kept once more."""

import asyncio

from dataset_mirror.errors import MirrorError
from dataset_mirror.fetch.reply import Broken, Reply
from dataset_mirror.fetch.source import Source
from dataset_mirror.rules.sameness import same_bytes, whole_size
from dataset_mirror.store.record import Record

SECONDS = 10.0
HEAD_REFUSED = (403, 405, 501)
"""Answers to HEAD that only mean that GET has to be used, as signed S3 URLs give."""


class Unreachable(Exception):
    """No upstream of that origin answered."""


async def confirms(source: Source, record: Record) -> bool:
    """Whether size, and strong validator or digest, of what the origin would send are those of `record`. Unreachable."""
    try:
        async with asyncio.timeout(SECONDS):
            reply = await _asked(source)
    except (Broken, TimeoutError) as error:
        raise Unreachable(str(error)) from None
    except MirrorError:
        return False
    if reply.status not in (200, 206):
        return False
    if not reply.encoding and whole_size(reply.status, dict(reply.fields)) != record.size:
        return False  # the size of an encoded body says nothing of the bytes that are kept, which are the decoded ones
    digests = {"sha256": record.sha256} | ({"md5": record.md5} if record.md5 else {})
    return same_bytes(record.validators, digests, reply.validators, reply.fields)


async def _asked(source: Source) -> Reply:
    """The answer to HEAD, or to a GET for one byte where HEAD is refused or tells no size; closed."""
    reply = await source.ask(method="HEAD")
    await reply.close()
    if reply.status in HEAD_REFUSED or (reply.status == 200 and whole_size(200, dict(reply.fields)) is None):
        reply = await source.ask(lambda _: {"range": "bytes=0-0"})
        await reply.close()
    return reply
