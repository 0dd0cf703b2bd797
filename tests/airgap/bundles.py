"""Bundles for tests: good ones as `export` makes them, and bad ones made by hand."""

import hashlib
import os
import tarfile
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from dataset_mirror.airgap.bundle import bag, tarred, unpacked
from dataset_mirror.airgap.bundle.export import Bundle, plan
from dataset_mirror.airgap.bundle.importing import Import
from dataset_mirror.airgap.bundle.judging import LineJudge
from dataset_mirror.airgap.bundle.publishing import Taken
from dataset_mirror.airgap.bundle.stored import Bytes
from dataset_mirror.origins.model import CatalogEntry, Origin
from dataset_mirror.origins.table import Origins
from dataset_mirror.store.listing import Query
from dataset_mirror.store.record import Record
from dataset_mirror.store.store import Store
from tests.serving import URL

LISTED = Origin(url=URL, paths=("/sets/",))
KNOWN = Origins([], [LISTED])


def stored(store: Store, data: bytes, record: Record) -> Record:
    """Puts an archive into a store, as an import does it."""
    with store.incoming() as partial:
        partial.write(0, data)
        partial.sync()
        return store.publish(partial.path, record)


def exported(store: Store, records: Iterable[Record], minus: frozenset[bytes] = frozenset()) -> bytes:
    """The bundle of these archives, whose blobs the store has and are good."""
    out = bytearray()
    assert [error for _, error in Bundle(plan(records, minus), Bytes(store.blobs), out.extend).send(lambda *_: None) if error] == []
    return bytes(out)


def knowing(*entries: CatalogEntry) -> Origins:
    """The listed origin with a catalog."""
    return Origins([], [LISTED], entries)


def take(store: Store, bundle: bytes | Path, origins: Origins = KNOWN, *, any_origin: bool = False) -> list[Taken]:
    """Imports a tar, or an unpacked folder; how it ended for each archive."""
    one = Import(store, LineJudge(origins, any_origin, time.time()), lambda *_: None)
    if isinstance(bundle, Path):
        return list(one.take(unpacked.members(bundle, one.payload)))
    with tempfile.TemporaryFile() as file:
        file.write(bundle)
        file.flush()
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        return list(one.take(tarred.members(file.fileno())))


def failed(taken: Iterable[Taken]) -> dict[str, str]:
    """What went wrong, by what it happened to."""
    return {each.what: str(each.error) for each in taken if each.state == "failed"}


def rows(store: Store) -> set[tuple[Record, bool]]:
    """Every version that the store has, and whether it is current; each blob must be right, and none be too many."""
    found = {(version, listed.sha256 == version.sha256) for listed in _current(store) for version in store.index.versions(listed.archive)}
    digests = {version.sha256 for version, _ in found}
    assert {name for name, _ in store.blobs} == digests
    for digest in digests:
        assert hashlib.sha256(store.blobs.path(digest).read_bytes()).hexdigest() == digest
    assert list(store.folder.partial.iterdir()) == []
    return found


def _current(store: Store) -> list[Record]:
    return [listed.record for listed in store.index.every(Query(limit=1000))]


# By hand


def tags(payload: Mapping[str, bytes], lines: Iterable[str], manifest: bytes | None = None) -> dict[str, bytes]:
    """The tag files of a bag with these files and lines."""
    files = {
        bag.DECLARATION: bag.declaration(),
        bag.MANIFEST: manifest if manifest is not None else bag.manifest((path, digest(data)) for path, data in payload.items()),
        bag.LINES: "".join(f"{line}\n" for line in lines).encode(),
    }
    return files | {bag.TAG_MANIFEST: bag.manifest((name, digest(content)) for name, content in files.items())}


def tar(files: Iterable[tuple[str | tarfile.TarInfo, bytes]], top: str = "bag/") -> bytes:
    """A tar of these files in the top folder; an entry that is given as such stays as it is, and may claim anything."""
    out = bytearray()
    for name, content in files:
        entry = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(top + name)
        if not isinstance(name, tarfile.TarInfo):
            entry.size = len(content)
        out += entry.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % 512)
    return bytes(out) + bytes(10240)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
