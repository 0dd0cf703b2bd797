"""After a break in the middle: going on at the missing bytes if they are provably the same archive, else starting over."""

import asyncio
import re

from dataset_mirror.errors import FillFailed, OriginBusy
from dataset_mirror.fetch.edition import Edition
from dataset_mirror.fetch.reply import Broken, Reply
from dataset_mirror.fetch.retry import LONGEST_WAIT, Backoff, retry_after
from dataset_mirror.fetch.source import Source
from dataset_mirror.rules.counted import counted
from dataset_mirror.store.resumable import Leftover

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-\d+/(\d{1,19})", re.ASCII)


class StartOver(Exception):
    """The origin has other bytes now, or cannot prove that they are the same: never splice. `reply` is its new 200, if any."""

    def __init__(self, why: str, reply: Reply | None) -> None:
        super().__init__(why)
        self.reply = reply


async def resumed(source: Source, edition: Edition, backoff: Backoff, cause: Broken, *, known_digest: bool) -> tuple[Reply, int]:
    """A body that goes on, and the offset at which it begins. StartOver; OriginBusy; FillFailed, with its story, if the budget is spent.

    Another upstream may go on where one broke: under an equal strong validator, or, if the catalog has a digest
    (`known_digest`), under any: its bytes are proven at the end, and nobody gets the end before.
    """

    start = 0

    def fields(place: str) -> dict[str, str]:
        return _going_on(edition, place, start, known_digest=known_digest)

    backoff.story.append(str(cause))
    asked: float | None = None
    while (wait := backoff.next_wait(asked)) is not None:
        await asyncio.sleep(wait)
        start = edition.partial.prefix
        try:
            reply = await source.ask(fields, first="" if backoff.failures > 1 else edition.upstream)
        except Broken as error:
            backoff.story.append(str(error))
            asked = None
            continue
        outcome = await _taken(reply, edition, start, known_digest=known_digest and reply.upstream != edition.upstream)
        if not isinstance(outcome, str):
            return reply, outcome
        backoff.story.append(outcome)
        asked = retry_after(reply.field("retry-after"), reply.field("date"))
        if asked is not None and asked > LONGEST_WAIT:
            raise OriginBusy(
                f"{source.url} broke off, and the origin asks to wait {asked:.0f} s: {'; then '.join(backoff.story)}.",
                "Ask again then.",
                headers={"Retry-After": f"{asked:.0f}"},
            )
    there = edition.partial.have.total
    total = counted(edition.length, "byte") if edition.length is not None else "an unknown number of bytes"
    raise FillFailed(
        f"{source.url} broke off after {there:,} of {total} and could not be resumed: {'; then '.join(backoff.story)}.",
        "Ask again; if it keeps failing, give another upstream in `upstreams`.",
    )


def _going_on(edition: Edition, place: str, start: int, *, known_digest: bool) -> dict[str, str]:
    if known_digest and place != edition.upstream and edition.length is not None and start > 0:
        return {"range": f"bytes={start}-"}
    if not edition.can_go_on or start == 0:
        return {}  # nothing would prove that the rest belongs to what is there
    return part(edition, f"bytes={start}-")


def part(edition: Edition, span: str) -> dict[str, str]:
    """The fields that ask for a part of an edition that can go on, and of no other."""
    strong = edition.validators.strong
    return {"range": span, "if-range": strong} if strong else {"range": span}


async def _taken(reply: Reply, edition: Edition, start: int, *, known_digest: bool) -> int | str:
    """The offset at which this answer goes on; a sentence if it is to be asked again; StartOver."""
    if reply.status == 206:
        if not fits(reply, edition, start, known_digest=known_digest):
            await reply.close()
            raise StartOver("its range does not fit what is there", None)
        return start
    if reply.status == 200:
        same_tag = edition.validators.strong is not None and reply.validators.strong == edition.validators.strong
        same = _same_digest(reply, edition)
        if (known_digest or (same_tag if same is None else same)) and reply.length == edition.length and reply.encoding is None:
            return 0
        raise StartOver("the origin sends it from the beginning, and does not prove that it is the same", reply)
    await reply.close()
    if reply.status == 416:
        raise StartOver("it is shorter now", None)
    return f"{reply.place} answered {reply.status}"


def fits(reply: Reply, edition: Edition | Leftover, start: int, *, known_digest: bool = False) -> bool:
    """Whether this 206 sends bytes of the same archive from `start` on: of as many bytes, and under its validators.

    Without strong validators nothing but the same verified digest tells.
    """
    match = _CONTENT_RANGE.fullmatch(reply.field("content-range") or "")
    if match is None or int(match[2]) != edition.length or int(match[1]) != start:
        return False
    if known_digest or (same := _same_digest(reply, edition)):
        return True
    return same is None and edition.validators.strong is not None and _same_validators(reply, edition)


def _same_validators(reply: Reply, edition: Edition | Leftover) -> bool:
    """Whether what a part tells of itself is what the whole told. Many servers send a part whatever If-Range says.

    It need not tell anything (RFC 9110 15.3.7), but then it is trusted only if it comes from the upstream that sent the rest.
    """
    had, told, same_place = edition.validators, reply.validators, reply.upstream == edition.upstream
    if told.etag is not None and (had.strong_etag or told.etag != had.etag):
        tag = told.etag.removeprefix("W/") if same_place else told.etag
        return tag == had.strong_etag
    if told.last_modified is not None:
        return told.last_modified == had.last_modified and (same_place or had.date_is_strong)
    return same_place


def _same_digest(reply: Reply, edition: Edition | Leftover) -> bool | None:
    """None if it is not known."""
    if isinstance(edition, Leftover) or edition.digest is None or reply.digest is None:
        return None
    return edition.digest == reply.digest
