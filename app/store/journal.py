"""`archives.ndjson`: one line per publication, from which the index can be rebuilt. Append-only."""

import os
from pathlib import Path

from app.store.record import Record

_TAIL = 256 * 1024


class Journal:
    """The file of lines. Appending is serialised by the index' write transaction, which every caller holds."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, record: Record) -> None:
        """Adds a line, durably."""
        line = record.to_line().encode() + b"\n"
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"  # the power went while a line was written
            os.write(descriptor, b"\n" + line if torn else line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def last(self) -> Record | None:
        """The record of the last whole line, or None."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(0, self.path.stat().st_size - _TAIL))
                lines = file.read().split(b"\n")[:-1]
        except FileNotFoundError:
            return None
        for line in reversed(lines):
            try:
                return Record.from_line(line.decode())
            except ValueError:
                continue  # a torn line
        return None
