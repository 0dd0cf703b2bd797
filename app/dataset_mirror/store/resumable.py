"""What a fill leaves for the next run of the mirror: its partial file, and beside it a journal of the bytes that are surely in it."""

import contextlib
import json
import logging
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

from dataset_mirror.errors import BadRequest
from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.rules.conditions import Validators
from dataset_mirror.rules.counted import counted
from dataset_mirror.rules.fields import Fields
from dataset_mirror.store import durable
from dataset_mirror.store.partial import PartialFile, journal_of, remove_unheld

log = logging.getLogger(__name__)

KEPT_SECONDS = 7 * 24 * 3600.0
"""How long a leftover waits for somebody to ask for its archive again."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """A fill that was cut off: of what, under which validators of which upstream, and the bytes that are there."""

    path: Path
    """Its partial file."""
    url: str
    archive: ArchiveId
    length: int
    """Bytes of the whole archive."""
    upstream: str
    validators: Validators
    fields: Fields
    have: tuple[tuple[int, int], ...]
    private: bool = False

    @property
    def total(self) -> int:
        """Bytes that are there."""
        return sum(end - start for start, end in self.have)

    @property
    def size(self) -> int:
        """Bytes of its file, gaps included; 0 if it has gone."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def save(self) -> None:
        """Writes the journal, in the place of an older one at once. The bytes must be durable already. Blocks."""
        known = {
            "url": self.url,
            "length": self.length,
            "upstream": self.upstream,
            "etag": self.validators.etag,
            "last_modified": self.validators.last_modified,
            "date_is_strong": self.validators.date_is_strong,
            "fields": self.fields,
            "have": self.have,
            "private": self.private,
        }
        durable.replace(journal_of(self.path), json.dumps(known).encode())

    @classmethod
    def load(cls, path: Path) -> Self:
        """What the journal beside the partial file `path` says; ValueError or OSError if it is none, or cannot be true of that file."""
        try:
            known: dict[str, Any] = json.loads(journal_of(path).read_bytes())
            found = cls(
                path=path,
                url=known["url"],
                archive=parse_url(known["url"]),
                length=known["length"],
                upstream=known["upstream"],
                validators=Validators(known["etag"], known["last_modified"], known["date_is_strong"]),
                fields=tuple((name, value) for name, value in known["fields"]),
                have=tuple((start, end) for start, end in known["have"]),
                private=known["private"],
            )
            found._check()
        except (KeyError, TypeError, AttributeError, RecursionError, BadRequest) as error:
            raise ValueError(f"not a journal of a fill: {error!r}") from None
        return found

    @property
    def _in_order(self) -> bool:
        return all(end < start for (_, end), (start, _) in pairwise(self.have))

    def _check(self) -> None:
        """ValueError if it cannot be so."""
        texts = [self.upstream, *(text for field in self.fields for text in field)]
        validators = (self.validators.etag, self.validators.last_modified)
        numbers = [self.length, *(number for interval in self.have for number in interval)]
        if not (
            all(type(text) is str for text in texts)
            and all(text is None or type(text) is str for text in validators)
            and all(type(number) is int for number in numbers)
            and type(self.validators.date_is_strong) is type(self.private) is bool
        ):
            raise ValueError("not a journal of a fill: a value has the wrong type")
        there = self.path.lstat().st_size
        if not self.have or there > self.length or any(not 0 <= start < end <= there for start, end in self.have) or not self._in_order:
            raise ValueError(f"not the journal of this file of {counted(there, 'byte')}")
        if self.validators.strong is None:
            raise ValueError("nothing would prove that the rest belongs to what is there")


class Leftovers:
    """Those of a data folder that wait for the next fill of their archive."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: dict[ArchiveId, Leftover] = {}

    def __iter__(self) -> Iterator[Leftover]:
        return iter(list(self._waiting.values()))

    def get(self, archive: ArchiveId) -> Leftover | None:
        return self._waiting.get(archive)

    def find(self, *, clean: bool) -> None:
        """Looks for them in the folder, where nobody may be filling; `clean`: all else is removed that nobody writes. Blocks."""
        self._waiting = {}
        if not self._folder.is_dir():  # a copy on a read-only disk need not have it
            return
        for path in sorted(self._folder.iterdir()):
            with contextlib.suppress(ValueError, OSError):
                if path.is_file() and not path.is_symlink() and not path.suffix:
                    self._add(Leftover.load(path))
        if clean:
            self._clean()

    def _add(self, found: Leftover) -> None:
        """Of two for the same archive the one with more bytes counts; an old one does not."""
        other = self._waiting.get(found.archive)
        if not is_old(found) and (other is None or other.total < found.total):
            self._waiting[found.archive] = found

    def _clean(self) -> None:
        kept = {path for each in self for path in (each.path, journal_of(each.path))}
        for path in self._folder.iterdir():
            if path not in kept:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else remove_unheld(path)

    def take(self, leftover: Leftover) -> PartialFile | None:
        """Its file, for a fill that goes on with it, None if that cannot be opened; it is off the list."""
        if self._waiting.pop(leftover.archive, None) is None:
            return None
        try:
            return PartialFile(leftover.path, leftover.have)
        except OSError as error:
            log.warning("What was there of %s cannot be used: %s.", leftover.url, error)
            return None

    def give_back(self, leftover: Leftover) -> None:
        """Puts it back onto the list: the fill that took it could not use it yet."""
        self._waiting[leftover.archive] = leftover

    def drop(self, leftover: Leftover) -> int:
        """Removes it, if no fill has taken it; returns the bytes that were freed. Blocks for a moment."""
        if self._waiting.pop(leftover.archive, None) is None:
            return 0
        size = leftover.size
        journal_of(leftover.path).unlink(missing_ok=True)  # before its file: never is there a journal of other bytes
        leftover.path.unlink(missing_ok=True)
        return size


def is_old(leftover: Leftover) -> bool:
    """Whether nobody asked for it for so long that it may go."""
    try:
        return time.time() - journal_of(leftover.path).stat().st_mtime > KEPT_SECONDS
    except FileNotFoundError:
        return False
