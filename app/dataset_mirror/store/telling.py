"""What other mirrors that share the store are to be told of this one, and how far it knows what they told."""

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.store import outbox
from dataset_mirror.store.outbox import Letter
from dataset_mirror.store.record import Record
from dataset_mirror.store.writing import MARKS, Writing

log = logging.getLogger(__name__)
_, _SEEN, _DATABASE = MARKS


class Telling:
    """Fills the outbox in the transactions of what it tells of, and empties it as the others are told."""

    def __init__(self, transaction: Callable[[str], AbstractContextManager[Writing]]) -> None:
        """`transaction`: a change of the index alone, of what that says."""
        self._transaction = transaction
        self.is_on = False
        """Whether there are others."""

    def published(self, record: Record, writing: Writing, *, kept: bool = False) -> None:
        """Other mirrors are told of a publication."""
        if self.is_on and kept:
            outbox.keep(writing.connection, record.archive, record.sha256)
        elif self.is_on:
            outbox.add(writing.connection, "put", record.archive, record.sha256, time.time())

    def removed(self, archive: ArchiveId, sha256: str | None, writing: Writing, *, everywhere: bool = False) -> None:
        """An archive, or one version of it, is about to be removed here; `everywhere`: the others are to remove it, too.

        Even while there are no others nothing is left that says of what is not here that the bucket has it: they may come again.
        """
        for record in writing.versions(archive):
            if sha256 in (None, record.sha256):
                outbox.forget(writing.connection, archive, record.sha256)
                if everywhere and self.is_on:
                    at = max(time.time(), record.fetched)  # another mirror's clock may be ahead
                    outbox.add(writing.connection, "remove", archive, record.sha256, at)

    def remove(self, records: Iterable[Record]) -> None:
        """The other mirrors are to forget these versions, whether they are here or not. Blocks."""
        with self._transaction("The outbox") as writing:
            for record in records:
                at = max(time.time(), record.fetched)
                outbox.add(writing.connection, "remove", record.archive, record.sha256, at)

    def told(self, letter: Letter) -> None:
        """Takes a letter out of the outbox: the other mirrors were told. Blocks."""
        with self._transaction("The outbox") as writing:
            outbox.told(writing.connection, letter)

    def tell_all(self) -> int:
        """Puts everything that others do not know into the outbox; returns how many versions are new in it. Blocks."""
        with self._transaction("The outbox") as writing:
            return outbox.add_all(writing.connection, time.time())

    def stop(self) -> None:
        """This mirror is alone from now on: nobody is to be told of anything. Blocks."""
        with self._transaction("The outbox") as writing:
            outbox.clear(writing.connection)

    def know_kept(self, record: Record) -> None:
        """Notes that all mirrors know a version that is here, and the bucket has its bytes. Blocks."""
        with self._transaction("The outbox") as writing:
            outbox.keep(writing.connection, record.archive, record.sha256)

    def tell_again(self, record: Record) -> None:
        """Puts a version that is here into the outbox again: the bucket has lost it. Blocks."""
        with self._transaction("The outbox") as writing:
            outbox.forget(writing.connection, record.archive, record.sha256)
            outbox.add(writing.connection, "put", record.archive, record.sha256, time.time())

    def joined(self, database: int, newest: int) -> int:
        """Begins to follow the changes of a database, of which `newest` is the latest; how far they are known here. Blocks.

        In another database than before, or an earlier state of it, nobody may know what is here: all of it is told again. A mirror
        that never followed one begins at `newest`.
        """
        with self._transaction("How far changes are known") as writing:
            seen, known = writing.marked(_SEEN), writing.marked(_DATABASE)
            if known not in (None, database) or (seen or 0) > newest:
                log.warning("The shared database is another one, or an earlier state: what is here is told to the other mirrors again.")
                outbox.tell_again(writing.connection, time.time())
                seen = None
            writing.mark(_DATABASE, database)
            writing.mark(_SEEN, newest if seen is None else seen)
        return newest if seen is None else seen

    def see(self, number: int) -> None:
        """Notes up to which change they are known here. Blocks."""
        with self._transaction("How far changes are known") as writing:
            writing.mark(_SEEN, number)
