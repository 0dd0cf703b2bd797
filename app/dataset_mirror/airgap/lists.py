"""Lists of archives that people read, edit and carry: one URL or catalog name a line; `#` begins a comment."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dataset_mirror.errors import MirrorError, NotAllowed, UsageError
from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.origins.names import prefix_of
from dataset_mirror.origins.table import Origins


def entries(text: str) -> list[str]:
    """The entries of a list, in order, each once. A `#` that follows a character of an entry belongs to it."""
    return list(dict.fromkeys(entry for _, entry in numbered(text)))


def numbered(text: str) -> Iterator[tuple[int, str]]:
    """The entries of a list with the numbers of their lines, from 1."""
    for number, line in enumerate(text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}").splitlines(), 1):
        entry = line.partition(" #")[0].partition("\t#")[0].strip()
        if entry and not entry.startswith("#"):
            yield number, entry


@dataclass(frozen=True, slots=True)
class Line:
    """One entry of a list, and the archives that it means."""

    entry: str
    archives: tuple[ArchiveId, ...]


def read_list(file: str) -> str:
    """The text of a list file, `-` being standard input; UsageError if it cannot be read."""
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"The list {file} cannot be read: {error.strerror}.", "Give a file, or - for standard input.") from None
    except UnicodeDecodeError:
        raise UsageError(f"The list {file} is not text in UTF-8.", "Give a file with one URL or catalog name a line.") from None


class Catalog(Protocol):
    """Knows what an entry means."""

    def select(self, wanted: str, /) -> list[ArchiveId]: ...


def is_listed(origins: Origins, archive: ArchiveId) -> bool:
    """Whether an origin lists the archive."""
    origin = origins.get(archive.authority)
    return origin is not None and origin.lists(archive.path)


def meant(file: str, text: str, catalog: Catalog, unlisted: list[ArchiveId] | None = None) -> list[Line]:
    """The entries of a list with what they mean; UsageError, with file and line, for the first that means nothing.

    Of a whole repository of a hub only its origin knows what that is: no archives.

    URLs that no origin lists go into `unlisted`, if that is given.
    """
    name = "standard input" if file == "-" else file
    found = []
    for number, entry in numbered(text):
        try:
            found.append(Line(entry, () if prefix_of(entry) else tuple(catalog.select(entry))))
        except NotAllowed as error:
            if unlisted is None:
                raise UsageError(f"{name}, line {number}: {error.detail}", error.hint) from None
            unlisted.append(parse_url(entry))
        except MirrorError as error:
            raise UsageError(f"{name}, line {number}: {error.detail}", error.hint) from None
    return found
