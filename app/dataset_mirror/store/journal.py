"""`archives.ndjson`: one line per publication or removal, from which the index can be rebuilt. Append-only."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from dataset_mirror.errors import BadRequest
from dataset_mirror.origins.identity import ArchiveId, parse_url
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


Entry = Record | Removal


class Journal:
    """The file of lines. Appending is serialised by the index' write transaction, which every caller holds."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def size(self) -> int:
        """Bytes of the file; 0 if nothing was ever published."""
        return self.path.stat().st_size if self.path.exists() else 0

    def append(self, *entries: Entry) -> int:
        """Adds a line, durably; returns the bytes of the file then."""
        line = b"".join(entry.to_line().encode() + b"\n" for entry in entries)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"  # the power went while a line was written
            os.write(descriptor, b"\n" + line if torn else line)
            os.fsync(descriptor)
            return os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)

    def since(self, offset: int) -> Iterator[Entry]:
        """What the whole lines from byte `offset` on say, in order; none if there are no more."""
        if self.size <= offset:
            return
        with self.path.open("rb") as file:
            file.seek(offset)
            for line in file:
                if line.endswith(b"\n") and (entry := entry_of(line)) is not None:
                    yield entry

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


def entry_of(line: bytes) -> Entry | None:
    """What a line says; None if it was torn."""
    for kind in (Record, Removal):
        try:
            return kind.from_line(line.decode())
        except ValueError:
            continue
    return None
