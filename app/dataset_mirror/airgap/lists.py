"""Lists of archives that people read, edit and carry: one URL or catalog name a line; `#` begins a comment."""

import sys
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dataset_mirror.errors import MirrorError, NotAllowed, UsageError
from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.origins.names import prefix_of
from dataset_mirror.origins.table import Origins
from dataset_mirror.origins.typed import tidied


def entries(text: str) -> list[str]:
    """The entries of a list, in order, each once. A `#` that follows a character of an entry belongs to it."""
    return list(dict.fromkeys(entry for _, entry in numbered(text)))


def numbered(text: str) -> Iterator[tuple[int, str]]:
    """The entries of a list with the numbers of their lines, from 1."""
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.partition(" #")[0].partition("\t#")[0].strip()
        if entry and not entry.startswith("#"):
            yield number, tidied(entry)


@dataclass(frozen=True, slots=True)
class Line:
    """One entry of a list, and the archives that it means; or what no origin lists, or why it means nothing."""

    entry: str
    archives: tuple[ArchiveId, ...] = ()
    unlisted: ArchiveId | None = None
    wrong: MirrorError | None = None


def read_list(file: str) -> str:
    """The text of a list file, `-` being standard input; UsageError if it cannot be read."""
    name = _shown(file)
    try:
        return decoded(sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes())
    except OSError as error:
        raise UsageError(f"The list {name} cannot be read: {error.strerror}.", "Give a file, or - for standard input.") from None
    except UnicodeDecodeError:
        raise UsageError(f"The list {name} is not text in UTF-8.", "Give a file with one URL or catalog name a line.") from None


def decoded(content: bytes) -> str:
    """The text of a list, in UTF-8, or in UTF-16 as some shells write what is sent to a file; UnicodeDecodeError if it is neither."""
    return content.decode("utf-16" if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig")


def _shown(file: str) -> str:
    return "standard input" if file == "-" else file


class Catalog(Protocol):
    """Knows what an entry means."""

    def select(self, wanted: str, /) -> list[ArchiveId]: ...

    def repository(self, word: str, /) -> object:
        """UsageError if it is like the name of a repository, and can name none."""


def is_listed(origins: Origins, archive: ArchiveId) -> bool:
    """Whether an origin lists the archive."""
    origin = origins.get(archive.authority)
    return origin is not None and origin.lists(archive.path)


def meant(file: str, text: str, catalog: Catalog) -> Iterator[Line]:
    """The entries of a list with what they mean; the error of one that means nothing names file and line.

    Of a whole repository of a hub only its origin knows what that is: no archives.
    """
    for number, entry in numbered(text):
        try:
            if prefix_of(entry):
                catalog.repository(entry)
                yield Line(entry)
            else:
                yield Line(entry, tuple(catalog.select(entry)))
        except NotAllowed:
            yield Line(entry, unlisted=parse_url(entry))
        except MirrorError as error:
            yield Line(entry, wrong=UsageError(f"{_shown(file)}, line {number}: {error.detail}", error.hint))
