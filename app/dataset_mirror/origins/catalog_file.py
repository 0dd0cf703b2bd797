"""The archives of a large preset: one line each in a sorted file beside it, opened at the first look-up and never read as a whole.

    AUTHORITY/PATH?QUERY <tab> NAME <tab> SIZE <tab> SHA256 <tab> MD5

Sorted by bytes; a dataset's archive has a line for each name that it has. An empty field is not known. Lines that begin
with # say who made the file. Made by the scripts in presets/source, which check every value: nothing is checked again here.
"""

import mmap
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.origins.model import CatalogEntry
from dataset_mirror.rules.secrets import has_blurred

_WITH_QUERY = re.compile(rb"^(?!#)[^\t\n]*\?", re.MULTILINE)


class CatalogFile:
    """Look-ups by archive (a binary search, microseconds) and by name (an index of the names, made once)."""

    def __init__(self, path: Path, schemes: Mapping[str, str]) -> None:
        """`schemes`: that of each authority whose archives the file may have."""
        self._path = path
        self._schemes = schemes

    @property
    def prefix(self) -> str:
        """How all its names begin: `tfds/`."""
        return f"{self._path.stem}/"

    def find(self, archive: ArchiveId) -> CatalogEntry | None:
        """What it knows of that archive."""
        if has_blurred(archive.query):
            start = self._hidden.get(archive)
            return None if start is None else self._entry(start)
        wanted = f"{archive}\t".encode()
        low, high = 0, len(self._bytes)
        while low < high:
            start = self._bytes.rfind(b"\n", low, (low + high) // 2) + 1 or low
            end = self._end(start)
            if self._bytes[start : start + len(wanted)] < wanted:
                low = end + 1
            else:
                high = start
        return self._entry(low) if self._bytes[low : low + len(wanted)] == wanted else None

    def named(self, name: str) -> list[CatalogEntry]:
        """The archives of that name, in the order of their URLs."""
        return [self._entry(start) for start in self.names.get(name, [])]

    def with_file(self, name: str) -> list[CatalogEntry]:
        """The archives whose file has that name, such as `train.zip`."""
        found, wanted, at = list[CatalogEntry](), f"/{name}".encode(), 0
        while (at := self._bytes.find(wanted, at)) >= 0:
            start = self._bytes.rfind(b"\n", 0, at) + 1
            key = self._bytes[start : self._bytes.find(b"\t", start)]
            if key.partition(b"?")[0].endswith(wanted):  # else it is a part of a folder's name, or of the archive's own name
                found.append(self._entry(start))
            at = self._end(at)
        return found

    def __iter__(self) -> Iterator[CatalogEntry]:
        return (self._entry(start) for start in self._starts())

    @cached_property
    def names(self) -> dict[str, list[int]]:
        """All names, and where the lines of each begin."""
        found: dict[str, list[int]] = {}
        for start in self._starts():
            after = self._bytes.find(b"\t", start) + 1
            name = self._bytes[after : self._bytes.find(b"\t", after)].decode()
            found.setdefault(name, []).append(start)
        return found

    @cached_property
    def _hidden(self) -> dict[ArchiveId, int]:
        """Where the few lines begin whose URLs have what is a secret elsewhere: here it is public."""
        starts = (match.start() for match in _WITH_QUERY.finditer(self._bytes))
        found = {parse_url(self._entry(start).url): start for start in starts}
        return {archive: start for archive, start in found.items() if has_blurred(archive.query)}

    @cached_property
    def _bytes(self) -> mmap.mmap:
        with self._path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def _starts(self) -> Iterator[int]:
        start = 0
        while start < len(self._bytes):
            if self._bytes[start : start + 1] != b"#":
                yield start
            start = self._end(start) + 1

    def _end(self, start: int) -> int:
        end = self._bytes.find(b"\n", start)
        return len(self._bytes) if end < 0 else end

    def _entry(self, start: int) -> CatalogEntry:
        key, name, size, sha256, md5 = self._bytes[start : self._end(start)].decode().split("\t")
        return CatalogEntry.model_construct(
            url=f"{self._schemes[key.partition('/')[0]]}://{key}",
            name=name,
            size=int(size) if size else None,
            sha256=(sha256,) if sha256 else (),
            md5=(md5,) if md5 else (),
        )
