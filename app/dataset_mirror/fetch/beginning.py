"""Whether what an origin begins to send can be the archive: by its head, and by its first bytes."""

from dataset_mirror.errors import FillFailed, NotAnArchive
from dataset_mirror.fetch.job import Job
from dataset_mirror.fetch.upstream import Reply
from dataset_mirror.rules.content import page_instead, wrong_magic


def check_head(job: Job, reply: Reply) -> None:
    """NotAnArchive or FillFailed if the head of the answer says that its body is something else."""
    if (page := page_instead(job.archive.name, reply.field("content-type"))) is not None:
        raise NotAnArchive(f"{job.url} cannot be mirrored now: {page}.", "Look at it with a browser; it may ask for a login.")
    size = job.expected.size if job.expected else None
    if size is not None and reply.length not in (None, size) and not reply.encoding:
        override = f'If the origin republished it, write into mirror.toml: [[archives]] url = "{job.url}" sha256 = "…"'
        raise FillFailed(f"{job.url} has {reply.length:,} bytes at its origin, but the catalog expects {size:,}.", override)
    if reply.length == 0:
        raise _empty(job)


def check_beginning(job: Job, beginning: bytes) -> None:
    """NotAnArchive if an archive of this name cannot begin like this; a digest of the catalog says more than its first bytes."""
    if not beginning:
        raise _empty(job)
    if not job.has_digest and (contradiction := wrong_magic(job.archive.name, beginning)) is not None:
        raise NotAnArchive(f"{job.url} cannot be what it is called: {contradiction}.", "Look at it with curl.")


def _empty(job: Job) -> NotAnArchive:
    return NotAnArchive(f"{job.url} is empty at its origin.", "Try later, or tell the origin's owner.")
