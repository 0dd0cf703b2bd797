"""The end of a fill: the whole is verified, decoded if it has to be, made durable and published."""

import asyncio
from collections.abc import Iterable

from dataset_mirror.fetch.beginning import check_beginning
from dataset_mirror.fetch.edition import Beginning, Edition
from dataset_mirror.fetch.intake import Intake
from dataset_mirror.fetch.job import Job
from dataset_mirror.fetch.settling import check_transfer, decoded, verdict, vouched_by
from dataset_mirror.rules.conditions import Validators
from dataset_mirror.rules.content import LOOK
from dataset_mirror.rules.digests import Algorithm, Claim, named, needed
from dataset_mirror.rules.fields import of_decoded
from dataset_mirror.store.digests import Digests
from dataset_mirror.store.partial import PartialFile
from dataset_mirror.store.record import Record
from dataset_mirror.store.store import Store


def algorithms(job: Job, claims: Iterable[Claim]) -> frozenset[Algorithm]:
    """Which digests it takes, besides SHA-256, to judge the bytes of an archive of which their origin claims that."""
    of_catalog: frozenset[Algorithm] = frozenset(["md5"] if job.expected and job.expected.md5 else [])
    return (of_catalog | needed(claims) | needed(named(job.archive.path))) - {"sha256"}


async def published(job: Job, store: Store, intake: Intake, digests: Digests, *, began: float, proven: bool) -> Record:
    """The record of an edition that is whole. DigestMismatch, FillFailed or NotAnArchive if it is not what was asked for.

    `began` is the time of its fetching (seconds since the epoch); `proven`: the framing of what came last showed its end.
    """
    edition = intake.edition
    assert edition is not None
    partial, fields, claims, names = edition.partial, edition.fields, edition.claims, named(job.archive.path)
    check_transfer(job.url, job.expected, (*claims, *job.in_its_name), digests)
    if edition.encoding and edition.beginning is Beginning.HIDDEN:
        partial, digests = await _without_encoding(job, store, intake, edition, digests)
        if partial is not edition.partial:
            fields, claims = of_decoded(fields), ()
    source = verdict(job.url, job.expected, digests, partial.prefix, proven=proven, by=job.expected_by)
    if job.promised_by and source == "catalog":
        source = "origin"
    if source == "computed":
        source = vouched_by(job.url, claims, names, digests)
    record = Record(
        archive=job.archive,
        scheme=job.origin.scheme,
        sha256=digests.sha256,
        md5=digests.md5,
        size=partial.prefix,
        validators=_lasting(job, store, digests.sha256) or edition.validators,
        fields=fields,
        source=source,
        fetched=store.moment_after(job.archive, began),
        checked=max(1.0, edition.came - edition.age),
        private=job.private,
        restricted=job.restricted,
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


async def _without_encoding(job: Job, store: Store, intake: Intake, edition: Edition, digests: Digests) -> tuple[PartialFile, Digests]:
    """The wire bytes if they are what the catalog expects, else what they decode to, which is judged like any other beginning."""
    expected, wire = job.expected, edition.partial
    if expected and (digests.has_any((*expected.sha256, *expected.md5))):
        return wire, digests
    loop = asyncio.get_running_loop()

    def make_room(size: int) -> None:
        asyncio.run_coroutine_threadsafe(intake.more_room(edition, size), loop).result()

    plain = store.new_partial()
    try:
        digests = await asyncio.to_thread(decoded, job.url, wire, plain, edition.encoding or "", algorithms(job, ()), make_room)
        check_beginning(job, edition, plain.read(0, LOOK))
        return plain, digests
    except BaseException:
        plain.discard()
        raise
