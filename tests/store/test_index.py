"""What any index promises, and the one in SQLite."""

import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from dataset_mirror.errors import DataFolderError
from dataset_mirror.rules.conditions import Validators
from dataset_mirror.store.index import Index
from dataset_mirror.store.record import Record
from dataset_mirror.store.schema import VERSION
from tests.store import archive, record

FULL = record(
    of=archive("/sets/a%2Fb.zip", "v=1&w=?/x"),
    scheme="http",
    md5="0" * 32,
    validators=Validators('W/"x"', "Wed, 01 May 2024 10:00:00 GMT", True),
    fields=(("content-type", "application/zip"), ("x-note", "é"), ("x-note", "again")),
    source="catalog",
    checked=1234.5,
)


def publish(index: Index, *records: Record, used: float = 1.0) -> None:
    with index.transaction() as writing:
        for known in records:
            writing.publish(known, used)


class Interrupted(Exception):
    """Stands for any error inside a transaction."""


class IndexCompliance(ABC):
    """The promises of `Index`. A second engine runs them by a subclass that says how it is opened."""

    @abstractmethod
    def opened(self, folder: Path) -> Index:
        """The index of that folder; called again, the same one, as another process would open it."""

    @abstractmethod
    def usage(self, index: Index) -> dict[str, tuple[int, float]]:
        """Hits and time of the last use, by archive."""

    @pytest.fixture
    def index(self, tmp_path: Path) -> Iterator[Index]:
        index = self.opened(tmp_path)
        yield index
        index.close()

    def test_an_unknown_archive_is_not_found(self, index: Index) -> None:
        """Nothing is known of an archive that was never published."""
        assert index.find(archive()) is None
        assert index.versions(archive()) == []
        assert index.listed(archive()) is None
        assert index.users_of(record().sha256) == []
        assert index.counters() == {}

    @pytest.mark.parametrize("known", [record(b""), FULL], ids=["the least", "everything"])
    def test_a_record_comes_back_as_it_was(self, index: Index, known: Record) -> None:
        """Every fact of a record is kept."""
        publish(index, known)
        assert index.find(known.archive) == known
        assert index.versions(known.archive) == [known]
        assert index.users_of(known.sha256) == [known]

    def test_archives_differ_by_host_path_and_query(self, index: Index) -> None:
        """Each part of the identity makes another archive; equal bytes do not make two archives one."""
        names = [archive("/a"), archive("/a", "v=1"), archive("/A"), archive("/a/"), replace(archive("/a"), authority="b.example.org")]
        for number, name in enumerate(names):
            publish(index, record(of=name, fetched=float(number)))
        found = [index.find(name) for name in names]
        assert [known and (known.archive, known.fetched) for known in found] == [(name, float(n)) for n, name in enumerate(names)]

    def test_the_latest_fetched_version_is_current(self, index: Index) -> None:
        """A newer version replaces the current one; an older one that arrives late does not; all of them are kept."""
        old, new, late = (record(data, fetched=at) for data, at in ((b"old", 10.0), (b"newer", 30.0), (b"late", 20.0)))
        for known, current in ((old, old), (new, new), (late, new)):
            publish(index, known)
            assert index.find(archive()) == current
        assert index.versions(archive()) == [new, late, old]
        assert index.counters() == {"archives": 1, "archive_bytes": 5, "blob_bytes": 12}

    def test_versions_of_one_moment_have_an_order(self, index: Index) -> None:
        """Of two versions fetched at the same time the smaller digest is current, in whatever order they came."""
        first, second = sorted((record(b"x"), record(b"y")), key=lambda known: known.sha256)
        publish(index, second, first)
        assert index.find(archive()) == first
        publish(index, replace(second, checked=5.0))
        assert index.versions(archive()) == [first, replace(second, checked=5.0)]
        assert index.find(archive()) == first

    def test_the_same_bytes_once_more_are_what_the_later_fetching_knew(self, index: Index) -> None:
        """In whichever order they are published: the facts are those of the later fetching, and each time the later one."""
        publish(index, replace(FULL, fetched=10.0, checked=20.0))
        publish(index, replace(FULL, fetched=15.0, checked=5.0, validators=Validators('"other"'), fields=()))
        publish(index, replace(FULL, fetched=12.0, checked=6.0))
        assert index.find(FULL.archive) == replace(FULL, fetched=15.0, checked=20.0, validators=Validators('"other"'), fields=())
        assert len(index.versions(FULL.archive)) == 1
        assert index.counters() == {"archives": 1, "archive_bytes": FULL.size, "blob_bytes": FULL.size}

    def test_all_digests_come_in_order(self, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each digest comes once, in order, in however many steps; and those that several archives have are known."""
        monkeypatch.setattr("dataset_mirror.store.index._STEP", 3)
        known = [record(b"%d" % number, archive(f"/sets/{number}")) for number in range(7)]
        publish(index, *known, record(b"3", archive("/sets/other")))
        assert list(index.digests()) == sorted(each.sha256 for each in known)
        assert index.shared() == {known[3].sha256}

    def test_an_error_takes_everything_back(self, index: Index) -> None:
        """If anything fails inside a transaction nothing of it happened, and the next one works."""

        def interrupted() -> None:
            with index.transaction() as writing:
                writing.publish(record(), 1.0)
                writing.count("hits", 5)
                raise Interrupted

        with pytest.raises(Interrupted):
            interrupted()
        assert index.find(archive()) is None
        assert index.counters() == {}
        publish(index, record())
        assert index.find(archive()) == record()

    def test_nothing_is_seen_before_the_commit(self, index: Index, tmp_path: Path) -> None:
        """Others, in this process and in another one, see a transaction only once it is complete."""
        other = self.opened(tmp_path)
        with index.transaction() as writing:
            writing.publish(record(), 1.0)
            assert index.find(archive()) is None
            assert other.find(archive()) is None
        assert index.find(archive()) == record()
        assert other.find(archive()) == record()
        other.close()

    def test_what_was_committed_survives_a_restart(self, index: Index, tmp_path: Path) -> None:
        """Opening it again finds the same facts."""
        publish(index, FULL)
        again = self.opened(tmp_path)
        assert again.find(FULL.archive) == FULL
        assert again.counters() == index.counters()
        again.close()

    def test_uses_add_up(self, index: Index) -> None:
        """Hits of many archives are added at once, with the time of the last; unknown archives are passed over."""
        publish(index, record(of=archive("/a")), record(of=archive("/b")), used=1.0)
        for batch in ({archive("/a"): (2, 10.0)}, {archive("/a"): (3, 20.0), archive("/b"): (1, 15.0), archive("/never"): (9, 9.0)}, {}):
            with index.transaction() as writing:
                writing.use(batch)
        assert self.usage(index) == {"data.example.org/a": (5, 20.0), "data.example.org/b": (1, 15.0)}

    def test_publishing_again_keeps_the_hits(self, index: Index) -> None:
        """A new version of an archive does not forget how often it was asked for."""
        publish(index, record())
        with index.transaction() as writing:
            writing.use({archive(): (7, 70.0)})
        publish(index, record(b"new", fetched=2000.0), used=80.0)
        assert self.usage(index) == {str(archive()): (7, 70.0)}

    def test_totals_add_up(self, index: Index) -> None:
        """Counters grow by what is added, under names that need not be known before."""
        for more in (5, 0, -2):
            with index.transaction() as writing:
                writing.count("served", more)
                writing.count("nothing", 0)
        assert index.counters() == {"served": 3}

    def test_writers_wait_for_each_other(self, index: Index) -> None:
        """Transactions from many threads happen one after the other; none is lost."""

        def count(_: int) -> None:
            with index.transaction() as writing:
                writing.count("turns", 1)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(count, range(40)))
        assert index.counters() == {"turns": 40}

    def test_readers_do_not_wait_for_a_writer(self, index: Index) -> None:
        """A look-up during a write transaction answers at once with what was there before it."""
        publish(index, record())
        found: list[Record | None] = []
        with index.transaction() as writing:
            writing.publish(record(b"new", fetched=2000.0), 1.0)
            reader = threading.Thread(target=lambda: found.append(index.find(archive())))
            reader.start()
            reader.join(timeout=10)
            assert found == [record()]

    @settings(deadline=None, max_examples=30)
    @given(
        published=st.lists(
            st.builds(
                record,
                st.sampled_from([b"", b"a", b"bb", b"ccc"]),
                of=st.sampled_from([archive("/a"), archive("/b"), archive("/a", "v=1")]),
                fetched=st.integers(0, 9).map(float),
                checked=st.integers(0, 9).map(float),
            ),
            max_size=12,
        )
    )
    def test_any_order_of_publications_ends_the_same(self, tmp_path_factory: pytest.TempPathFactory, published: list[Record]) -> None:
        """The current version and the totals depend on what was published, never on the order."""
        index = self.opened(tmp_path_factory.mktemp("index"))
        for known in published:
            publish(index, known)
        names = {known.archive for known in published}
        size = 0
        for name in names:
            latest: dict[str, float] = {}
            for known in (known for known in published if known.archive == name):
                latest[known.sha256] = max(known.fetched, latest.get(known.sha256, 0.0))
            ordered = sorted(latest.items(), key=lambda item: (-item[1], item[0]))
            assert [(known.sha256, known.fetched) for known in index.versions(name)] == ordered
            current = index.find(name)
            assert current is not None
            assert (current.sha256, current.fetched) == ordered[0]
            size += current.size
        totals = index.counters()
        assert (totals.get("archives", 0), totals.get("archive_bytes", 0)) == (len(names), size)
        index.close()


class TestSqliteIndex(IndexCompliance):
    """One SQLite database in WAL mode."""

    def opened(self, folder: Path) -> Index:
        return Index(f"sqlite:///{folder / 'index.db'}")

    def usage(self, index: Index) -> dict[str, tuple[int, float]]:
        with index._engine.connect() as connection:
            rows = connection.exec_driver_sql("SELECT key, hits, used FROM archives ORDER BY key").all()
        return {key: (hits, used) for key, hits, used in rows}

    def test_the_database_is_durable(self, index: Index) -> None:
        """WAL, and a sync at each commit: what was answered is on the disk."""
        with index._engine.connect() as connection:
            pragmas = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("journal_mode", "synchronous", "user_version")
            }
        assert pragmas == {"journal_mode": "wal", "synchronous": 2, "user_version": VERSION}

    def test_a_look_up_uses_its_index(self, index: Index) -> None:
        """The point read of every request never scans the table."""
        with index._engine.connect() as connection:
            plans = [
                str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN SELECT * FROM {table} WHERE {column} = 'x'").one())
                for table, column in (("archives", "key"), ("archives", "sha256"), ("versions", "key"), ("versions", "sha256"))
            ]
        assert all("SEARCH" in plan and "USING" in plan for plan in plans), plans

    def test_a_transaction_holds_the_write_lock_from_its_beginning(self, index: Index, tmp_path: Path) -> None:
        """Even before its first write nobody else can write: what is read inside stays true until the commit."""
        with index.transaction():
            other = sqlite3.connect(tmp_path / "index.db", timeout=0, isolation_level=None)
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
            other.close()

    def test_another_schema_is_refused_and_untouched(self, tmp_path: Path) -> None:
        """A database of another version is left as it is, and the error names both versions."""
        path = tmp_path / "index.db"
        database = sqlite3.connect(path)
        database.executescript("PRAGMA journal_mode=WAL; CREATE TABLE later (a); PRAGMA user_version=99")
        database.close()
        before = path.read_bytes()
        with pytest.raises(DataFolderError, match=f"has schema 99; this program knows {VERSION}"):
            self.opened(tmp_path)
        assert path.read_bytes() == before

    @pytest.mark.parametrize("damage", [b"this is not a database" * 100, b"SQLite format 3\x00" + b"\xff" * 4096], ids=["text", "header"])
    def test_a_damaged_database_is_refused_in_one_sentence(self, tmp_path: Path, damage: bytes) -> None:
        """The error says that the archives are safe, and where."""
        (tmp_path / "index.db").write_bytes(damage)
        with pytest.raises(DataFolderError, match=r"cannot be opened: .*archives\.ndjson") as caught:
            self.opened(tmp_path)
        assert "\n" not in str(caught.value)

    def test_a_folder_that_is_not_there_is_refused(self, tmp_path: Path) -> None:
        """A database in a folder that does not exist is an error of the data folder, not a traceback."""
        with pytest.raises(DataFolderError, match="cannot be opened"):
            self.opened(tmp_path / "nowhere")

    def test_an_interrupted_creation_is_completed(self, index: Index, tmp_path: Path) -> None:
        """Tables that were made before a kill, without the version that ends their making, are used."""
        publish(index, record())
        index.close()
        database = sqlite3.connect(tmp_path / "index.db")
        database.executescript("DROP TABLE counters; PRAGMA user_version=0")
        database.close()
        again = self.opened(tmp_path)
        assert again.find(archive()) == record()
        assert again.counters() == {}
        again.close()

    def test_a_full_disk_takes_everything_back(self, index: Index) -> None:
        """If the database cannot grow nothing of the transaction happened, and what was there is still found."""
        publish(index, record())
        with index._engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        big = record(of=archive("/b"), fields=(("x", "y" * 1_000_000),))
        with pytest.raises(OperationalError, match="full"):
            publish(index, big)
        assert index.find(archive("/b")) is None
        assert index.find(archive()) == record()
