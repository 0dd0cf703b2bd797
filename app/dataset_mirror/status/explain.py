"""What the mirror would do with a request for an archive, and why, in sentences."""

import time
from datetime import datetime

from dataset_mirror.errors import BadRequest, MirrorError, NoSuchPage
from dataset_mirror.mirror import Mirror
from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.origins.routing import OwnPaths, Target, find_archive
from dataset_mirror.origins.table import closest
from dataset_mirror.status.models import Explanation
from dataset_mirror.status.wording import duration
from dataset_mirror.store.record import DigestSource, Record


def explain(mirror: Mirror, url: str, own: OwnPaths) -> Explanation:
    """The outcome of a GET of `url`: an archive's, a path of this mirror whose `own` pages are no archives, or a catalog's name.

    BadRequest if it is none of them.
    """
    try:
        archive = _archive(mirror, url, own)
        origin = mirror.origins.of(archive)
    except BadRequest:
        raise
    except MirrorError as error:
        return Explanation(url=url, outcome="refusal", why=[error.detail], hint=error.hint, status=error.status, at=[], asked=[])
    known = origin.url_of(archive)
    at = [f"/{archive}", *([archive.target] if _has_bare_form(mirror, archive, own) else [])]
    asked = [] if mirror.settings.offline else mirror.upstream.urls(origin, archive)
    if record := mirror.store.find(archive):
        return Explanation(url=known, outcome="hit", why=_stored(mirror, record), hint="", status=200, at=at, asked=asked)
    if (no := mirror.refusal(mirror.asked(archive))) is not None:
        return Explanation(
            url=known, outcome="refusal", why=[no.detail, *_failed(mirror, archive)], hint=no.hint, status=no.status, at=at, asked=asked
        )
    return Explanation(url=known, outcome="miss", why=_missing(mirror, archive), hint="", status=200, at=at, asked=asked)


def _archive(mirror: Mirror, url: str, own: OwnPaths) -> ArchiveId:
    if named := mirror.origins.named(url):
        return named[0].archive
    if not url.startswith("/"):
        return _of_text(mirror, url)
    path, _, query = url.partition("?")
    archive = find_archive(Target(path.encode(), query.encode()), mirror.origins, own_port=0, own=own)
    if archive is None:
        raise NoSuchPage(f"{path} is a page of the mirror itself, not an archive.", "Ask for it as it is.")
    return archive


def _of_text(mirror: Mirror, text: str) -> ArchiveId:
    """A URL, its scheme left out or not. NoSuchPage, with what is near, for what looks like a name of the catalog."""
    host = text.partition("/")[0]
    if "://" not in text and "." not in host and ":" not in host:
        raise NoSuchPage(f"The catalog has no archive named {text!r}.", closest(text, mirror.origins.names))
    return parse_url(text)


def _failed(mirror: Mirror, archive: ArchiveId) -> list[str]:
    """What went wrong when it was last fetched, if that is known."""
    key = str(archive)
    last = next((one for one in reversed(mirror.flights.failures) if one.url.partition("://")[2] == key), None)
    if last is None:
        return []
    ago = duration(max(time.time() - last.at, 0)).replace("\N{NO-BREAK SPACE}", " ")
    return [f"It was last tried {ago} ago, and failed: {last.error.detail}"]


def _has_bare_form(mirror: Mirror, archive: ArchiveId, own: OwnPaths) -> bool:
    try:
        return find_archive(Target(archive.path.encode(), archive.query.encode()), mirror.origins, own_port=0, own=own) == archive
    except MirrorError:
        return False


_VOUCHED_BY: dict[DigestSource, str] = {
    "origin": "Its digest is the one that its origin states in the answer.",
    "url": "Its digest is the one that its URL has.",
    "disputed": "Its digest was computed, and disagrees with its name: the URL has another one.",
    "adopted": "It was added as a file; no known digest proves it.",
}


def _stored(mirror: Mirror, record: Record) -> list[str]:
    why = [f"It is stored: {record.size:,} bytes, fetched {datetime.fromtimestamp(record.fetched).astimezone():%Y-%m-%d %H:%M %Z}."]
    if said := _VOUCHED_BY.get(record.source):
        why.append(said)
    ttl = mirror.ttl(record)
    if ttl is None:
        why.append("Its digest is the catalog's, so its origin is never asked about it again.")
    elif ttl < 0 and mirror.settings.offline:
        why.append("Its origin would be asked whether it changed, but the mirror is offline.")
    elif ttl < 0:
        why.append("It is served at once; meanwhile its origin is asked whether it changed.")
    else:
        lasting = duration(ttl).replace("\N{NO-BREAK SPACE}", " ")
        why.append(f"Its origin is asked whether it changed when {lasting} more have passed.")
    return why


def _missing(mirror: Mirror, archive: ArchiveId) -> list[str]:
    if fill := mirror.flights.get(archive):
        total = f" of {fill.total:,}" if fill.total is not None else ""
        return [f"It is being fetched: {fill.received:,}{total} bytes are there, and a client gets them at once."]
    why = ["It is not stored; the first request fetches it, and gets its bytes as they arrive.", *_failed(mirror, archive)]
    entry = mirror.origins.expected(archive)
    if entry and entry.has_digest:
        why.append(f"The catalog knows its digest ({(*entry.sha256, *entry.md5)[0][:8]}…): other bytes are refused.")
    else:
        why.append("The catalog has no digest of it: the origin's bytes are trusted.")
    if entry and entry.size and (missing := mirror.store.space.missing(entry.size)):
        why.append(f"{missing:,} bytes must be removed to make room for it.")
    return why
