"""What of the mirror's archives belongs where below KERAS_HOME, so that Keras finds them and asks nobody.

A place may be claimed by two archives with different bytes (`datasets/imdb.npz` of Keras ≤ 2.3 and of now): Keras' present
one has it; another one only if that is not asked for, and only by its own name.
"""

import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from email.utils import parsedate_to_datetime

from pydantic import BaseModel, ConfigDict, Field

from dataset_mirror.errors import Forbidden, NoSuchPage, NotAllowed, NotStored
from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.origins.meaning import Meaning
from dataset_mirror.origins.model import CatalogEntry, KerasPath
from dataset_mirror.origins.table import Origins
from dataset_mirror.origins.unknown import closest
from dataset_mirror.store.record import Record
from dataset_mirror.store.store import Store

PRESENT = "keras/"
"""How the names begin of what Keras asks for now."""
_NAMED = 5
"""Most missing archives that a sentence names."""

Admit = Callable[[ArchiveId, Record | None], object]
"""Raises Forbidden or NotAllowed if an archive is not for whoever asks."""


class KerasFile(BaseModel):
    """A stored archive, and the places below KERAS_HOME where Keras looks for it, the newest layout first."""

    model_config = ConfigDict(frozen=True)

    url: str = Field(examples=["https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"])
    name: str = Field(description="in the catalog", examples=["keras/mnist"])
    paths: tuple[KerasPath, ...] = Field(min_length=1, examples=[["datasets/mnist.npz"]])
    size: int = Field(ge=0, description="bytes", examples=[11490434])
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    modified: float = Field(description="seconds since the epoch", examples=[1700000000.0])
    digests: tuple[str, ...] = Field(description="SHA-256 or MD5 of the catalog, of which any is right; none if it knows none")
    expected_size: int | None = Field(description="bytes, where the catalog knows no digest")

    @property
    def archive(self) -> ArchiveId:
        return parse_url(self.url)


class Missing(BaseModel):
    """An archive that was named, and is not stored."""

    model_config = ConfigDict(frozen=True)

    url: str
    name: str


class KerasHome(BaseModel):
    """A tree for KERAS_HOME: what is there for it, and what was named and is not."""

    model_config = ConfigDict(frozen=True)

    files: tuple[KerasFile, ...]
    missing: tuple[Missing, ...] = ()
    displaced: tuple[Missing, ...] = ()
    """Named, too, but another archive that was named has its place."""

    def whole(self) -> "KerasHome":
        """Itself, if nothing that was named is missing and there is something; NotStored otherwise."""
        if self.missing:
            raise lacking(self.missing)
        if not self.files:
            raise NotStored(
                "The mirror has nothing yet that Keras keeps on its disk.", "Fetch something first: dataset-mirror fetch keras/mnist"
            )
        return self


def lacking(missing: Sequence[Missing]) -> NotStored:
    """The error for archives that were named and are not stored, with the command that fetches them."""
    urls = [one.url for one in missing]
    said = ", ".join(urls[:_NAMED]) + (f" and {len(urls) - _NAMED} more" if len(urls) > _NAMED else "")
    command = "dataset-mirror fetch " + " ".join(dict.fromkeys(shlex.quote(one.name or one.url) for one in missing))
    return NotStored(f"The mirror does not have {said}.", f"Fetch it first: {command}", missing=urls, command=command)


def plan(store: Store, origins: Origins, names: Sequence[str], admit: Admit) -> KerasHome:
    """The tree of the named datasets, or without names of all that is stored. Blocks for 0.1 ms an archive.

    A name is one of the catalog, with or without `keras/`; a glob means those of its archives that are stored and that the
    client may have, as no name does. NoSuchPage for a name that means none; what `admit` raises for a name goes through.
    """
    by_name, by_glob = _chosen(origins, names)
    files: list[KerasFile] = []
    missing: list[Missing] = []
    chosen = [entry for entry in by_claim(origins) if entry.archive in by_name | by_glob]
    for entry, paths in _places(chosen):
        named = entry.archive in by_name
        try:
            record = _stored(store, entry.archive, admit)
        except (Forbidden, NotAllowed):
            if named:
                raise
            continue
        if record:
            files.append(_file(entry, paths, record))
        elif named:
            missing.append(Missing(url=entry.url, name=entry.name))
    having = {entry.archive for entry, _ in _places(chosen)}
    displaced = [Missing(url=entry.url, name=entry.name) for entry in chosen if entry.archive in by_name - having]
    return KerasHome(files=tuple(files), missing=tuple(missing), displaced=tuple(displaced))


def _chosen(origins: Origins, names: Sequence[str]) -> tuple[set[ArchiveId], set[ArchiveId]]:
    """The archives that are meant by their names, and those by globs or by no name."""
    if not names:
        return set(), {entry.archive for entry in _kept_by_keras(origins) if not _is_former(entry)}
    by_name: set[ArchiveId] = set()
    by_glob: set[ArchiveId] = set()
    for name in names:
        found = {entry.archive for entry in _kept_by_keras(origins) if _means(name, entry)}
        if not found:
            raise NoSuchPage(f"The catalog has nothing named {name!r} that Keras keeps on its disk.", _closest(origins, name))
        (by_glob if Meaning(name).is_glob else by_name).update(found)
    return by_name, by_glob - by_name


def _kept_by_keras(origins: Origins) -> Iterable[CatalogEntry]:
    return (entry for entry in origins.catalog if entry.keras_home)


def _is_former(entry: CatalogEntry) -> bool:
    """Whether only former versions of Keras ask for it; whatever else an operator lists is as good as Keras' own."""
    return entry.name.startswith("keras-legacy/")


def _means(name: str, entry: CatalogEntry) -> bool:
    meaning = Meaning(name)
    if meaning.fits_url(entry.url) or Meaning(PRESENT + name).names(entry.name):
        return True
    return ("/" in name or not _is_former(entry)) and (meaning.names(entry.name) or meaning.fits_file(entry.url))


def _closest(origins: Origins, name: str) -> str:
    short = sorted({entry.name.removeprefix(PRESENT) for entry in _kept_by_keras(origins)})
    return closest(name.removeprefix(PRESENT), short)


def _places(chosen: Iterable[CatalogEntry]) -> Iterator[tuple[CatalogEntry, tuple[str, ...]]]:
    """Those that have a place of their own, with their places: whoever comes first has it."""
    taken: set[str] = set()
    for entry in chosen:
        if own := tuple(path for path in entry.keras_home if path not in taken):
            taken.update(own)
            yield entry, own


def by_claim(origins: Origins) -> list[CatalogEntry]:
    """What Keras keeps on its disk, former archives last: whoever comes first has a place."""
    return sorted(_kept_by_keras(origins), key=_is_former)


def _stored(store: Store, archive: ArchiveId, admit: Admit) -> Record | None:
    """The record, if its blob is there and whole; None otherwise."""
    record = store.find(archive)
    admit(archive, record)
    return record if record and store.blobs.size(record.sha256) == record.size and store.blobs.has(record.sha256) else None


def _file(entry: CatalogEntry, paths: tuple[str, ...], record: Record) -> KerasFile:
    return KerasFile(
        url=record.url,
        name=entry.name,
        paths=paths,
        size=record.size,
        sha256=record.sha256,
        modified=_modified(record),
        digests=(*entry.sha256, *entry.md5),
        expected_size=None if entry.has_digest else entry.size,
    )


def _modified(record: Record) -> float:
    """When the origin last changed it, else when it was fetched: in seconds since the epoch, the same for every client."""
    try:
        return float(int(parsedate_to_datetime(record.validators.last_modified or "").timestamp()))
    except (ValueError, OverflowError):
        return float(int(record.fetched))
