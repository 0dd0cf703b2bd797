"""Where a URL leads, looked at before it is allowed: over which hosts, and what the last one answers. No body is read."""

from dataclasses import dataclass

from dataset_mirror.errors import FillFailed, MirrorError, NotAllowed, Offline, OriginUnreachable
from dataset_mirror.fetch.redirects import REFUSED_HOST
from dataset_mirror.fetch.reply import Broken, Reply
from dataset_mirror.fetch.upstream import MAX_HOPS, Upstream
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.origins.model import Origin
from dataset_mirror.origins.table import Origins
from dataset_mirror.rules.sameness import whole_size

_ONE_BYTE = {"range": "bytes=0-0"}


@dataclass(frozen=True, slots=True)
class Trace:
    """What came of it."""

    hosts: tuple[str, ...] = ()
    """Hosts that it redirects to and that its origin does not list, in order."""
    place: str = ""
    """Scheme and authority that answered in the end."""
    status: int | None = None
    size: int | None = None
    """Bytes of the whole; None if that was not told."""
    content_type: str | None = None
    trouble: MirrorError | None = None
    """Why it was not looked at to the end."""


def origin_for(origins: Origins, archive: ArchiveId, scheme: str) -> Origin:
    """The origin that an archive belongs to, or the one that it would have."""
    return origins.get(archive.authority) or Origin(url=f"{scheme}://{archive.authority}", paths=(archive.path,))


async def trace(upstream: Upstream, origin: Origin, archive: ArchiveId) -> Trace:
    """Follows redirects to whatever public hosts they lead, from https to https only."""
    hosts: list[str] = []
    while True:
        try:
            return _told(hosts, await _asked(upstream, origin, archive))
        except NotAllowed as error:
            host = error.facts.get(REFUSED_HOST)
            if not isinstance(host, str) or len(hosts) >= MAX_HOPS:
                return Trace(tuple(hosts), trouble=error)
            hosts.append(host)
            origin = origin.model_copy(update={"redirects_to": (*origin.redirects_to, host)})
        except (Offline, FillFailed) as error:
            return Trace(tuple(hosts), trouble=error)
        except Broken as error:
            return Trace(tuple(hosts), trouble=OriginUnreachable(f"{archive.authority} was not reached: {error}.", "Try again later."))


async def _asked(upstream: Upstream, origin: Origin, archive: ArchiveId) -> Reply:
    """HEAD; where that is refused GET of one byte."""
    reply = await upstream.ask(origin, archive, method="HEAD")
    await reply.close()
    if reply.status < 400:
        return reply
    reply = await upstream.ask(origin, archive, lambda _: _ONE_BYTE)
    await reply.close()
    return reply


def _told(hosts: list[str], reply: Reply) -> Trace:
    size = whole_size(reply.status, dict(reply.fields)) if reply.status in (200, 206) else None
    return Trace(tuple(hosts), reply.place, 200 if reply.status == 206 else reply.status, size, reply.field("content-type"))
