"""Fetching whole repositories of hubs by name: which commit, what it has, and then all of that."""

from collections.abc import AsyncIterator, Iterable

from dataset_mirror.errors import BadRequest, FillFailed, MirrorError, OriginSaysNo
from dataset_mirror.mirror import Mirror
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.origins.names import Entry, Repository
from dataset_mirror.origins.rules import COMMIT
from dataset_mirror.origins.table import Origins
from dataset_mirror.store.record import Record
from dataset_mirror.store.repositories import Snapshot, read_page, snapshot
from dataset_mirror.upkeep import fetching
from dataset_mirror.upkeep.fetching import Progress

_MOST_PAGES = 10_000
_PRIVATE = (401, 403)


def meant(origins: Origins, wanted: Iterable[str]) -> tuple[list[ArchiveId], list[Repository]]:
    """The archives and the whole repositories that people name. UsageError for a name that means nothing."""
    archives, repositories = list[ArchiveId](), list[Repository]()
    for name in dict.fromkeys(wanted):
        if (repository := origins.repository(name)) is not None:
            repositories.append(repository)
        else:
            archives += origins.select(name)
    return list(dict.fromkeys(archives)), repositories


async def fetch(mirror: Mirror, archives: Iterable[ArchiveId], repositories: Iterable[Repository] = ()) -> AsyncIterator[Progress]:
    """Fetches archives and whole repositories; tells how far each archive is, and each one's end once.

    Of a repository all that is to come is told first, as waiting, so that the whole can be added up. One that cannot be listed, or
    is not for everybody, fails once by its own name.
    """
    wanted = dict.fromkeys(archives)
    for repository in repositories:
        try:
            found = await listed(mirror, repository)
            await _probe(mirror, found)
        except MirrorError as error:
            yield Progress(str(repository), "failed", error=_told(repository, error))
            continue
        for archive, size in found.archives:
            if archive not in wanted:
                wanted[archive] = None
                yield Progress(mirror.origins.of(archive).url_of(archive), "waiting", 0, size)
    async for step in fetching.fetch(mirror, wanted):
        yield step


async def listed(mirror: Mirror, repository: Repository) -> Snapshot:
    """What a repository has at the revision that is meant, asked for if it is not known. Raises why it cannot be told."""
    commit = repository.commit or await _commit(mirror, repository)
    pages, entries = list[ArchiveId](), list[Entry]()
    page: ArchiveId | None = repository.listing(commit)
    while page is not None:
        if page in pages or len(pages) >= _MOST_PAGES or page.authority != repository.names.authority:
            raise FillFailed(f"The list of the files of {repository} goes round in a circle, or elsewhere.", "Look at it with curl -v.")
        pages.append(page)
        found, page = await _page(mirror, repository, page)
        entries += found
    try:
        return snapshot(repository, commit, pages, entries)
    except BadRequest as error:
        raise _unreadable(repository, error) from None


async def _page(mirror: Mirror, repository: Repository, page: ArchiveId) -> tuple[list[Entry], ArchiveId | None]:
    record = await _record(mirror, repository, page)
    try:
        return await mirror.store.in_worker(lambda: read_page(mirror.store, repository, record))
    except (OSError, ValueError, BadRequest) as error:
        raise _unreadable(repository, error) from None


def _unreadable(repository: Repository, error: Exception) -> FillFailed:
    return FillFailed(f"The list of the files of {repository} cannot be read: {error}.", "Look at it with curl -v.")


async def _commit(mirror: Mirror, repository: Repository) -> str:
    what = await mirror.located(mirror.asked(repository.question))
    if what.matched and (commit := what.matched.names.get(COMMIT)):
        return commit
    await _record(mirror, repository, repository.question)  # which says why
    raise FillFailed(f"{repository.names.origin} does not say which commit {repository} is.", "Check the revision; ask again later.")


async def _record(mirror: Mirror, repository: Repository, archive: ArchiveId) -> Record:
    """What is stored at last of an archive that tells of a repository."""
    async for step in fetching.fetch(mirror, [archive]):
        if step.error is not None:
            raise step.error
    what = await mirror.located(mirror.asked(archive))
    record = mirror.store.find(what.archive)
    if record is None:
        raise FillFailed(f"{repository}: {archive} is not there any more.", "Run the command again.")
    return record


async def _probe(mirror: Mirror, snapshot: Snapshot) -> None:
    """Raises the refusal, once for all files, of a repository that is not for everybody."""
    probes = sorted(snapshot.files, key=lambda file: (file[1] is None, file[1]))[:1]
    async for step in fetching.fetch(mirror, (archive for archive, _ in probes)):
        if isinstance(step.error, OriginSaysNo) and step.error.status in _PRIVATE:
            raise step.error


def _told(repository: Repository, error: MirrorError) -> MirrorError:
    """The same of a name, with what the hub says of it."""
    if not isinstance(error, OriginSaysNo):
        if str(repository) not in error.detail:
            error.detail = f"{repository}: {error.detail}"
        return error
    said = error.headers.get("x-error-message") or str(error.facts.get("origin_said", "")).strip()
    words = f": {said[:300]}".rstrip(".") if said else ""
    detail = f"{repository.names.origin} answers {error.status} for {repository}{words}."
    if error.status in _PRIVATE:
        hint = (
            "If the name is right, it is not for everybody: clients with a token get it through the mirror; for the mirror itself "
            f"write `headers`, and `readers`, into the block of {repository.names.origin} in mirror.toml."
        )
    else:
        hint = "Check the name and its revision."
    return OriginSaysNo(error.status, detail, hint, headers=error.headers)
