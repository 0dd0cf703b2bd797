"""Verified bytes of a bundle become archives of the store, and how that ended for each: a full disk costs no more than it must."""

import errno
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial as call
from threading import Lock
from typing import Literal

from sqlalchemy.exc import DatabaseError

from dataset_mirror.airgap.bundle.judging import LineJudge
from dataset_mirror.errors import BundleError, DataFolderError, MirrorError
from dataset_mirror.store.digests import Hashing
from dataset_mirror.store.partial import PartialFile
from dataset_mirror.store.record import Record
from dataset_mirror.store.space import Reservation
from dataset_mirror.store.store import Store

AT_ONCE = 500
"""Archives that are written together: a kill in between costs no more than these, and others wait for the index no longer."""

FAILS = (MirrorError, OSError, DatabaseError)
"""What may come of the store and its disk."""


@dataclass(frozen=True, slots=True)
class Taken:
    """How it ended for one archive, or for a part of the bundle that is none: `what` is a URL or a name, `size` in bytes."""

    what: str
    state: Literal["imported", "present", "failed"]
    size: int = 0
    error: MirrorError | None = None


class Publisher:
    """Publishes what was verified, from several threads, one after the other."""

    def __init__(self, store: Store, judge: LineJudge) -> None:
        self._store, self._judge = store, judge
        self._one_by_one = Lock()

    def settle(self, partial: PartialFile, copied: Hashing, room: Reservation, records: list[Record]) -> list[Taken]:
        """Publishes verified bytes as all of their archives, in a thread for that."""
        try:
            partial.sync()
            with self._one_by_one:
                return list(self._published(records, copied, partial))
        except OSError as error:
            return list(self.failed(records, error))
        finally:
            partial.discard()
            room.release()

    def _published(self, records: Sequence[Record], copied: Hashing, partial: PartialFile) -> Iterator[Taken]:
        """The first archive that the bytes are takes them along; the others, which may be many, are added to it in batches."""
        settled = []
        for record in records:
            try:
                settled.append(self._judge.settled(record, copied.digests.md5))
            except MirrorError as error:
                yield Taken(record.url, "failed", error=error)
        for first in settled[:1]:
            yield from self._written([first], call(self._publish, partial, first))
        yield from self.added(settled[1:])

    def _publish(self, partial: PartialFile, record: Record) -> bool:
        self._store.publish(partial.path, record)
        return True

    def added(self, records: Sequence[Record]) -> Iterator[Taken]:
        """Archives whose bytes are here, added in batches."""
        for start in range(0, len(records), AT_ONCE):
            some = records[start : start + AT_ONCE]
            yield from self._written(some, call(self._store.also_all, some))

    def _written(self, records: Sequence[Record], write: Callable[[], bool]) -> list[Taken]:
        """How it ended for archives that are written together."""
        try:
            if write():
                return [Taken(record.url, "imported", record.size) for record in records]
            return [Taken(record.url, "failed", error=_gone(record)) for record in records]
        except FAILS as error:
            return list(self.failed(records, error))

    def failed(self, records: Iterable[Record], error: MirrorError | OSError | DatabaseError) -> Iterator[Taken]:
        """The same end for all of them."""
        for record in records:
            yield Taken(record.url, "failed", error=self.why(error, record.url, record.size))

    def why(self, error: MirrorError | OSError | DatabaseError, what: str, size: int = 0) -> MirrorError:
        """The error as people read it: `what`, of `size` bytes, could not be written."""
        if isinstance(error, MirrorError):
            return error
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return self._store.space.full(size, what)
        why = error.strerror if isinstance(error, OSError) else error.orig
        return DataFolderError(f"{what} could not be written: {why}.", "Look at the disk of the data folder.")


def _gone(record: Record) -> BundleError:
    return BundleError(f"The bytes of {record.url} were removed here in the meantime.", "Import the bundle again.")
