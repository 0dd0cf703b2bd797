"""Taking a bundle in: a union of sets. Each archive is verified and published on its own; what is wrong is named and skipped."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from dataset_mirror.airgap.bundle import bag
from dataset_mirror.airgap.bundle.hashing import HashingCopy
from dataset_mirror.airgap.bundle.judging import LineJudge
from dataset_mirror.airgap.bundle.listing import Listing
from dataset_mirror.airgap.bundle.member import Member, printable
from dataset_mirror.airgap.bundle.publishing import AT_ONCE, FAILS, Publisher, Taken
from dataset_mirror.airgap.files.copying import contents
from dataset_mirror.airgap.proposals import Proposal, of_line
from dataset_mirror.errors import BundleError, MirrorError
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.rules.counted import counted
from dataset_mirror.store.digests import Hashing, digests_of
from dataset_mirror.store.partial import PartialFile
from dataset_mirror.store.record import Record
from dataset_mirror.store.space import Reservation
from dataset_mirror.store.store import Store

Report = Callable[[Record, int], None]
"""Is given how many bytes of an archive are in."""


class Import:
    """Takes one bundle into the store. Repeated, it passes over what is there: so a killed one goes on where it was.

    While the bytes of one archive are read, those of the two before are made durable in threads of their own, and published one
    after the other.
    """

    def __init__(self, store: Store, judge: LineJudge, report: Report) -> None:
        self._store, self._judge, self._report = store, judge, report
        self._listing = Listing()
        self._publisher = Publisher(store, judge)
        self._hashed: tuple[str, str | None] = "", None
        """The blob whose MD5 was computed last, and that: it may have a great many lines."""

    def payload(self) -> list[str]:
        """Paths that the manifest has; after the tag files were taken."""
        return list(self._listing.paths)

    def proposed(self) -> list[Proposal]:
        """The origins' blocks that the bundle proposes."""
        return [proposal for line in self._listing.origins if (proposal := of_line(line))]

    def take(self, members: Iterable[Member]) -> Iterator[Taken]:
        """Takes all of it; yields how it ended for each archive. BundleError if the bundle as such cannot be read. Blocks."""
        with HashingCopy() as copier, ThreadPoolExecutor(2, "publish") as publishing:
            settling: Future[list[Taken]] | None = None
            ended: list[Taken] = []
            for member in self._ending_well(members, ended):
                if not self._listing.takes(member):
                    continue
                taken, begun = self._payload(member, copier, publishing)
                yield from taken
                if begun:
                    yield from settling.result() if settling else ()
                    settling = begun
            yield from settling.result() if settling else ()
            yield from ended
        yield from self._facts()
        for lines in self._listing.rest():
            records, refused = self._judged(lines)
            yield from refused
            yield from self._without_bytes(records)

    def _facts(self) -> Iterator[Taken]:
        """Takes what origins said that is no bytes; only what cannot be taken is told."""
        for line in self._listing.facts:
            try:
                self._store.know(self._judge.fact(line))
            except FAILS as error:
                what = f"a line of {bag.LINES}"
                yield Taken(what, "failed", error=self._publisher.why(error, what))

    def _ending_well(self, members: Iterable[Member], ended: list[Taken]) -> Iterator[Member]:
        """The members, as far as they can be read; after the list of archives is known, an error ends them and is kept."""
        try:
            yield from members
            self._listing.begin()
        except BundleError as error:
            if not self._listing.begun:
                raise
            ended.append(Taken("the rest of the bundle", "failed", error=error))

    def _payload(
        self, member: Member, copier: HashingCopy, publishing: ThreadPoolExecutor
    ) -> tuple[list[Taken], Future[list[Taken]] | None]:
        """Takes one file: what is known of it at once, and what is still under way."""
        try:
            lines = self._listing.lines_of(member)
        except BundleError as error:
            return [Taken(printable(member.name), "failed", error=error)], None
        records, taken = self._judged(lines, member)
        if not records or self._size_here(records[0].sha256) == records[0].size:
            return [*taken, *self._without_bytes(records)], None
        try:
            partial, copied, room = self._read(member, records, copier)
        except MirrorError as error:
            return [*taken, *(Taken(record.url, "failed", error=error) for record in records)], None
        return taken, publishing.submit(self._publisher.settle, partial, copied, room, records)

    def _judged(self, lines: Iterable[bytes], member: Member | None = None) -> tuple[list[Record], list[Taken]]:
        """The records of lines, which fit the file that is to be them, and how it ended for the others."""
        records, taken = [], []
        for line in lines:
            try:
                record = self._judge.read(line)
                if member:
                    _check_fits(member, record)
                records.append(record)
            except MirrorError as error:
                taken.append(Taken(_named(line), "failed", error=error))
        return records, taken

    # Bytes that come

    def _read(self, member: Member, records: list[Record], copier: HashingCopy) -> tuple[PartialFile, Hashing, Reservation]:
        """The bytes, verified, in a file that is neither durable nor published yet."""
        first = records[0]
        assert member.file is not None
        room = Reservation(first.url, self._store.space)
        room.grow(member.size)
        partial = None
        try:
            partial = self._store.new_incoming()
            md5 = any(map(self._judge.wants_md5, records))
            copied = copier.copy(member.file, member.size, _appending(self._report, partial, room, first), md5=md5)
            if copied.size < member.size:
                raise BundleError(f"The bundle ends in the middle of {first.url}.", "Copy it again.")
            if copied.digests.sha256 != first.sha256:
                raise BundleError(
                    f"The bundle's bytes of {first.url} are damaged.", "They were not imported. Copy the bundle again, or export it again."
                )
        except BaseException as error:
            if partial:
                partial.discard()
            room.release()
            if isinstance(error, OSError):
                raise self._publisher.why(error, first.url, first.size) from None
            raise
        return partial, copied, room

    # Bytes that are here

    def _without_bytes(self, records: Sequence[Record]) -> Iterator[Taken]:
        """Archives whose bytes, all the same, are here already: most of them are here themselves, and nothing is written."""
        for start in range(0, len(records), AT_ONCE):
            some = records[start : start + AT_ONCE]
            try:
                kept = self._store.index.versions_of([record.archive for record in some])
                yield from self._known(some, kept, self._size_here(some[0].sha256))
            except FAILS as error:
                yield from self._publisher.failed(some, error)

    def _size_here(self, sha256: str) -> int | None:
        """Bytes of the blob; None if it is not here."""
        return None if self._store.blobs.inode(sha256) is None else self._store.blobs.size(sha256)

    def _known(self, records: Iterable[Record], kept: Mapping[ArchiveId, Iterable[Record]], size: int | None) -> Iterator[Taken]:
        """Passes over what is among what is `kept`, just so; adds the others to their bytes, of which `size` are here."""
        lacking: list[Record] = []
        for record in records:
            try:
                if record.size != size:
                    raise _nowhere(record)
                known = next((each for each in kept[record.archive] if each.sha256 == record.sha256), None)
                settled = self._judge.settled(record, self._md5(record, known))
            except (MirrorError, OSError) as error:
                yield from self._publisher.failed([record], error)
                continue
            if known is not None and known.united(settled) == known:
                yield Taken(record.url, "present", record.size)
            else:
                lacking.append(settled)
        yield from self._publisher.added(lacking)

    def _md5(self, record: Record, known: Record | None) -> str | None:
        """The MD5 of bytes that are here, if the catalog wants to know it."""
        if not self._judge.wants_md5(record):
            return None
        if known and known.md5:
            return known.md5
        if self._hashed[0] != record.sha256:
            with self._store.blobs.open(record.sha256) as file:
                self._hashed = record.sha256, digests_of(contents(file.fileno()), md5=True).md5
        return self._hashed[1]


def _appending(report: Report, partial: PartialFile, room: Reservation, record: Record) -> Callable[[memoryview], None]:
    """Appends to the file, and tells how far it is."""

    def write(data: memoryview) -> None:
        partial.write(partial.prefix, data)
        room.written(len(data))
        report(record, partial.prefix)

    return write


def _check_fits(member: Member, record: Record) -> None:
    if member.file is None:
        raise BundleError(f"{record.url} comes as a {member.kind}, not as a file.", "It was not imported. Export it again.")
    if record.size != member.size:
        said = f"{record.url} comes with {counted(member.size, 'byte')}, but the list says {record.size:,}."
        raise BundleError(said, "Copy the bundle again.")


def _nowhere(record: Record) -> BundleError:
    return BundleError(
        f"The bytes of {record.url} are neither in the bundle nor here.",
        "Copy the bundle again; if it was made with --minus, export it again without it.",
    )


def _named(line: bytes) -> str:
    """What a line that was refused says that it is, for people."""
    try:
        return Record.from_line(line.decode()).url
    except ValueError:
        return f"a line of {bag.LINES}"
