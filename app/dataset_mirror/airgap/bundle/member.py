"""A file of a bundle as it comes, out of a tar or a folder; where it claims to belong is not looked at here."""

from dataclasses import dataclass

from dataset_mirror.airgap.bundle.hashing import STEP, Reads
from dataset_mirror.errors import BundleError
from dataset_mirror.rules.counted import counted

_MOST = 1200
"""Characters of a name that are shown; those of `export` are no longer."""


def printable(name: str) -> str:
    """A name as it can be shown: one of a bundle could make a terminal do things, and be as long as it likes."""
    return name if name.isascii() and name.isprintable() and len(name) <= _MOST else ascii(name[:_MOST])


@dataclass(frozen=True, slots=True)
class Member:
    """One file: its name as it stands there, its bytes, and the file to read; None if it is no plain file but of another `kind`.

    It is to be read before the next one is asked for.
    """

    name: str
    size: int
    file: Reads | None
    kind: str = "file"

    def content(self, most: int) -> bytes:
        """All of it; BundleError if that is more than `most` bytes, if it is no plain file, or if it ends too early. Blocks."""
        if self.file is None:
            raise BundleError(f"{printable(self.name)} is a {self.kind}.", "This is not a bundle of dataset-mirror export.")
        if self.size > most:
            said = f"{printable(self.name)} has {counted(self.size, 'byte')}; {most:,} are the most."
            raise BundleError(said, "This is not a bundle of dataset-mirror export.")
        found, buffer = bytearray(), memoryview(bytearray(min(STEP, self.size)))
        while len(found) < self.size and (read := self.file.readinto(buffer[: self.size - len(found)])):
            found += buffer[:read]
        if len(found) < self.size:
            raise BundleError(f"The bundle ends in the middle of {printable(self.name)}.", "Copy it again.")
        return bytes(found)
