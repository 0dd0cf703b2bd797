"""Files that somebody has already, taken into the store: by the catalog's digest whatever they are called, else by their place.

A place is `<host>/<path>` of a listed origin, or where Keras keeps an archive (`datasets/mnist.npz`). It proves nothing, so it
counts only where no digest is known, and the index says `adopted` of such bytes.
"""

import os
import shlex
import stat
import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from dataset_mirror.airgap.files.copying import Copying, contents
from dataset_mirror.airgap.files.found import Found, found
from dataset_mirror.airgap.files.recognising import Match, Recogniser
from dataset_mirror.errors import MirrorError
from dataset_mirror.rules.content import LOOK
from dataset_mirror.store.digests import Digests
from dataset_mirror.store.record import DigestSource, Record
from dataset_mirror.store.store import Store

State = Literal["reading", "copying", "adopted", "present", "unknown", "skipped", "refused"]


@dataclass(frozen=True, slots=True)
class Adopted:
    """How far one file is; `url` is the archive that it is, once that is known. `done` and `size` in bytes."""

    path: Path
    state: State
    done: int = 0
    size: int = 0
    url: str = ""
    proven: bool = True
    """Whether the catalog's digest says that it is that archive."""
    error: MirrorError | None = None

    @property
    def over(self) -> bool:
        return self.state not in ("reading", "copying")


class Adoption:
    """Takes files into a store, beside a live server or without one. Blocks."""

    def __init__(self, store: Store, claims: Recogniser) -> None:
        self._store, self._claims = store, claims

    def adopt(self, paths: Iterable[Path]) -> Iterator[Adopted]:
        """Takes what is an archive of these files and folders; each file ends adopted, present, unknown, skipped or refused."""
        for path in paths:
            for one in found(path, but=self._store.folder.root):
                try:
                    yield from self._one(one)
                except MirrorError as error:
                    yield Adopted(one.path, "refused", error=error)
                except OSError as error:
                    said = MirrorError(f"It cannot be taken: {error.strerror or error}.", "Check its permissions, and the disk.")
                    yield Adopted(one.path, "refused", error=said)

    def _one(self, one: Found) -> Iterator[Adopted]:
        if one.why_not:
            yield Adopted(one.path, "refused" if one.is_named else "skipped", error=MirrorError(one.why_not, one.hint))
            return
        descriptor = os.open(one.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # it became something else meanwhile
                raise MirrorError("It is not a regular file.", "Give the file itself.")
            yield from self._file(one, descriptor)
        finally:
            os.close(descriptor)

    def _file(self, one: Found, file: int) -> Iterator[Adopted]:
        size = os.fstat(file).st_size
        digests = yield from self._read(one.path, file, size)
        claims = self._claims.of(one.path, digests, size, os.pread(file, LOOK, 0))
        if not claims:
            error = MirrorError("no archive of the catalog has its digest, and its location is not that of an archive.")
            yield Adopted(one.path, "refused" if one.is_named else "unknown", size=size, error=error)
        for match in claims:
            yield from self._take(one.path, file, digests, match)

    def _read(self, path: Path, file: int, size: int) -> Generator[Adopted, None, Digests]:
        """Digests, to find out what it is; what is copied is hashed again."""
        hashing = self._claims.hashing()
        for data in contents(file):
            hashing.update(data)
            yield Adopted(path, "reading", hashing.size, max(size, hashing.size))
        return hashing.digests

    def _take(self, path: Path, file: int, digests: Digests, match: Match) -> Iterator[Adopted]:
        size = os.fstat(file).st_size
        if self._has(match, digests.sha256):
            yield Adopted(path, "present", size, size, match.url, match.proven)
            return
        if self._store.space.missing(size):
            raise self._store.space.full(size, match.url)
        with self._store.incoming() as partial:
            with partial.duplicate() as target:
                copying = Copying(target.fileno(), md5=digests.md5 is not None)
                for done in copying.file(file):
                    yield Adopted(path, "copying", done, size, match.url, match.proven)
            if copying.digests != digests:
                raise MirrorError("It changed while it was read.", "Try again when nobody writes it.")
            partial.sync()
            self._store.publish(partial.path, self._record(match, digests, copying.done, os.fstat(file).st_mtime))
        yield Adopted(path, "adopted", copying.done, copying.done, match.url, match.proven)

    def _has(self, match: Match, sha256: str) -> bool:
        """Whether the mirror has it. Of bytes that nothing proves, those are refused that differ from what there is."""
        known = self._store.find(match.archive)
        if known and not match.proven and known.sha256 != sha256:
            raise MirrorError(
                f"The mirror has other bytes of {match.url} (SHA-256 {known.sha256}), and no digest is known that tells which are right.",
                f"If these are, remove the others first: dataset-mirror rm {shlex.quote(match.url)}",
            )
        if known is None or known.sha256 != sha256 or (known.source == "adopted" and match.proven):
            return False
        return self._store.blobs.has(sha256)

    def _record(self, match: Match, digests: Digests, size: int, written: float) -> Record:
        """Proven bytes count as fetched now; others when the file was written, so that their origin is asked about them soon.

        What is known of the same bytes from their origin stays, the entity tag above all.
        """
        source: DigestSource = "catalog" if match.proven else "adopted"
        fetched = time.time() if match.proven else max(0.0, min(written, time.time()))
        for known in self._store.index.versions(match.archive):
            if known.sha256 == digests.sha256:
                return replace(known, source=source if match.proven else known.source, fetched=max(fetched, known.fetched))
        return _new_record(match, digests, size, source, fetched)


def _new_record(match: Match, digests: Digests, size: int, source: DigestSource, fetched: float) -> Record:
    return Record(
        archive=match.archive,
        scheme=match.origin.scheme,
        sha256=digests.sha256,
        md5=digests.md5,
        size=size,
        fetched=fetched,
        source=source,
        private=bool(match.origin.headers),
    )
