"""`tree/<host>/<path>`: relative symlinks to the blobs, for people who browse, rsync, or point any web server at it.

Best effort: it is never asked what there is, and nothing in it ever fails a publication. What a file system cannot hold is
shortened; what conflicts or is too deep is left out. Only a rebuild reads it, when the journal has lost a line.
"""

import contextlib
import hashlib
import logging
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from dataset_mirror.errors import BadRequest
from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.store.durable import make_folder
from dataset_mirror.store.record import Record

log = logging.getLogger(__name__)

_LONGEST = 200
"""Bytes of a file name, leaving room for a hash below the usual 255."""
_DEEPEST = 128
"""Most folders above a name: programs that walk a tree recursively end at some depth."""
_SHORTENED = re.compile(r".*-[0-9a-f]{16}", re.DOTALL)
_EMPTY = "%00"


class Tree:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def show(self, archive: ArchiveId, current: Record | None, blob: Callable[[str], Path]) -> None:
        """Points the archive's name at its current bytes; removes it if there are none, or if they are not for everybody. Raises nothing.

        `blob` is the path of a digest's bytes.
        """
        if current is None or current.private or current.restricted:  # whoever shares this folder does not ask who reads it
            self.unlink(archive)
        elif not self.link(archive, blob(current.sha256)):
            log.debug("tree/ cannot hold a name for %s", current.url)

    def link(self, archive: ArchiveId, blob: Path) -> bool:
        """Points the archive's name at `blob`; False if that cannot be done (`/a` beside `/a/b`). Raises nothing."""
        try:
            return self._linked(self._place(archive), blob)
        except Exception:  # whatever it is: the archive is safe, and is served without its name here
            log.debug("tree/ cannot hold a name for %s.", archive, exc_info=True)
            return False

    def _linked(self, place: Path, blob: Path) -> bool:
        if len(place.parts) - len(self._folder.parts) > _DEEPEST:
            return False
        _make_folders(place.parent)
        fresh = place.with_name(f".{os.getpid()}-{hashlib.sha256(place.name.encode()).hexdigest()[:16]}")
        try:
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(os.path.relpath(blob, place.parent))
            fresh.replace(place)
        except OSError:
            with contextlib.suppress(OSError):
                fresh.unlink()
            self._prune(place)
            return False
        return True

    def shows(self, archive: ArchiveId, blob: Path) -> bool:
        """Whether the archive's name leads to `blob`."""
        try:
            place = self._place(archive)
            return place.readlink() == Path(os.path.relpath(blob, place.parent))
        except (OSError, ValueError):
            return False

    def unlink(self, archive: ArchiveId) -> None:
        """Takes the archive's name away, and folders that are empty then. Raises nothing."""
        try:
            place = self._place(archive)
            place.unlink(missing_ok=True)
            self._prune(place)
        except Exception:
            log.debug("tree/ cannot let go of the name of %s.", archive, exc_info=True)

    def _prune(self, place: Path) -> None:
        """Removes the folders above a place that are empty."""
        with contextlib.suppress(OSError):  # not empty, or never there
            for folder in place.parents:
                if folder == self._folder:
                    break
                folder.rmdir()

    def __iter__(self) -> Iterator[tuple[ArchiveId, str]]:
        """What the names say: archives, and the digests that their links lead to; names that were shortened say nothing."""
        for folder, _, names in os.walk(self._folder):
            for name in names:
                place = Path(folder) / name
                if place.is_symlink() and (archive := self._archive_at(place)):
                    yield archive, place.readlink().name

    def _archive_at(self, place: Path) -> ArchiveId | None:
        authority, *segments = place.relative_to(self._folder).parts
        if not segments or any(len(segment) >= _LONGEST and _SHORTENED.fullmatch(segment) for segment in segments):
            return None
        path = "/".join("" if segment == _EMPTY else segment for segment in segments)
        try:
            archive = parse_url(f"https://{authority}/{path}")
        except BadRequest:
            return None
        return archive if self._place(archive) == place else None

    def _place(self, archive: ArchiveId) -> Path:
        segments = [archive.authority, *archive.path[1:].split("/")]
        if archive.query:
            segments[-1] += "?" + archive.query
        if archive.variant:
            segments[-1] += "#" + archive.variant
        return self._folder.joinpath(*(_fit(segment) for segment in segments))


def _make_folders(folder: Path) -> None:
    """One after the other: `mkdir(parents=True)` calls itself for each."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        make_folder(each)


def _fit(segment: str) -> str:
    """The segment as a file name: a slash cannot occur, an empty one gets a name, a long one is shortened with its hash."""
    segment = (segment or _EMPTY).replace("/", "%2F")
    if len(segment) <= _LONGEST:
        return segment
    return f"{segment[: _LONGEST - 17]}-{hashlib.sha256(segment.encode()).hexdigest()[:16]}"
