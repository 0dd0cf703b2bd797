"""Writing a bundle: planned from the index, then streamed, so that nothing of it lies on the disk a second time."""

import hashlib
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version

from dataset_mirror.airgap.bundle import bag
from dataset_mirror.airgap.bundle.bag import Payload
from dataset_mirror.airgap.bundle.hashing import HashingCopy
from dataset_mirror.airgap.bundle.names import Names, natural
from dataset_mirror.airgap.bundle.stored import Bytes
from dataset_mirror.errors import BundleError
from dataset_mirror.rules.counted import counted
from dataset_mirror.store.knowledge import Fact
from dataset_mirror.store.record import Record

Write = Callable[[bytes | memoryview], object]
Report = Callable[[Payload, int], None]
"""Is given how many bytes of a payload file are written."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one bundle will be. All digests are known from the index, so that the manifests can come first."""

    lines: bytes
    payload: tuple[Payload, ...]
    """By path."""
    newest: float
    """When the latest of the bytes were fetched, in seconds since the epoch."""
    origins: tuple[str, ...] = ()
    """The origins' blocks that the other side may need, each a line."""

    @property
    def size(self) -> int:
        """Bytes of the payload."""
        return sum(each.size for each in self.payload)


def plan(records: Iterable[Record], minus: frozenset[bytes] = frozenset(), facts: Callable[[], Iterable[Fact]] = lambda: ()) -> Plan:
    """The bundle of these archives, each blob once. The lines of all are in it; bytes that `minus` names are not.

    `facts` are asked for at the end; they are lines, too.

    A line without bytes is how the other side learns that bytes it has are another archive's, too. BundleError if the list of
    archives becomes too long to be read back.
    """
    lines, first, newest = bytearray(), dict[str, Record](), 0.0
    for count, record in enumerate(records, 1):
        lines += record.to_line().encode() + b"\n"
        newest = max(newest, record.fetched)
        if bytes.fromhex(record.sha256) not in minus:
            first.setdefault(record.sha256, record)
        if len(lines) > bag.MOST_TAG_BYTES:
            raise BundleError(f"One bundle cannot hold more than some {counted(count, 'archive')}.", "Make several: give names or globs.")
    for fact in facts():
        lines += fact.to_line().encode() + b"\n"
        newest = max(newest, min(fact.checked, time.time()))
    if len(lines) > bag.MOST_TAG_BYTES:
        raise BundleError("One bundle cannot hold what origins said of all these archives.", "Make several: give names or globs.")
    names = Names(natural(record.archive) for record in first.values())
    payload = [
        Payload(names.path(record.archive, record.sha256), record.sha256, record.size, record.fetched, record.url)
        for record in first.values()
    ]
    return Plan(bytes(lines), tuple(sorted(payload, key=lambda each: each.path)), newest)


class Bundle:
    """Writes one planned bundle, as a tar (pax)."""

    def __init__(self, planned: Plan, blobs: Bytes, write: Write) -> None:
        self._plan, self._blobs, self._out = planned, blobs, write
        self._written = 0
        digest = hashlib.sha256(planned.lines + bag.manifest((each.path, each.sha256) for each in planned.payload)).hexdigest()
        self.name = f"dataset-mirror-{digest[:12]}"
        """Of the top folder; that of another bundle is another one, so that several can be unpacked side by side."""

    def send(self, report: Report) -> Iterator[tuple[Payload, BundleError | None]]:
        """Writes it all; yields each payload file, with the error if it is not what the index says: that cannot be taken back.

        OSError if it cannot be written. Blocks.
        """
        for name, content in self._tag_files():
            self._head(name, len(content), self._plan.newest)
            self._write(content)
            self._pad()
        self._head(bag.PAYLOAD.rstrip("/"), 0, self._plan.newest, folder=True)
        with HashingCopy() as copier:
            for payload in self._plan.payload:
                yield payload, self._send(payload, copier, report)
        self._write(bytes(2 * tarfile.BLOCKSIZE))
        self._write(bytes(-self._written % tarfile.RECORDSIZE))

    def _tag_files(self) -> list[tuple[str, bytes]]:
        software = f"dataset-mirror {version('dataset-mirror')}"
        payload = self._plan.payload
        files = [
            (bag.DECLARATION, bag.declaration()),
            (bag.INFO, bag.info(payload, software, self._plan.newest, self._plan.origins)),
            (bag.MANIFEST, bag.manifest((each.path, each.sha256) for each in payload)),
            (bag.LINES, self._plan.lines),
        ]
        return [*files, (bag.TAG_MANIFEST, bag.manifest((name, hashlib.sha256(content).hexdigest()) for name, content in files))]

    def _send(self, payload: Payload, copier: HashingCopy, report: Report) -> BundleError | None:
        try:
            opened = self._blobs.open(payload.sha256)
        except FileNotFoundError:
            return BundleError(f"The blob of {payload.url} is missing, so it is not in the bundle.", "Fetch it again, and export it again.")
        with opened as source:
            self._head(payload.path, payload.size, payload.fetched)
            at = self._written

            def write(data: memoryview) -> None:
                self._write(data)
                report(payload, self._written - at)

            copied = copier.copy(source, payload.size, write)
        left = payload.size - copied.size
        while left > 0:  # the head promised them
            left -= self._write(bytes(min(left, tarfile.RECORDSIZE)))
        self._pad()
        if (copied.size, copied.digests.sha256) == (payload.size, payload.sha256):
            return None
        return BundleError(
            f"The blob of {payload.url} is damaged {self._blobs.place(payload.sha256)}: an import will refuse it.",
            "Run dataset-mirror verify, which fetches it again, and export it again.",
        )

    def _head(self, name: str, size: int, moment: float, *, folder: bool = False) -> None:
        entry = tarfile.TarInfo(f"{self.name}/{name}")
        entry.size, entry.mtime, entry.mode = size, int(moment), 0o755 if folder else 0o644
        entry.type = tarfile.DIRTYPE if folder else tarfile.REGTYPE
        self._write(entry.tobuf(tarfile.PAX_FORMAT))

    def _pad(self) -> None:
        self._write(bytes(-self._written % tarfile.BLOCKSIZE))

    def _write(self, data: bytes | memoryview) -> int:
        self._out(data)
        self._written += len(data)
        return len(data)
