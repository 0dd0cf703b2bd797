"""`archives.ndjson`: one line per publication or removal, from which the index can be rebuilt. Append-only."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from dataset_mirror.errors import BadRequest
from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.store import durable
from dataset_mirror.store.knowledge import Fact
from dataset_mirror.store.record import Record

_TAIL = 256 * 1024


@dataclass(frozen=True, slots=True)
class Removal:
    """Somebody removed an archive, or only its version `sha256`, `at` that time (seconds since the epoch)."""

    archive: ArchiveId
    at: float
    sha256: str | None = None

    def to_line(self) -> str:
        known = {"removed": f"https://{self.archive}", "sha256": self.sha256, "at": self.at}
        return json.dumps({key: value for key, value in known.items() if value is not None}, ensure_ascii=False)

    @classmethod
    def from_line(cls, line: str) -> Self:
        """The removal of a line; ValueError if it is none."""
        known = json.loads(line)
        try:
            return cls(parse_url(known["removed"]), known["at"], known.get("sha256"))
        except (KeyError, TypeError, AttributeError, BadRequest) as error:
            raise ValueError(f"not a removal: {error!r}") from None


Entry = Record | Removal | Fact
"""What a line says."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the journal: where it starts, its bytes, and what it says; None if nothing can be read from it."""

    start: int
    size: int
    entry: Entry | None
    is_blank: bool = False
    """It ended what was torn before."""
    is_half: bool = False
    """It has no end: the power went, or the disk was full."""


class Journal:
    """The file of lines. Appending is serialised by the index' write transaction, which every caller holds."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def size(self) -> int:
        """Bytes of the file; 0 if nothing was ever published."""
        return self.path.stat().st_size if self.path.exists() else 0

    def append(self, *entries: Entry) -> int:
        """Adds lines, durably; returns the bytes of the file then. OSError, and nothing was added, if they cannot be there as a whole."""
        line = b"".join(entry.to_line().encode() + b"\n" for entry in entries)
        descriptor = durable.open_durable(self.path, os.O_RDWR | os.O_APPEND)
        try:
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"  # the power went while a line was written
            _write_or_undo(descriptor, b"\n" + line if torn else line, size)
            return os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)

    def lines(self, offset: int) -> Iterator["Line"]:
        """The lines from byte `offset` on, in order; none if there are no more. Half a line at the end is one of which nothing is known."""
        if self.size <= offset:
            return
        with self.path.open("rb") as file:
            file.seek(offset)
            for line in file:
                half = not line.endswith(b"\n")
                yield Line(offset, len(line), None if half else entry_of(line), is_blank=not line.strip(), is_half=half)
                offset += len(line)

    def cut(self, offset: int) -> None:
        """Takes away what follows byte `offset`, durably."""
        descriptor = durable.open_file(self.path, os.O_RDWR)
        try:
            os.ftruncate(descriptor, offset)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def last(self) -> Entry | None:
        """What the last whole line says, or None."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(0, self.path.stat().st_size - _TAIL))
                lines = file.read().split(b"\n")[:-1]
        except FileNotFoundError:
            return None
        for line in reversed(lines):
            if (entry := entry_of(line)) is not None:
                return entry
        return None


def _write_or_undo(descriptor: int, line: bytes, before: int) -> None:
    """Half a line would be no line, and its archive lost with the index; so it is taken back."""
    try:
        durable.write_all(descriptor, line)
        os.fsync(descriptor)
    except BaseException:
        with suppress(OSError):
            os.ftruncate(descriptor, before)
            os.fsync(descriptor)
        raise


def entry_of(line: bytes) -> Entry | None:
    """What a line says; None if it was torn."""
    for kind in (Record, Removal, Fact):
        try:
            return kind.from_line(line.decode())
        except ValueError:
            continue
    return None
