"""The bytes that go into a bundle: from the data folder or, of several mirrors, from their bucket, without a copy on the disk."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import BinaryIO

from dataset_mirror.airgap.bundle.hashing import Opened, Reads
from dataset_mirror.store.blobs import Blobs

Open = Callable[[str], AbstractContextManager[Reads]]
"""Opens the bytes of a digest, to be read in order; FileNotFoundError if they are nowhere."""


class Bytes:
    """Of all blobs here, and of those that `elsewhere` has."""

    def __init__(self, blobs: Blobs, elsewhere: Open | None = None) -> None:
        self._blobs, self._elsewhere = blobs, elsewhere

    def open(self, sha256: str) -> AbstractContextManager[Reads]:
        try:
            return _reading(self._blobs.open(sha256))
        except FileNotFoundError:
            if self._elsewhere is None:
                raise
        return self._elsewhere(sha256)

    def place(self, sha256: str) -> str:
        """Where it was damaged, for people."""
        return "on the disk" if self._elsewhere is None or self._blobs.has(sha256) else "in the bucket, or broke off on its way"


@contextmanager
def _reading(file: BinaryIO) -> Iterator[Reads]:
    with file:
        yield Opened(file.fileno())
