"""Immutable bytes, named by their SHA-256: `blobs/sha256/ab/abcdef…`. Equal bytes are kept once."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import BinaryIO

from dataset_mirror.errors import DataFolderError
from dataset_mirror.store.durable import make_folder, sync_folder


class Blobs:
    """The folder of blobs. It knows names and bytes only; who needs a blob is the index's knowledge."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "sha256"
        """Of all digests of this kind, below the blobs' folder; it is made with the first one."""
        self._is_durable = False
        """Whether that folder and the one above it are on the disk under their names."""

    def path(self, sha256: str) -> Path:
        """Where the blob of that digest (64 hex digits, lower case) is, or would be."""
        return self._folder / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        return self.path(sha256).is_file()

    def open(self, sha256: str) -> BinaryIO:
        """The blob, unbuffered, for reading; FileNotFoundError if it is not there. The caller closes it."""
        return self.path(sha256).open("rb", buffering=0)

    def put(self, partial: Path, sha256: str) -> None:
        """Makes the whole, fsynced file `partial` the blob of that digest, durably; it is consumed. Idempotent.

        It is renamed even onto a blob that exists: were it left out, a removal just under way could take the last copy.
        """
        target = self.path(sha256)
        above = (self._folder.parent, self._folder)
        for each in (*above, target.parent):
            make_folder(each)
        partial.rename(target)
        sync_folder(target.parent)
        sync_folder(self._folder)
        if not self._is_durable:
            for each in above:
                sync_folder(each.parent)
            self._is_durable = True

    @property
    def are_there(self) -> bool:
        """Whether their folder is there. If not, none was ever kept, or its disk is not mounted: of no blob that says that it is lost."""
        return self._folder.is_dir()

    def check(self) -> None:
        """DataFolderError if their folder is missing, and so nobody knows whether a blob is lost."""
        if not self.are_there:
            raise DataFolderError(
                f"The folder {self._folder} is missing.",
                f"Mount its disk, or put it back. If its files are lost for good, make an empty one: mkdir -p {quote(str(self._folder))}",
            )

    def size(self, sha256: str) -> int:
        """Bytes of the blob; 0 if it is not there."""
        try:
            return self.path(sha256).stat().st_size
        except FileNotFoundError:
            return 0

    def inode(self, sha256: str) -> int | None:
        """Which file the blob is at present; None if it is not there."""
        try:
            return self.path(sha256).stat().st_ino
        except FileNotFoundError:
            return None

    def take(self, sha256: str, folder: Path) -> None:
        """Moves the blob out, into `folder`, which is made if it is missing. Nothing happens if the blob is not there."""
        make_folder(folder)
        with contextlib.suppress(FileNotFoundError):
            self.path(sha256).replace(folder / sha256)

    def remove(self, sha256: str) -> None:
        """Unlinks the blob; readers that have it open go on. Nothing happens if it is not there."""
        self.path(sha256).unlink(missing_ok=True)

    def __iter__(self) -> Iterator[tuple[str, int]]:
        """Digest and size in bytes of every blob, in no order; what is no file is passed over."""
        if not self._folder.is_dir():
            return
        for folder in os.scandir(self._folder):
            for entry in os.scandir(folder.path) if folder.is_dir() else ():
                with contextlib.suppress(FileNotFoundError):  # it went while we look
                    if entry.is_file():
                        yield entry.name, entry.stat().st_size
