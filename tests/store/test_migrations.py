"""An index of an earlier schema is brought to the present one, with everything that it knew."""

import sqlite3
from pathlib import Path

from dataset_mirror.store import changes, history, sums
from dataset_mirror.store.history import Counts
from dataset_mirror.store.index import Index
from dataset_mirror.store.listing import Query
from dataset_mirror.store.schema import VERSION
from dataset_mirror.store.wanted import Wanted
from tests.store import archive, record

_NEW = ("private", "state")


def to_version_5(path: Path) -> None:
    """Takes away what version 6 added."""
    database = sqlite3.connect(path)
    for table in ("kept", "history", "changes"):
        database.execute(f"DROP TABLE {table}")
    database.execute("DROP INDEX archives_by_age")
    database.execute("DROP INDEX versions_by_blob")
    database.execute("CREATE INDEX versions_by_blob ON versions (sha256)")
    database.execute("PRAGMA user_version=5")
    database.commit()
    database.close()


def to_version_2(path: Path) -> None:
    """Takes away what version 3 and later ones added."""
    to_version_5(path)
    database = sqlite3.connect(path)
    for table in ("archives", "versions"):
        database.execute(f"ALTER TABLE {table} DROP COLUMN restricted")
    database.execute("DROP TABLE wanted")
    database.execute("PRAGMA user_version=2")
    database.commit()
    database.close()


def to_version_1(path: Path) -> None:
    """Takes away what version 2 added, and version 3."""
    to_version_2(path)
    database = sqlite3.connect(path)
    for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE 'archives_by_%'").fetchall():
        if name.startswith(("archives_by_state", "archives_by_origin_")):
            database.execute(f"DROP INDEX {name}")
    for table, column in (("archives", "private"), ("versions", "private"), ("archives", "state")):
        database.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    database.execute("DELETE FROM counters WHERE name = 'blob_bytes'")
    database.execute("PRAGMA user_version=1")
    database.commit()
    database.close()


def test_from_version_1(tmp_path: Path) -> None:
    """Archives, states, totals and lists are as if the present version had written them."""
    path = tmp_path / "index.db"
    index = Index(f"sqlite:///{path}")
    with index.transaction() as writing:
        writing.publish(record(b"old", archive("/a"), 1.0), 1.0)
        writing.publish(record(b"new", archive("/a"), 2.0), 1.0)
        writing.publish(record(b"new", archive("/b"), 2.0, source="catalog"), 3.0)
        writing.publish(record(b"other", archive("/c"), 2.0), 2.0)
    before = (list(index.every(Query("used"))), index.counters())
    index.close()
    to_version_1(path)
    again = Index(f"sqlite:///{path}")
    assert (list(again.every(Query("used"))), again.counters()) == before
    with again._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA user_version").scalar_one() == VERSION
        names = {row[0] for row in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'index'")}
    again.close()
    fresh = Index(f"sqlite:///{tmp_path / 'fresh.db'}")
    with fresh._engine.connect() as connection:
        assert {row[0] for row in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'index'")} == names
    fresh.close()


def test_from_version_5(tmp_path: Path) -> None:
    """The sums are those of what is there, and history and log of changes begin."""
    path = tmp_path / "index.db"
    index = Index(f"sqlite:///{path}")
    with index.transaction() as writing:
        writing.publish(record(b"old", archive("/a"), 1.0), 1.0)
        writing.publish(record(b"new", archive("/a"), 2.0), 1.0)
        writing.publish(record(b"new", archive("/b"), 2.0), 3.0)
    before = index.look(sums.by_origin)
    index.close()
    to_version_5(path)
    again = Index(f"sqlite:///{path}")
    assert again.look(sums.by_origin) == before == {archive("/a").authority: sums.Held(2, 6)}
    with again.transaction() as writing:
        history.add(writing.connection, {("all", ""): Counts(hits=1)}, 1.0)
    assert again.look(changes.latest) == 0
    again.close()


def test_from_version_2(tmp_path: Path) -> None:
    """The wanted list comes, empty, and can be written; everything else stays."""
    path = tmp_path / "index.db"
    index = Index(f"sqlite:///{path}")
    with index.transaction() as writing:
        writing.publish(record(b"old", archive("/a"), 1.0), 1.0)
    index.close()
    to_version_2(path)
    again = Index(f"sqlite:///{path}")
    assert again.find(archive("/a")) is not None
    assert again.all_wanted() == []
    with again.transaction() as writing:
        writing.want([Wanted(archive("/b"), 1, 2.0, 2.0)])
    assert again.number_wanted() == 1
    again.close()
