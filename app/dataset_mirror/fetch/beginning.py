"""Whether what an origin begins to send can be the archive: by its head, and by its first bytes."""

from email.message import Message

from dataset_mirror.errors import FillFailed, NotAnArchive, NotForKeeping
from dataset_mirror.fetch.edition import Edition
from dataset_mirror.fetch.job import Job
from dataset_mirror.fetch.reply import Reply
from dataset_mirror.rules.conditions import Validators
from dataset_mirror.rules.content import contradiction, is_genuinely_empty, wrong_magic
from dataset_mirror.rules.counted import counted


def check_head(job: Job, reply: Reply) -> None:
    """FillFailed or NotAnArchive if the head of the answer says that its body is something else; NotForKeeping."""
    check_for_keeping(job, reply)
    size = job.expected.size if job.expected else None
    if size is not None and reply.length not in (None, size) and not reply.encoding:
        override = f'If the origin republished it, write into mirror.toml: [[archives]] url = "{job.url}" sha256 = "…"'
        raise FillFailed(f"{job.url} has {counted(reply.length, 'byte')} at its origin, but {job.expected_by} {size:,}.", override)
    if reply.length == 0:
        _check_empty(job, reply.field("content-type"), has_validator=_has_validator(reply.validators))


def check_for_keeping(job: Job, reply: Reply) -> None:
    """NotForKeeping for what its origin decides about, and gives to one client only."""
    if job.rule is not None and job.rule.gated and not job.rule.shared and _is_for_one_client(reply):
        raise NotForKeeping(f"{job.url} is for one client only, as its origin says.", "It is passed on, and not kept.")


def _is_for_one_client(reply: Reply) -> bool:
    """Whether an origin says that nobody else may have its answer (RFC 9111 5.2.2.5, 5.2.2.7), or sets a cookie with it."""
    directives = {part.strip().partition("=")[0].lower() for part in (reply.field("cache-control") or "").split(",")}
    return not directives.isdisjoint(("no-store", "private")) or reply.field("set-cookie") is not None


def check_beginning(job: Job, edition: Edition, beginning: bytes) -> None:
    """NotAnArchive if an archive of this name cannot begin like this; what is known of it beforehand says more than its first bytes."""
    if job.vouched_for:
        return None
    content_type = dict(edition.fields).get("content-type")
    if not beginning:
        announced = edition.length == 0  # of a body without a length nobody said that it is empty
        return _check_empty(job, content_type, has_validator=announced and _has_validator(edition.validators))
    name = _name(job, edition)
    why = wrong_magic(name, beginning) if job.rule and job.rule.pages else contradiction(name, content_type, beginning)
    if why is not None:
        raise NotAnArchive(f"{job.url} cannot be what it is called: {why}.", f"Look at it with curl. {_override(job, edition.length)}")


def _name(job: Job, edition: Edition) -> str:
    """What the file is called: by its URL, or by its origin's own word where URLs are numbers and pages are known for what they are."""
    if job.rule is None or job.rule.confirm is None:
        return job.archive.name
    said = Message()
    said["content-disposition"] = dict(edition.fields).get("content-disposition", "")
    return said.get_filename() or job.archive.name


def _has_validator(validators: Validators) -> bool:
    return bool(validators.etag or validators.last_modified)


def _check_empty(job: Job, content_type: str | None, *, has_validator: bool) -> None:
    if not job.vouched_for and not is_genuinely_empty(job.archive.name, content_type, has_validator=has_validator):
        raise NotAnArchive(f"{job.url} is empty at its origin.", f"Try later, or tell the origin's owner. {_override(job, 0)}")


def _override(job: Job, size: int | None) -> str:
    known = f"size = {size}" if size is not None else 'sha256 = "…"'
    return f'If it is right as it is, write into mirror.toml: [[archives]] url = "{job.url}" {known}'
