"""Which archive a file can be, by its digest or by its place, and why it is not the one that it looks like."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dataset_mirror.airgap.files.keras_home import by_claim
from dataset_mirror.errors import BadRequest, DigestMismatch, MirrorError, NotAnArchive
from dataset_mirror.origins.identity import ArchiveId, check_query, normalise_path
from dataset_mirror.origins.model import CatalogEntry, Origin
from dataset_mirror.origins.table import Origins
from dataset_mirror.rules.content import looks_like_a_page, wrong_magic
from dataset_mirror.rules.counted import counted
from dataset_mirror.store.digests import Digests, Hashing

_DEEPEST = 8
"""Most segments of a place below KERAS_HOME."""


@dataclass(frozen=True, slots=True)
class Match:
    """An archive of an origin that a file is; `proven` by the catalog's digest, or believed because of its place."""

    archive: ArchiveId
    origin: Origin
    proven: bool

    @property
    def url(self) -> str:
        return self.origin.url_of(self.archive)


class Recogniser:
    """The catalog, looked up by what a file shows of itself."""

    def __init__(self, origins: Origins) -> None:
        self._origins = origins
        self._by_digest: dict[str, list[CatalogEntry]] = {}
        self._by_name: dict[str, list[CatalogEntry]] = {}
        for entry in origins.catalog:
            self._by_name.setdefault(entry.archive.name, []).append(entry)
            for digest in (*entry.sha256, *entry.md5):
                self._by_digest.setdefault(digest, []).append(entry)
        places = ((place, entry) for entry in reversed(by_claim(origins)) for place in entry.keras_home)
        self._by_place = dict(places)  # of two the present one stays
        self._with_md5 = any(entry.md5 for entry in origins.catalog)

    def hashing(self) -> Hashing:
        """For the bytes of one file: MD5 too where the catalog needs it."""
        return Hashing(md5=self._with_md5)

    def of(self, path: Path, digests: Digests, size: int, beginning: bytes) -> list[Match]:
        """The archives that the file is; none if nobody knows it. Raises why it is not, if it looks like one."""
        proven = {entry.archive: None for digest in digests.all for entry in self._by_digest.get(digest, ())}
        if proven:
            listed = [archive for archive in proven if self._is_listed(archive)] or list(proven)
            return [Match(archive, self._origins.of(archive), proven=True) for archive in listed]
        archive = self._at(path)
        if archive is None:
            self._refuse_namesake(path, digests, beginning)
            return []
        entry = self._origins.expected(archive)
        match = Match(archive, self._origins.of(archive), proven=False)
        _check(match, entry, digests, size, beginning)
        return [match]

    def _is_listed(self, archive: ArchiveId) -> bool:
        origin = self._origins.get(archive.authority)
        return origin is not None and origin.lists(archive.path)

    def _at(self, path: Path) -> ArchiveId | None:
        """The archive whose place the file is in."""
        return next(self._of_hosts(path.parts), None) or self._of_keras(path.parts)

    def _of_hosts(self, parts: tuple[str, ...]) -> Iterator[ArchiveId]:
        for at in range(len(parts) - 1, 0, -1):
            if self._origins.get(parts[at - 1].lower()):
                raw, _, query = os.fsencode("/".join(("", *parts[at:]))).partition(b"?")
                with suppress(BadRequest):
                    yield ArchiveId.of(parts[at - 1].lower(), normalise_path(raw), check_query(query))

    def _of_keras(self, parts: tuple[str, ...]) -> ArchiveId | None:
        tails = ("/".join(parts[-count:]) for count in range(2, min(_DEEPEST, len(parts)) + 1))
        return next((self._by_place[tail].archive for tail in tails if tail in self._by_place), None)

    def _refuse_namesake(self, path: Path, digests: Digests, beginning: bytes) -> None:
        """A file with an archive's name that nothing proves to be it is worth a word: somebody may have taken it for that."""
        alike = self._by_name.get(path.name)
        if not alike:
            return
        entry = next((entry for entry in alike if entry.has_digest), alike[0])
        if entry.has_digest:
            raise _mismatch(entry, digests, beginning)
        raise MirrorError(
            f"It has the name of {entry.url}, but no digest is known that proves it, and its place does not say it.",
            f"If you trust it, put it into a folder as {entry.archive} and adopt that folder.",
        )


def _check(match: Match, entry: CatalogEntry | None, digests: Digests, size: int, beginning: bytes) -> None:
    """Raises why these bytes cannot be the archive in whose place they are."""
    if size == 0:
        raise NotAnArchive(f"It is empty, so it is not {match.url}.", "Fetch it again.")
    if entry and entry.has_digest:
        raise _mismatch(entry, digests, beginning)
    if reason := looks_like_a_page(match.archive.name, beginning) or wrong_magic(match.archive.name, beginning):
        raise NotAnArchive(f"It is not {match.url}: {reason}.", "Fetch it again.")
    if entry and entry.size not in (None, size):
        raise NotAnArchive(f"It has {counted(size, 'byte')}, but {match.url} has {entry.size:,}.", "Fetch it again.")


def _mismatch(entry: CatalogEntry, digests: Digests, beginning: bytes) -> MirrorError:
    if page := looks_like_a_page(entry.archive.name, beginning):
        return NotAnArchive(f"It is not {entry.url}: {page}.", "Fetch it again.")
    got = f"SHA-256 {digests.sha256}" if entry.sha256 or digests.md5 is None else f"MD5 {digests.md5}"
    return DigestMismatch(
        f"It is not {entry.url}: it has {got}, but the catalog expects {' or '.join((*entry.sha256, *entry.md5))}.",
        f'Fetch it again; or, if you trust it, write into mirror.toml: [[archives]] url = "{entry.url}" sha256 = "{digests.sha256}"',
    )
