"""Whether journal, index and blobs say the same: each knows what the others should."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from dataset_mirror.rules.counted import counted
from dataset_mirror.store.journal import Removal
from dataset_mirror.store.listing import Query
from dataset_mirror.store.record import Record
from dataset_mirror.store.store import Store

_REBUILD = "Stop the mirror and run: dataset-mirror doctor --rebuild"
_VERIFY = "Run: dataset-mirror verify, which fetches them again where that is possible."


@dataclass(frozen=True, slots=True)
class Disagreement:
    """What one of them says and another does not, and what to do."""

    where: str
    what: str
    hint: str


@dataclass(slots=True)
class _Told:
    """What the journal says, up to byte `end`: URLs of the versions that it leaves, by archive and digest; all digests; lines that say
    nothing."""

    versions: dict[str, dict[str, str]]
    digests: set[str]
    unreadable: int = 0
    end: int = 0


def disagreements(store: Store) -> Iterator[Disagreement]:
    """All of them, the gravest first. A live server may publish meanwhile; what is just under way is not told. Blocks."""
    blobs = dict(store.blobs)
    told = _told(store)
    known = {(str(record.archive), record.sha256): record for record in _versions(store)}
    if changed := _changed_since(store, told.end):  # the two say of it what was so at different moments
        told.versions = {key: versions for key, versions in told.versions.items() if key not in changed}
        known = {version: record for version, record in known.items() if version[0] not in changed}
    if told.unreadable:
        yield Disagreement("journal", f"{counted(told.unreadable, 'line')} of {store.journal.path} cannot be read.", _REBUILD)
    left = {(key, sha256): url for key, versions in told.versions.items() for sha256, url in versions.items()}
    missing = [url for version, url in left.items() if version not in known and version[1] in blobs]
    if missing:
        yield Disagreement("index", f"It lacks {_some(missing)}, which the journal has.", _REBUILD)
    lacking = [record.url for version, record in known.items() if version not in left]
    if lacking:
        hint = "A rebuild would name them by tree/ only. Export them first: dataset-mirror export"
        yield Disagreement("journal", f"It lacks {_some(lacking)}, which the index has.", hint)
    lost = [record.url for record in known.values() if store.blobs.size(record.sha256) != record.size]
    if lost:
        yield Disagreement("blobs", f"The bytes of {_some(lost)} are not there, or not all of them.", _VERIFY)
    strange = [sha256 for sha256 in blobs if sha256 not in told.digests and not store.index.users_of(sha256)]
    if strange:
        yield Disagreement("blobs", f"Nothing says what {_some(strange)} are.", f"{_REBUILD}; it names them by tree/, or sets them aside.")
    if aside := store.ledger.set_aside():
        yield Disagreement("set aside", f"{counted(len(aside), 'line')} could not be completed: {store.folder.set_aside}", _REBUILD)


def _changed_since(store: Store, end: int) -> set[str]:
    """Keys of archives that lines from that byte on are about."""
    return {str(line.entry.archive) for line in store.journal.lines(end) if isinstance(line.entry, Record | Removal)}


def _told(store: Store) -> _Told:
    told = _Told({}, set())
    for line in store.journal.lines(0):
        told.end = line.start if line.is_half else line.start + line.size
        entry = line.entry
        if isinstance(entry, Record):
            told.versions.setdefault(str(entry.archive), {})[entry.sha256] = entry.url
            told.digests.add(entry.sha256)
        elif isinstance(entry, Removal):
            _forget(entry, told)
        elif entry is None and not line.is_blank:
            told.unreadable += 1
    return told


def _forget(removal: Removal, told: _Told) -> None:
    key = str(removal.archive)
    if removal.sha256 is None:
        told.versions.pop(key, None)
    elif key in told.versions:
        told.versions[key].pop(removal.sha256, None)


def _versions(store: Store) -> Iterator[Record]:
    for line in store.index.every(Query(limit=1000)):
        if line.state == "changed":
            yield from store.index.versions(line.record.archive)
        else:
            yield line.record


def _some(names: Collection[str]) -> str:
    first = next(iter(names))
    return first if len(names) == 1 else f"{counted(len(names), 'archive')} or blobs, such as {first},"
