"""The end of a fill: the whole is verified, decoded if it has to be, made durable and published."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from dataset_mirror.fetch.beginning import check_beginning
from dataset_mirror.fetch.edition import Beginning, Edition
from dataset_mirror.fetch.intake import Intake
from dataset_mirror.fetch.job import Job
from dataset_mirror.fetch.settling import check_shared, check_transfer, decoded, verdict, vouched_by
from dataset_mirror.fetch.to_the_end import to_the_end
from dataset_mirror.rules.conditions import Validators
from dataset_mirror.rules.content import LOOK
from dataset_mirror.rules.digests import Algorithm, Claim, named, needed
from dataset_mirror.rules.fields import Fields, of_decoded
from dataset_mirror.store.digests import Digests
from dataset_mirror.store.partial import PartialFile
from dataset_mirror.store.record import DigestSource, Record
from dataset_mirror.store.store import Store


def algorithms(job: Job, claims: Iterable[Claim]) -> frozenset[Algorithm]:
    """Which digests it takes, besides SHA-256, to judge the bytes of an archive of which their origin claims that."""
    of_catalog: frozenset[Algorithm] = frozenset(["md5"] if job.expected and job.expected.md5 else [])
    return (of_catalog | needed(claims) | needed(named(job.archive.path))) - {"sha256"}


@dataclass(frozen=True, slots=True)
class _Whole:
    """All bytes of an archive, and what is known of them."""

    partial: PartialFile
    digests: Digests
    fields: Fields
    claims: tuple[Claim, ...]


async def published(job: Job, store: Store, intake: Intake, digests: Digests, *, began: float, proven: bool) -> Record:
    """The record of an edition that is whole. DigestMismatch, FillFailed or NotAnArchive if it is not what was asked for.

    `began` is the time of its fetching (seconds since the epoch); `proven`: the framing of what came last showed its end.
    """
    edition = intake.edition
    assert edition is not None
    if job.shared and job.shared.record:
        check_shared(job.url, job.shared.record, digests, edition.partial.prefix)
    check_transfer(job.url, job.expected, (*edition.claims, *job.in_its_name), digests)
    if edition.beginning is Beginning.HIDDEN and not (job.expected and digests.has_any((*job.expected.sha256, *job.expected.md5))):
        async with _without_encoding(job, store, intake, edition) as whole:
            stored = await _stored(job, store, edition, whole, began=began, proven=proven)
    else:
        whole = _Whole(edition.partial, digests, edition.fields, edition.claims)
        stored = await _stored(job, store, edition, whole, began=began, proven=proven)
    edition.complete = True
    return stored


async def _stored(job: Job, store: Store, edition: Edition, whole: _Whole, *, began: float, proven: bool) -> Record:
    """The record under which these bytes are kept from now on, if they are right."""
    digests, size, shared = whole.digests, whole.partial.prefix, job.shared
    record = Record(
        archive=job.archive,
        scheme=job.origin.scheme,
        sha256=digests.sha256,
        md5=digests.md5,
        size=size,
        validators=_lasting(job, store, digests.sha256) or edition.validators,
        fields=whole.fields,
        source=_vouching(job, whole, proven=proven),
        fetched=shared.fetched if shared else store.moment_after(job.archive, began),
        checked=max(1.0, edition.came - edition.age),
        private=job.private,
        restricted=job.restricted,
    )
    if shared and shared.record:
        record = replace(shared.record, private=record.private or shared.record.private, md5=shared.record.md5 or digests.md5)
    await asyncio.to_thread(whole.partial.sync)
    return await store.in_worker(lambda: store.publish(whole.partial.path, record, kept=shared is not None and shared.kept))


def _vouching(job: Job, whole: _Whole, *, proven: bool) -> DigestSource:
    """Who vouches for the bytes; DigestMismatch or FillFailed if they are wrong."""
    source = verdict(job.url, job.expected, whole.digests, whole.partial.prefix, proven=proven, by=job.expected_by)
    if source == "computed":
        return vouched_by(job.url, whole.claims, named(job.archive.path), whole.digests)
    return "origin" if job.promised_by and source == "catalog" else source


def _lasting(job: Job, store: Store, sha256: str) -> Validators | None:
    """The validators under which these very bytes were served before: an entity tag, once sent, stays (`curl -C -`)."""
    known = store.find(job.archive)
    return known.validators if known and known.sha256 == sha256 else None


@asynccontextmanager
async def _without_encoding(job: Job, store: Store, intake: Intake, edition: Edition) -> AsyncIterator[_Whole]:
    """What the bytes on the wire decode to, judged like any other beginning. Unless it is published its file is gone at the end."""
    loop, growing, is_needed = asyncio.get_running_loop(), Future[None](), True

    def make_room(size: int) -> None:
        nonlocal growing
        growing = asyncio.run_coroutine_threadsafe(intake.more_room(edition, size), loop)
        if not is_needed:
            growing.cancel()
        growing.result()

    plain = store.new_partial()
    decoding = asyncio.ensure_future(
        asyncio.to_thread(decoded, job.url, edition.partial, plain, edition.encoding or "", algorithms(job, ()), make_room)
    )
    try:
        digests = await asyncio.shield(decoding)
        check_beginning(job, edition, plain.read(0, LOOK))
        yield _Whole(plain, digests, of_decoded(edition.fields), ())
    finally:
        is_needed = False
        growing.cancel()
        try:
            await to_the_end([decoding])  # else it would write into a file that is closed
        finally:
            if not decoding.cancelled():
                decoding.exception()  # who could still do something about it has had it
            plain.discard()
