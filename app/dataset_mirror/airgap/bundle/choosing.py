"""Which archives go into a bundle."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from dataset_mirror.errors import MirrorError, UsageError
from dataset_mirror.origins.meaning import Meaning
from dataset_mirror.origins.table import Origins
from dataset_mirror.rules.counted import are, counted
from dataset_mirror.store.index import Index
from dataset_mirror.store.knowledge import Fact
from dataset_mirror.store.listing import Listed, Lister, Query
from dataset_mirror.store.record import Record
from dataset_mirror.store.repositories import snapshot_of
from dataset_mirror.store.store import Store
from dataset_mirror.upkeep.stored import select_stored

_DIGEST = re.compile(r"([0-9a-fA-F]{64})(?:\s.*)?")


def every(index: Lister, shared: frozenset[str], *, versions: bool, minus: frozenset[bytes] = frozenset()) -> Iterator[Record]:
    """All that is stored, by name; `versions`: older ones, too. Blocks.

    Without those whose bytes `minus` names, unless they are among the `shared`, which several archives have: whether the other side
    knows all of these it does not say.
    """
    for line in index.every(Query(limit=1000)):
        for record in _of(index, line, versions=versions):
            if bytes.fromhex(record.sha256) not in minus or record.sha256 in shared:
                yield record


def named(index: Lister, origins: Origins, names: Iterable[str], *, versions: bool) -> Iterator[Record]:
    """The stored archives of these names, by name. UsageError for one that means none. Blocks."""
    found = {line.record.archive: line for line in select_stored(index, origins, names)}
    for archive in sorted(found, key=str):
        yield from _of(index, found[archive], versions=versions)


def _of(index: Lister, current: Listed, *, versions: bool) -> Iterator[Record]:
    yield from index.versions(current.record.archive) if versions else [current.record]


class Scopes:
    """What the archives belong to that go past; then what their origins said of it."""

    def __init__(self, origins: Origins) -> None:
        self._origins = origins
        self._seen: set[str] = set()

    def watched(self, records: Iterable[Record]) -> Iterator[Record]:
        for record in records:
            self._seen |= set(self._of(record))
            yield record

    def _of(self, record: Record) -> Iterator[str]:
        origin = self._origins.get(record.archive.authority)
        matched = origin.rule(record.archive.path) if origin else None
        if matched and matched.scope:
            yield f"{record.archive.authority}/{matched.scope}"

    def facts(self, index: Index, *, private: bool) -> list[Fact]:
        """Without what was only said to somebody with credentials, unless it is `private` that is wanted. Blocks."""
        return [fact for fact in index.facts(self._seen) if private or not fact.restricted]


def split(index: Lister, origins: Origins, wanted: Iterable[str]) -> tuple[list[str], list[tuple[str, MirrorError]]]:
    """The entries of a list that mean something stored, and the others with the reason. Blocks."""
    there, missing = [], []
    for one in wanted:
        try:
            select_stored(index, origins, [one])
        except MirrorError as error:
            missing.append((one, error))
        else:
            there.append(one)
    return there, missing


def incomplete(store: Store, origins: Origins, names: Iterable[str]) -> list[tuple[str, MirrorError]]:
    """Those of the names that are repositories of which not everything is stored, with how much is. Blocks."""
    found: list[tuple[str, MirrorError]] = []
    for name in names:
        repository = None if Meaning(name).is_glob else origins.repository(name)
        if repository is None:
            continue
        snapshot = snapshot_of(store, repository)
        archives = [archive for archive, _ in snapshot.archives] if snapshot else []
        there = sum(store.find(archive) is not None for archive in archives)
        if snapshot is None or there < len(archives):
            stored = f"only {there:,} of its {counted(len(archives), 'archive')} {are(there)} stored"
            said = stored if snapshot else "the list of its files is not stored"
            found.append((name, UsageError(f"{name} is not complete: {said}.", f"Fetch it first: dataset-mirror fetch {name}")))
    return found


def digests(file: Path) -> frozenset[bytes]:
    """The digests of a list, one a line; what follows it, and `#` comments, are for people. UsageError for another line."""
    found = set()
    with file.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            match = _DIGEST.fullmatch(text)
            if match is None:
                raise UsageError(
                    f"Line {number} of {file} is not a SHA-256: {text[:80]!r}.", "Make it with: dataset-mirror have > have.txt"
                )
            found.add(bytes.fromhex(match[1]))
    return frozenset(found)
