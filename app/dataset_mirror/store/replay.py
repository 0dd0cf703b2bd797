"""Publications and removals of a journal on their way into the versions: many at once, as if one after the other."""

from sqlalchemy import Connection, bindparam, insert, select
from sqlalchemy.dialects.sqlite import dialect
from sqlalchemy.dialects.sqlite import insert as upsert

from dataset_mirror.store.journal import Removal
from dataset_mirror.store.record import Record
from dataset_mirror.store.rows import record_of, values_of
from dataset_mirror.store.schema import versions

SIZE = 10_000
"""Lines that are written together."""
FACTS = [column for column in versions.c if column.name != "id"]
"""What is known of a version."""

_Bytes = tuple[str, str]
"""An archive's key and the digest of one of its versions."""
# As the driver takes it: to prepare a million rows takes SQLAlchemy as long as SQLite to insert them.
_ADD = str(insert(versions).compile(dialect=dialect(paramstyle="named"), column_keys=[column.name for column in FACTS]))
_REMOVE = "DELETE FROM versions WHERE key = :key"
_VERSION = select(versions).where(versions.c.key == bindparam("at"), versions.c.sha256 == bindparam("bytes"))


class Batch:
    """Of bytes that come twice the facts are `united`, as `Writing.publish` does it.

    Nearly all come once, so most lines cost no look-up: which did is known by the hashes of all that came.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._came: set[int] = set()
        self._new: dict[_Bytes, Record] = {}
        self._again: dict[_Bytes, Record] = {}
        self._of: dict[str, set[str]] = {}
        """Digests of what is in either, by key."""
        self._gone: set[tuple[str, str | None]] = set()
        """What is to be removed of what was written before; without a digest all of a key."""

    def add(self, record: Record) -> None:
        """Something was published."""
        same = key, sha256 = str(record.archive), record.sha256
        if same in self._new:
            self._new[same] = self._new[same].united(record)
        elif same in self._again:
            self._again[same] = self._again[same].united(record)
        elif hash(same) in self._came and not self._gone & {same, (key, None)}:
            self._again[same] = self._united_with_stored(same, record)
        else:
            self._came.add(hash(same))
            self._new[same] = record
        self._of.setdefault(key, set()).add(sha256)

    def _united_with_stored(self, same: _Bytes, record: Record) -> Record:
        row = self._connection.execute(_VERSION, dict(zip(("at", "bytes"), same, strict=True))).mappings().first()
        return record_of(row).united(record) if row else record

    def remove(self, removal: Removal) -> None:
        """An archive was removed, or one version of it."""
        key = str(removal.archive)
        for sha256 in self._of.get(key, ()) if removal.sha256 is None else (removal.sha256,):
            self._new.pop((key, sha256), None)
            self._again.pop((key, sha256), None)
        self._gone.add((key, removal.sha256))

    @property
    def is_full(self) -> bool:
        return len(self._new) + len(self._again) + len(self._gone) >= SIZE

    def write(self) -> None:
        """Into the table with it: first what was removed, since none of what is still here was."""
        wholly = [{"key": key} for key, sha256 in self._gone if sha256 is None]
        partly = [{"key": key, "sha256": sha256} for key, sha256 in self._gone if sha256 is not None]
        for statement, rows in (
            (_REMOVE, wholly),
            (f"{_REMOVE} AND sha256 = :sha256", partly),
            (_ADD, [values_of(record) for record in self._new.values()]),
        ):
            if rows:
                self._connection.exec_driver_sql(statement, rows)
        for record in self._again.values():
            put = upsert(versions).values(**values_of(record))
            self._connection.execute(put.on_conflict_do_update(["key", "sha256"], set_=values_of(record)))
        for each in (self._new, self._again, self._of, self._gone):
            each.clear()
