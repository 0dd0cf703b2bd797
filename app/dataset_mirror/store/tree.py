"""`tree/<host>/<path>`: relative symlinks to the blobs, for people who browse, rsync, or point any web server at it.

Best effort: it is never asked what there is. What a file system cannot hold is shortened; what conflicts is left out.
"""

import hashlib
import os
from pathlib import Path

from dataset_mirror.origins.identity import ArchiveId

_LONGEST = 200
"""Bytes of a file name, leaving room for a hash below the usual 255."""


class Tree:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def link(self, archive: ArchiveId, blob: Path) -> bool:
        """Points the archive's name at `blob`; False if the file system cannot hold the name (`/a` beside `/a/b`)."""
        place = self._place(archive)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            fresh = place.with_name(f".{os.getpid()}-{hashlib.sha256(place.name.encode()).hexdigest()[:16]}")
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(os.path.relpath(blob, place.parent))
            try:
                fresh.replace(place)
            except OSError:
                fresh.unlink()
                return False
        except OSError:
            return False
        return True

    def shows(self, archive: ArchiveId, blob: Path) -> bool:
        """Whether the archive's name leads to `blob`."""
        place = self._place(archive)
        try:
            return place.readlink() == Path(os.path.relpath(blob, place.parent))
        except OSError:
            return False

    def unlink(self, archive: ArchiveId) -> None:
        """Takes the archive's name away, and folders that are empty then."""
        place = self._place(archive)
        try:
            place.unlink(missing_ok=True)
            for folder in place.parents:
                if folder == self._folder:
                    break
                folder.rmdir()
        except OSError:
            pass  # not empty, or never there

    def _place(self, archive: ArchiveId) -> Path:
        segments = [archive.authority, *archive.path[1:].split("/")]
        if archive.query:
            segments[-1] += "?" + archive.query
        if archive.variant:
            segments[-1] += "#" + archive.variant
        return self._folder.joinpath(*(_fit(segment) for segment in segments))


def _fit(segment: str) -> str:
    """The segment as a file name: a slash cannot occur, an empty one gets a name, a long one is shortened with its hash."""
    segment = (segment or "%00").replace("/", "%2F")
    if len(segment) <= _LONGEST:
        return segment
    return f"{segment[: _LONGEST - 17]}-{hashlib.sha256(segment.encode()).hexdigest()[:16]}"
