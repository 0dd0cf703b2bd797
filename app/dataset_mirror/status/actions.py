"""What people do about downloads and origins: each action says what it did, and leaves a line in the log of changes."""

from collections.abc import Iterable

from fastapi import APIRouter

from dataset_mirror.errors import Cancelled, MirrorError, NoSuchPage, UsageError
from dataset_mirror.fetch.cause import because
from dataset_mirror.fetch.tracing import origin_for, trace
from dataset_mirror.mirror import Mirror
from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.origins.unknown import path_to_list
from dataset_mirror.rules.counted import are
from dataset_mirror.status.guard import Guarded
from dataset_mirror.status.here import Here
from dataset_mirror.status.orders import Adding, Again, Done, Unblocking, Which
from dataset_mirror.status.wording import count, plain, size
from dataset_mirror.upkeep.fetching import begin

_NAMED = 3


router = APIRouter(prefix="/api", tags=["change the mirror"], route_class=Guarded)


@router.post("/cancel")
async def cancel(mirror: Here, which: Which) -> Done:
    """Ends downloads under way. Who follows one gets an error; the next request for it begins again."""
    return await cancelled(mirror, [parse_url(url) for url in which.archives])


@router.post("/retry")
async def retry(mirror: Here, which: Again) -> Done:
    """Begins downloads again that failed, without waiting for them: those that are named, else all that failed lately."""
    urls = which.archives or [failure.url for failure in mirror.flights.failures]
    return await retried(mirror, dict.fromkeys(parse_url(url) for url in urls))


@router.post("/unblock")
async def unblock(mirror: Here, which: Unblocking) -> Done:
    """Asks an upstream again at once that is on hold after failures."""
    return await unblocked(mirror, which.origin)


@router.post("/add")
async def add(mirror: Here, what: Adding) -> Done:
    """Allows a URL that no origin lists: its folder goes into mirror.toml, which is read again, as by `dataset-mirror add`."""
    return await added(mirror, what)


async def cancelled(mirror: Mirror, archives: Iterable[ArchiveId]) -> Done:
    """Ends the downloads of these archives."""
    ended = []
    for archive in archives:
        error = Cancelled(f"The download of {archive} was cancelled.", "Ask again: it is fetched then.")
        if fill := mirror.flights.cancel(archive, error):
            ended.append(fill)
            mirror.store.changes.note("cancelled", fill.job.url, fill.received)
    await mirror.store.write_changes()
    there = sum(fill.received for fill in ended)
    names = [fill.job.url for fill in ended]
    said = (
        f"Cancelled {count(len(ended), 'download')}, {named(names)}; {size(there)} had come."
        if ended
        else "None of these is being fetched."
    )
    return Done(said=plain(said), names=names, size=there)


async def retried(mirror: Mirror, archives: Iterable[ArchiveId]) -> Done:
    """Begins the downloads of these archives again, as far as they are missing."""
    begun, there, refused = list[str](), 0, list[str]()
    for archive in archives:
        mirror.flights.forget(archive)
        with because("ahead"):
            progress = await begin(mirror, archive)
        if progress.state == "failed":
            refused.append(str(progress.error))
        elif progress.state == "present":
            there += 1
        else:
            begun.append(progress.url)
            mirror.store.changes.note("retried", progress.url)
    await mirror.store.write_changes()
    said = [f"Began again to fetch {named(begun)}." if begun else "", f"{count(there, 'archive')} {are(there)} there." if there else ""]
    said += [refused[0]] if refused else []
    return Done(said=plain(" ".join(filter(None, said)) or "Nothing failed lately."), names=begun)


async def unblocked(mirror: Mirror, named: str) -> Done:
    """Asks an upstream again at once; NoSuchPage if none of that name is on hold."""
    places = mirror.upstream.health.release(named.rstrip("/"))
    if not places:
        raise NoSuchPage(f"No upstream {named!r} is on hold.", "See which are: /status, upstreams.")
    for place in places:
        mirror.store.changes.note("unblocked", place)
    await mirror.store.write_changes()
    return Done(said=f"{', '.join(places)} will be asked again with the next request.", names=places)


async def added(mirror: Mirror, what: Adding) -> Done:
    """Allows a URL. UsageError if it redirects to hosts that are not allowed with it, or if mirror.toml cannot say so."""
    from dataset_mirror.airgap.blocks import allow
    from dataset_mirror.airgap.proposals import Proposal

    archive, scheme = parse_url(what.url), "http" if what.url.startswith("http://") else "https"
    if archive.path == "/":
        raise UsageError(f"{what.url} names a whole host.", "Give the URL of an archive, or of its folder.")
    known = mirror.origins.get(archive.authority)
    origin = origin_for(mirror.origins, archive, scheme)
    found = await trace(mirror.upstream, origin, archive)
    hosts = found.hosts if what.redirects else ()
    path = archive.path if what.exact else path_to_list(archive)
    if known and known.lists(archive.path) and not hosts:
        return Done(said=f"{known.url_of(archive)} is already allowed.", names=[])
    block, file = Proposal(f"{origin.scheme}://{archive.authority}", (path,), tuple(hosts)), mirror.configuration.file
    await mirror.store.in_worker(lambda: allow(file, block))
    await mirror.reload()
    mirror.origins.of(archive)
    names = [f"{block.url}{path}"]
    mirror.store.changes.note("allowed", names[0], detail=f"redirects to {', '.join(hosts)}" if hosts else "")
    await mirror.store.write_changes()
    return Done(said=f"Allowed {names[0]}{_about(found.hosts, hosts, found.trouble)}", names=names)


def _about(all_hosts: Iterable[str], allowed: Iterable[str], trouble: MirrorError | None) -> str:
    """What else is to be known of a URL that was allowed."""
    missing = [host for host in all_hosts if host not in tuple(allowed)]
    if missing:
        return f". It redirects to {', '.join(missing)}, which is not allowed: it cannot be fetched until that is."
    return f". Could not look up where it goes: {trouble}" if trouble else "."


def named(names: list[str]) -> str:
    """Names, as many as one reads."""
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"
