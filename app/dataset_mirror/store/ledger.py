"""Journal and index, which say the same: whoever writes next completes what a killed process began, or undoes it."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DatabaseError

from dataset_mirror.errors import MirrorError
from dataset_mirror.store import knowledge
from dataset_mirror.store.blobs import Blobs
from dataset_mirror.store.index import Index
from dataset_mirror.store.journal import Entry, Journal, Removal
from dataset_mirror.store.knowledge import Fact
from dataset_mirror.store.record import Record
from dataset_mirror.store.telling import Telling
from dataset_mirror.store.tree import Tree
from dataset_mirror.store.writing import MARKS, Writing

log = logging.getLogger(__name__)
_DONE = MARKS[0]


class Ledger:
    """Write transactions in which a line of the journal and the rows that belong to it come together."""

    def __init__(self, index: Index, journal: Journal, blobs: Blobs, tree: Tree, telling: Telling, set_aside: Path) -> None:
        """Lines that cannot be completed are put into the file `set_aside`."""
        self._index, self._journal, self._blobs, self._tree, self._telling = index, journal, blobs, tree, telling
        self._aside = Journal(set_aside)

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """A write transaction that first completes what a killed process began, or undoes what nobody can complete.

        Journal and index agree on how far the journal is done: `journal_bytes`, set in the transaction whose row belongs to
        the line. What is longer was cut off. Each writer looks before it appends; were it left to the next start, which sees
        only the end, the lines of other processes would be in front of it.
        """
        with self._index.transaction() as writing:
            if self._journal.size != (done := writing.marked(_DONE)):
                for entry in self._cut_off(done, writing):
                    self._complete(entry, writing)
                writing.mark(_DONE, self._journal.size)
            yield writing

    def _cut_off(self, done: int | None, writing: Writing) -> list[Entry]:
        """Lines that may be without their rows. An index that was never marked lacks at most the last one.

        Lines at the end whose bytes never became a blob are taken back: nothing was published, and a rebuild would miss it.
        """
        if done is None:
            last = self._journal.last()
            return [last] if last else []
        lines = list(self._journal.lines(done))
        while lines and (lines[-1].is_half or self._never_published(lines[-1].entry, writing)):
            entry = lines[-1].entry
            self._journal.cut(lines.pop().start)
            log.info("Took back the end of %s: %s", self._journal.path, entry.to_line() if entry else "half a line")
        return [line.entry for line in lines if line.entry]

    def _never_published(self, entry: Entry | None, writing: Writing) -> bool:
        return isinstance(entry, Record) and not self._blobs.has(entry.sha256) and not writing.version(entry.archive, entry.sha256)

    def _complete(self, entry: Entry, writing: Writing) -> None:
        """Makes the index say what the line says. One that cannot be completed must not stand in the way of all that follow."""
        try:
            with writing.part():
                self._completed(entry, writing)
        except (MirrorError, DatabaseError):  # of the index as a whole: it stays for the next writer
            raise
        except Exception as error:
            self._aside.append(entry)
            log.exception("A line of the journal cannot be completed; it was set aside in %s: %s", self._aside.path, entry.to_line())
            log.debug("It failed with %r.", error)

    def _completed(self, entry: Entry, writing: Writing) -> None:
        if isinstance(entry, Fact):
            knowledge.put(writing.connection, entry)
            return
        if isinstance(entry, Removal):
            self._telling.removed(entry.archive, entry.sha256, writing)
            writing.forget(entry.archive, entry.sha256)
        elif self._never_published(entry, writing):
            self._journal.append(Removal(entry.archive, time.time(), entry.sha256))  # lines behind it are good: it is closed
            return
        elif self._blobs.has(entry.sha256):
            writing.publish(entry, used=time.time())
            self._telling.published(entry, writing)
        self._tree.show(entry.archive, writing.current(entry.archive), self._blobs.path)
        log.info("Completed what was cut off: %s", entry.to_line())

    def set_aside(self) -> list[Entry]:
        """Lines that could not be completed. A rebuild reads them once more, where they stand in the journal."""
        return [line.entry for line in self._aside.lines(0) if line.entry]

    def publication(self, record: Record, writing: Writing) -> Record:
        """Notes a publication; returns what is known of these bytes from now on, `united` with what was before, as the line has it."""
        (united,) = writing.united([record])
        self.note(writing, united)
        return united

    def note(self, writing: Writing, *entries: Entry) -> None:
        """The journal's lines, durable at once, and the mark, which the COMMIT makes durable."""
        writing.mark(_DONE, self._journal.append(*entries))

    def spared(self) -> frozenset[str]:
        """Blobs that no archive needs, but a line that was set aside: it may be completed yet."""
        return frozenset(entry.sha256 for entry in self.set_aside() if isinstance(entry, Record))
