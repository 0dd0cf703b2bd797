"""Whole repositories of hubs, by name: what is stored of one, and what a revision of it has by the listing that is stored."""

import os
import shlex
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from urllib.parse import urljoin

from dataset_mirror.errors import BadRequest, UsageError
from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.origins.names import Entry, Repository
from dataset_mirror.origins.rules import COMMIT
from dataset_mirror.origins.table import Origins
from dataset_mirror.rules.links import following
from dataset_mirror.store.listing import Listed, Lister, Query
from dataset_mirror.store.record import Record
from dataset_mirror.store.store import Store

_REMEMBERED = 16


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a repository has at a commit: its files with their sizes in bytes, as far as they are said, and what clients ask for besides."""

    repository: Repository
    commit: str
    files: tuple[tuple[ArchiveId, int | None], ...]
    besides: tuple[ArchiveId, ...]

    @property
    def archives(self) -> list[tuple[ArchiveId, int | None]]:
        """All of it, each once."""
        return list((dict.fromkeys(self.besides) | dict(self.files)).items())


def stored_of(index: Lister, origins: Origins, repository: Repository) -> Iterator[Listed]:
    """The stored archives of a repository: of all revisions, if none is named. UsageError for one that is not known. Blocks."""
    origin = origins.get(repository.names.authority)
    commit = commit_of(index, repository) if repository.revision else None
    if repository.revision and commit is None:
        raise UsageError(
            f"The mirror knows no revision {repository.revision!r} of {repository.name}.",
            f"Fetch it: dataset-mirror fetch {shlex.quote(str(repository))}",
        )
    for beginning in origin.beginnings(repository.scope) if origin else ():
        for line in index.every(Query(prefix=repository.names.authority + beginning, limit=1000)):
            matched = origin.rule(line.record.archive.path) if origin else None
            if matched and matched.scope == repository.scope and commit in (None, matched.names.get(COMMIT)):
                yield line


def commit_of(index: Lister, repository: Repository) -> str | None:
    """The commit that a name means, as far as it is known here."""
    if repository.commit:
        return repository.commit
    fact = index.known("ref", f"{repository.about}@{repository.ref}")
    return fact.commit if fact else None


def at_known_commit(index: Lister, origins: Origins, archive: ArchiveId) -> ArchiveId:
    """A file at the commit that its branch or tag was at last, as far as that is known here; any other archive as it is."""
    origin = origins.get(archive.authority)
    matched = origin.rule(archive.path) if origin else None
    if matched is None or matched.rule.ref is None or matched.ref is None:
        return archive
    fact = index.known("ref", f"{archive.authority}/{matched.scope}@{matched.ref}")
    return replace(archive, path=matched.at_commit(archive.path, fact.commit)) if fact else archive


def is_pinned(store: Store, origins: Origins, archive: ArchiveId) -> bool:
    """Whether an archive must stay: it is pinned, or is what a pinned file of a branch or tag was at last."""
    if store.pins.has(archive, origins.name_of(archive)):
        return True
    origin = origins.get(archive.authority)
    matched = origin.rule(archive.path) if origin else None
    if matched is None or COMMIT not in matched.names:
        return False
    near = (url for url in store.pins.urls if url.authority == archive.authority)
    return any(at_known_commit(store.index, origins, url) == archive for url in near)


def snapshot_of(store: Store, repository: Repository) -> Snapshot | None:
    """What a repository has, by the listing that is stored; None if that is not there as a whole. Blocks."""
    commit = commit_of(store.index, repository)
    if commit is None:
        return None
    pages, entries = list[ArchiveId](), list[Entry]()
    page: ArchiveId | None = repository.listing(commit)
    while page is not None:
        record = store.find(page)
        if record is None or page in pages:
            return None
        pages.append(page)
        try:
            found, page = read_page(store, repository, record)
        except (OSError, ValueError, BadRequest):
            return None
        entries += found
    return snapshot(repository, commit, pages, entries)


class Listings:
    """Which files commits have, by the listings that are stored; the last few are remembered."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: OrderedDict[str, frozenset[str]] = OrderedDict()

    def lacks(self, repository: Repository, path: str) -> bool:
        """Whether the stored listing of a commit, which is whole and for everybody, does not name the file. Reads it once."""
        paths = self._known.get(str(repository))
        if paths is None:
            first = self._store.find(repository.listing(repository.commit or ""))
            whole = snapshot_of(self._store, repository) if first and not first.private and not first.restricted else None
            if whole is None:
                return False
            paths = self._known[str(repository)] = frozenset(archive.path for archive, _ in whole.files)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return repository.file(repository.commit or "", path).path not in paths


def read_page(store: Store, repository: Repository, record: Record) -> tuple[list[Entry], ArchiveId | None]:
    """The files of a stored page of a listing, and the next page. OSError or ValueError if it cannot be read. Blocks."""
    with store.blobs.open(record.sha256) as file:
        entries = repository.entries(os.pread(file.fileno(), record.size, 0))
    link = following(", ".join(value for name, value in record.fields if name == "link"))
    return entries, parse_url(urljoin(record.url, link)) if link else None


def snapshot(repository: Repository, commit: str, pages: Iterable[ArchiveId], entries: Iterable[Entry]) -> Snapshot:
    entries = list(entries)
    files = tuple((repository.file(commit, entry.path), entry.size) for entry in entries)
    return Snapshot(repository, commit, files, (*pages, *repository.besides(commit, entries)))
