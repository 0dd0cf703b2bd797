"""The end of a fill: the whole is verified, decoded if it has to be, made durable and published."""

import asyncio
import time

from dataset_mirror.fetch.beginning import check_beginning
from dataset_mirror.fetch.digests import Digests
from dataset_mirror.fetch.edition import Beginning, Edition
from dataset_mirror.fetch.job import Job
from dataset_mirror.fetch.settling import decoded, verdict
from dataset_mirror.rules.conditions import Validators
from dataset_mirror.rules.content import LOOK
from dataset_mirror.store.partial import PartialFile
from dataset_mirror.store.record import Record
from dataset_mirror.store.store import Store


async def published(job: Job, store: Store, edition: Edition, digests: Digests, *, began: float, proven: bool) -> Record:
    """The record of an edition that is whole. DigestMismatch, FillFailed or NotAnArchive if it is not what was asked for.

    `began` is the time of its fetching (seconds since the epoch); `proven`: the framing of what came last showed its end.
    """
    partial = edition.partial
    if edition.encoding and edition.beginning is Beginning.HIDDEN:
        partial, digests = await _without_encoding(job, store, partial, edition.encoding, digests)
    source = verdict(job.url, job.expected, digests, partial.prefix, proven=proven)
    record = Record(
        archive=job.archive,
        scheme=job.origin.scheme,
        sha256=digests.sha256,
        md5=digests.md5,
        size=partial.prefix,
        validators=_lasting(job, store, digests.sha256) or edition.validators,
        fields=edition.fields,
        source=source,
        fetched=began,
        checked=time.time(),
        private=job.private,
    )
    await asyncio.to_thread(partial.sync)
    stored = await store.in_worker(lambda: store.publish(partial.path, record))
    if partial is not edition.partial:
        partial.close()
    edition.complete = True
    return stored


def _lasting(job: Job, store: Store, sha256: str) -> Validators | None:
    """The validators under which these very bytes were served before: an entity tag, once sent, stays (`curl -C -`)."""
    known = store.find(job.archive)
    return known.validators if known and known.sha256 == sha256 else None


async def _without_encoding(job: Job, store: Store, wire: PartialFile, encoding: str, digests: Digests) -> tuple[PartialFile, Digests]:
    """The wire bytes if they are what the catalog expects, else what they decode to, which is judged like any other beginning."""
    expected = job.expected
    if expected and (digests.sha256 in expected.sha256 or digests.md5 in expected.md5):
        return wire, digests
    plain = store.new_partial()
    try:
        digests = await asyncio.to_thread(decoded, job.url, wire, plain, encoding)
        check_beginning(job, plain.read(0, LOOK))
        return plain, digests
    except BaseException:
        plain.discard()
        raise
