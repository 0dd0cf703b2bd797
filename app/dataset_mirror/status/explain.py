"""What the mirror would do with a request for an archive, and why, in sentences."""

import shlex
import time
from datetime import datetime
from typing import Any

from dataset_mirror.errors import BadRequest, MirrorError, NoSuchPage
from dataset_mirror.fetch.flights import Failure
from dataset_mirror.mirror import Mirror
from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.origins.names import Repository
from dataset_mirror.origins.routing import OwnPaths, Target, find_archive
from dataset_mirror.origins.typed import as_typed
from dataset_mirror.origins.unknown import among_stored
from dataset_mirror.rules.counted import are, counted, share
from dataset_mirror.rules.sentences import quoted
from dataset_mirror.status.contents import Explanation
from dataset_mirror.status.state import failure_of
from dataset_mirror.status.wording import duration, plain
from dataset_mirror.store.record import DigestSource, Record
from dataset_mirror.store.repositories import Snapshot, at_known_commit, snapshot_of
from dataset_mirror.store.shared.answers import Held, Known


async def explain(mirror: Mirror, url: str, own: OwnPaths) -> Explanation:
    """The outcome of a GET of `url`: an archive's, a path of this mirror whose `own` pages are no archives, or a catalog's name;
    of a repository's name that of all that is in it.

    BadRequest if it is none of them.
    """
    url = url.strip() if url.startswith("/") else as_typed(url)
    try:
        if "*" in url:
            raise NoSuchPage(
                f"{url!r} may mean several archives.", f"Name one of them. What is stored of it: dataset-mirror ls {quoted(url)}"
            )
        if (repository := mirror.origins.repository(url)) is not None:
            return _of_repository(mirror, repository)
        archive = _archive(mirror, url, own)
        origin = mirror.origins.of(archive)
    except BadRequest:
        raise
    except MirrorError as error:
        return Explanation(url=url, outcome="refusal", why=[error.detail], hint=error.hint, status=error.status, at=[], asked=[])
    known = origin.url_of(archive)
    at = [f"/{archive}", *([archive.shown] if _has_bare_form(mirror, archive, own) else [])]
    asked = [] if mirror.settings.offline else mirror.upstream.urls(origin, archive)
    last = failure_of(failure) if (failure := _last(mirror, archive)) else None
    common: dict[str, Any] = {"url": known, "at": at, "asked": asked, "last_error": last}
    what = mirror.asked(archive)
    if what.matched is not None and not what.matched.rule.store:
        return Explanation(outcome="miss", why=["By its rule it is passed on, and never kept."], hint="", status=200, **common)
    at_commit = at_known_commit(mirror.store.index, mirror.origins, archive)
    if record := mirror.store.find(archive) or mirror.store.find(at_commit):
        moved = [] if record.archive == archive else [f"By what its origin said last, it is {record.url}."]
        return Explanation(outcome="hit", why=[*moved, *_stored(mirror, record)], hint="", status=200, **common)
    if mirror.shared and (shared := await mirror.shared.find(archive)):
        bucket = mirror.shared.bucket.url
        common["asked"] = [bucket] if isinstance(shared, Known) else [f"{shared.url}/{archive}"] if shared.url else asked
        return Explanation(outcome="miss", why=_elsewhere(shared, bucket), hint="", status=200, **common)
    if (no := mirror.refusal(what)) is not None:
        return Explanation(outcome="refusal", why=[no.detail, *_failed(mirror, archive)], hint=no.hint, status=no.status, **common)
    return Explanation(outcome="miss", why=_missing(mirror, archive), hint="", status=200, **common)


def _elsewhere(found: Known | Held, bucket: str) -> list[str]:
    if isinstance(found, Known):
        record = found.record
        fetched = datetime.fromtimestamp(record.fetched).astimezone()
        return [
            f"It is not stored here; the bucket {bucket} has it: {counted(record.size, 'byte')}, fetched {fetched:%Y-%m-%d %H:%M %Z}.",
            "The first request brings it from there; its origin is not asked.",
        ]
    if not found.url:
        return ["It is being fetched by another mirror, which cannot be reached from here: this one fetches it, too."]
    return [f"The mirror at {found.url} is fetching it: a client here gets the bytes from there as they arrive; its origin is not asked."]


def _of_repository(mirror: Mirror, repository: Repository) -> Explanation:
    snapshot = snapshot_of(mirror.store, repository)
    origin = mirror.origins.get(repository.names.authority)
    there = [archive for archive, _ in snapshot.archives if mirror.store.find(archive)] if snapshot else []
    is_whole = snapshot is not None and len(there) == len(snapshot.archives)
    refused = mirror.settings.offline and not is_whole
    asked = [] if mirror.settings.offline or origin is None else mirror.upstream.urls(origin, repository.question)
    return Explanation(
        url=str(repository),
        outcome="hit" if is_whole else "refusal" if refused else "miss",
        why=[*_revision(mirror, repository), *_failed(mirror, repository.question), *_contents(snapshot, len(there))],
        hint=""
        if is_whole
        else f"Fetch it {'where there is a network' if refused else 'ahead of time'}: dataset-mirror fetch {shlex.quote(str(repository))}",
        status=504 if refused else 200,
        at=[f"/{repository.question}"],
        asked=asked,
    )


def _revision(mirror: Mirror, repository: Repository) -> list[str]:
    if repository.commit:
        return []
    fact = mirror.store.index.known("ref", f"{repository.about}@{repository.ref}")
    named = f"Its revision {repository.revision or repository.names.ref}"
    if fact is None:
        return [f"{named} is not known here."]
    ago = duration(max(time.time() - fact.checked, 0)).replace("\N{NO-BREAK SPACE}", " ")
    return [f"{named} is the commit {fact.commit}, as its origin said {ago} ago."]


def _contents(snapshot: Snapshot | None, there: int) -> list[str]:
    if snapshot is None:
        return ["The list of its files is not stored."]
    size = sum(size or 0 for _, size in snapshot.files)
    number, archives = len(snapshot.files), len(snapshot.archives)
    said = f"It has {counted(number, 'file')}, {counted(size, 'byte')}."
    return [said, f"Of these, and of what clients ask for besides, {share(there, archives, 'archive')} stored."]


def _archive(mirror: Mirror, url: str, own: OwnPaths) -> ArchiveId:
    """NoSuchPage, with what is near or how to see it, for what names none, or several."""
    if url.startswith("/"):
        return _at_path(mirror, url, own)
    if found := mirror.origins.meant(url):
        return found[0]
    host, slash, _ = url.partition("/")
    if "://" in url or mirror.origins.get(host) or (slash and not {".", ":"}.isdisjoint(host)):
        return parse_url(url)
    unknown = mirror.origins.unknown(url)
    raise NoSuchPage(unknown.detail, unknown.hint + among_stored(url))


def _at_path(mirror: Mirror, url: str, own: OwnPaths) -> ArchiveId:
    path, _, query = url.partition("?")
    archive = find_archive(Target(path.encode(), query.encode()), mirror.origins, own_port=0, own=own)
    if archive is None:
        raise NoSuchPage(f"{path} is a page of the mirror itself, not an archive.", "Ask for it as it is.")
    return archive


def _last(mirror: Mirror, archive: ArchiveId) -> Failure | None:
    """What went wrong when it was last fetched, if that is known."""
    key = str(archive)
    return next((one for one in reversed(mirror.flights.failures) if one.url.partition("://")[2] == key), None)


def _failed(mirror: Mirror, archive: ArchiveId) -> list[str]:
    last = _last(mirror, archive)
    if last is None:
        return []
    ago = plain(duration(max(time.time() - last.at, 0)))
    return [f"It was last tried {ago} ago, and failed: {failure_of(last).detail}"]


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
    why = [
        f"It is stored: {counted(record.size, 'byte')}, fetched {datetime.fromtimestamp(record.fetched).astimezone():%Y-%m-%d %H:%M %Z}."
    ]
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
        lasting = plain(duration(ttl))
        why.append(f"Its origin is asked whether it changed when {lasting} more have passed.")
    return why


def _missing(mirror: Mirror, archive: ArchiveId) -> list[str]:
    if fill := mirror.flights.get(archive):
        there = f"{fill.received:,} of {counted(fill.total, 'byte')}" if fill.total is not None else counted(fill.received, "byte")
        return [f"It is being fetched: {there} {are(fill.received)} there, and a client gets what is there at once."]
    why = ["It is not stored; the first request fetches it, and gets its bytes as they arrive.", *_failed(mirror, archive)]
    entry = mirror.origins.expected(archive)
    if entry and entry.has_digest:
        why.append(f"The catalog knows its digest ({(*entry.sha256, *entry.md5)[0][:8]}…): other bytes are refused.")
    else:
        why.append("The catalog has no digest of it: the origin's bytes are trusted.")
    if archive.path.endswith("/"):
        why.append(f"By path, what is stored below it is listed; so does: dataset-mirror ls {quoted(f'{archive}*')}")
    if entry and entry.size and (missing := mirror.store.space.missing(entry.size)):
        why.append(f"{counted(missing, 'byte')} must be removed to make room for it.")
    return why
