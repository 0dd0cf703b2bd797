"""Pins: what is never evicted. In a small file beside the index, so that no rebuild and no other schema can lose them."""

import json
import logging
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from dataset_mirror.errors import BadRequest, DataFolderError
from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.origins.meaning import Meaning
from dataset_mirror.origins.names import without_revision
from dataset_mirror.store import durable

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pin:
    """A name of the catalog or of a repository, a URL, or a glob of any, pinned `at` that time (seconds since the epoch)."""

    name: str
    at: float

    def means(self, archive: ArchiveId, known_as: str) -> bool:
        """Whether an archive is pinned by it; `known_as` is its name in the catalog, or that of its repository, if it has one.

        Of a pinned repository all revisions stay.
        """
        meaning = Meaning(without_revision(self.name))
        return meaning.names(known_as) or meaning.fits(archive) or meaning.fits_file(str(archive)) or self.url == archive

    @property
    def url(self) -> ArchiveId | None:
        """The archive, if it is a URL."""
        return parse_url(self.name) if "://" in self.name and not set("*[").intersection(self.name) else None


class Pins:
    """The file. It is read again when another process has changed it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._pins: tuple[Pin, ...] = ()
        self._others: tuple[Pin, ...] = ()
        """Those that are no URLs: they may mean many archives, and each is asked."""
        self.urls: frozenset[ArchiveId] = frozenset()
        """What is pinned by URL, as of the last look into the file."""
        self.is_damaged = False
        """Whether nobody can tell what is pinned: then everything is."""

    def __iter__(self) -> Iterator[Pin]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def has(self, archive: ArchiveId, known_as: str) -> bool:
        """Whether an archive is pinned; all are, while the file cannot be read."""
        return self.mean(archive, known_as) or self.is_damaged

    def mean(self, archive: ArchiveId, known_as: str) -> bool:
        """Whether an archive is pinned for certain, however many pins there are."""
        self._read()
        return archive in self.urls or any(pin.means(archive, known_as) for pin in self._others)

    def add(self, names: Iterable[str]) -> list[Pin]:
        """Pins names; returns those that were not pinned. The caller keeps others from writing meanwhile. OSError, DataFolderError."""
        known = {pin.name: pin for pin in self._whole()}
        new = [Pin(name, time.time()) for name in dict.fromkeys(names) if name not in known]
        if new:
            self._write([*known.values(), *new])
        return new

    def remove(self, names: Iterable[str]) -> list[Pin]:
        """Takes pins away that have one of the names, or that a glob among them means; returns them. As `add`."""
        meanings = [Meaning(name) for name in names]
        known = self._whole()
        gone = [pin for pin in known if any(one.word == pin.name or (one.is_glob and one.names(pin.name)) for one in meanings)]
        if gone:
            self._write([pin for pin in known if pin not in gone])
        return gone

    def _whole(self) -> tuple[Pin, ...]:
        pins = self._read()
        if self.is_damaged:
            raise DataFolderError(f"{self._path} cannot be read.", "Correct it, or remove it and pin again.")
        return pins

    def _write(self, pins: Iterable[Pin]) -> None:
        content = json.dumps({"pins": [asdict(pin) for pin in pins]}, indent=1, ensure_ascii=False)
        durable.replace(self._path, content.encode() + b"\n")

    def _read(self) -> tuple[Pin, ...]:
        """What is pinned. Several threads may come at once: what was read before counts until all of the new is known."""
        seen = self._state()
        if seen != self._seen:
            pins, by_url, is_damaged = tuple[Pin, ...](), dict[Pin, ArchiveId](), False
            try:
                pins = _parsed(self._path.read_bytes()) if seen else ()
                by_url = {pin: url for pin in pins if (url := pin.url)}
            except (OSError, ValueError, KeyError, TypeError, BadRequest) as error:
                is_damaged = True
                log.error("%s cannot be read (%r): until it can, nothing is evicted.", self._path, error)
            others = tuple(pin for pin in pins if pin not in by_url)
            self._pins, self._others, self.urls, self.is_damaged = pins, others, frozenset(by_url.values()), is_damaged
            self._seen = seen
        return self._pins

    def _state(self) -> tuple[int, int, int] | None:
        try:
            status = os.stat(self._path)  # noqa: PTH116
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size


def _parsed(content: bytes) -> tuple[Pin, ...]:
    return tuple(Pin(str(one["name"]), float(one["at"])) for one in json.loads(content)["pins"])
