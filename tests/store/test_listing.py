"""Lists of archives: every order, every filter, page by page."""

import base64
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_mirror.errors import BadRequest
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.store import changes, paging
from dataset_mirror.store.index import Index
from dataset_mirror.store.listing import Listed, Order, Query, State
from dataset_mirror.store.sums import Held
from tests.store import record

HOSTS = ("a.example.org", "b.example.org")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """60 archives of two hosts, some with older versions; many share sizes and times."""
    index = Index(f"sqlite:///{tmp_path_factory.mktemp('index') / 'index.db'}")
    with index.transaction() as writing:
        for number in range(60):
            of = ArchiveId(HOSTS[number % 2], f"/sets/{number:02}.zip")
            source = "catalog" if number % 3 else "computed"
            if number % 10 == 0:
                writing.publish(record(b"old", of, fetched=1.0), used=1.0)
            writing.publish(record(b"x" * (number % 7 + 4), of, fetched=float(number % 5 + 10), source=source), used=float(number % 4))
    yield index
    index.close()


def value(line: Listed, order: Order) -> object:
    return {"name": str(line.record.archive), "used": line.used, "size": line.record.size, "fetched": line.record.fetched}[order]


@settings(deadline=None, max_examples=30)
@given(
    order=st.sampled_from(["name", "used", "size", "fetched"]),
    descending=st.booleans(),
    origin=st.sampled_from([None, *HOSTS, "c.example.org"]),
    state=st.sampled_from([None, "verified", "computed", "changed"]),
    limit=st.integers(1, 70),
)
def test_pages_make_up_the_list(index: Index, order: Order, descending: bool, origin: str | None, state: State | None, limit: int) -> None:
    """Whatever the order, the filters and the size of a page: each fitting archive comes once, in order."""
    found = list(index.every(Query(order, descending, origin, state, limit=limit)))
    values = [value(line, order) for line in found]
    assert values == sorted(values, reverse=descending)  # type: ignore[type-var]
    everything = list(index.every(Query()))
    fitting = {line.record.url for line in everything if origin in (None, line.record.archive.authority) and state in (None, line.state)}
    assert len(found) == len(fitting)
    assert {line.record.url for line in found} == fitting


@settings(deadline=None, max_examples=40)
@given(
    order=st.sampled_from(["name", "used", "size", "fetched"]),
    descending=st.booleans(),
    search=st.sampled_from(["", "SETS/1", "a.exam", "zip", "3", "%", "nothing"]),
    named=st.sampled_from([(), (f"{HOSTS[0]}/sets/04.zip", f"{HOSTS[1]}/sets/31.zip", f"{HOSTS[0]}/absent")]),
    used_before=st.sampled_from([None, 0.0, 2.0, 9.0]),
    origin=st.sampled_from([None, HOSTS[0]]),
    limits=st.tuples(st.integers(1, 70), st.sampled_from([1, 5, 1000]), st.sampled_from([1, 7, 1000])),
)
def test_searches(
    index: Index,
    order: Order,
    descending: bool,
    search: str,
    named: tuple[str, ...],
    used_before: float | None,
    origin: str | None,
    limits: tuple[int, int, int],
) -> None:
    """What has a text in it or is known by such a name, and was not used since: each once and in order, however few are read at once."""
    limit, few, window = limits
    with patch.object(paging, "FEW", few), patch.object(paging, "WINDOW", window):
        query = Query(order, descending, origin, limit=limit, search=search, used_before=used_before, named=named)
        found = list(index.every(query))
    values = [value(line, order) for line in found]
    assert values == sorted(values, reverse=descending)  # type: ignore[type-var]
    fitting = [
        str(line.record.archive)
        for line in index.every(Query())
        if (search.lower() in str(line.record.archive) or str(line.record.archive) in named)
        and (used_before is None or line.used < used_before)
        and origin in (None, line.record.archive.authority)
    ]
    assert sorted(str(line.record.archive) for line in found) == fitting


def test_a_page_reads_so_many_rows(index: Index) -> None:
    """A page that is not full after so many rows ends there, and the next one goes on."""
    with patch.object(paging, "FEW", 1), patch.object(paging, "WINDOW", 10):
        first = index.page(Query("used", search="sets/5", limit=5))
        assert len(first.archives) < 5
        assert first.next
        assert len(list(index.every(Query("used", search="sets/5", limit=5)))) == 10


def test_unused(index: Index) -> None:
    """Number and bytes of what was not used since then, and the largest of it."""
    lines = [line for line in index.every(Query()) if line.used < 2.0]
    held, largest = index.unused(2.0, 4)
    assert held == Held(len(lines), sum(line.record.size for line in lines))
    assert [line.record.size for line in largest] == sorted((line.record.size for line in lines), reverse=True)[:4]
    assert all(line.used < 2.0 for line in largest)
    assert index.unused(0.0, 4) == (Held(), [])


def test_states(index: Index) -> None:
    """An archive with older versions is changed; else it is verified if the catalog knew its digest, else computed."""
    states = {line.record.archive.path: line.state for line in index.every(Query())}
    assert [states[f"/sets/{number:02}.zip"] for number in (0, 1, 3, 10)] == ["changed", "verified", "computed", "changed"]


def test_a_prefix_of_names(index: Index) -> None:
    """The beginning of HOST/PATH filters a list by name, and only that one."""
    found = [line.record.archive.path for line in index.every(Query(prefix="a.example.org/sets/1"))]
    assert found == [f"/sets/{number}.zip" for number in (10, 12, 14, 16, 18)]
    with pytest.raises(BadRequest, match="sorted by name"):
        Query("size", prefix="a")


@pytest.mark.parametrize("cursor", ["", "x", "bm9uc2Vuc2U", "WzFd", "e30", "W251bGwsMV0"])
def test_a_cursor_that_is_none(index: Index, cursor: str) -> None:
    """A cursor of another list, or of nobody's, is said to be wrong."""
    with pytest.raises(BadRequest, match="not a cursor"):
        index.page(Query("size", after=cursor))


@pytest.mark.parametrize(
    "place", [f"[{10**30},1]", "[1e999,1]", "[NaN,1]", "[true,1]", '["\\ud800"]', "[" * 5000], ids=lambda place: place[:9]
)
def test_a_cursor_that_no_database_takes(index: Index, place: str) -> None:
    """Numbers that are too large or none, half characters and what is nested deeply are said to be wrong, whatever list is asked for."""
    cursor = base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")
    for page in (
        lambda: index.page(Query("size", after=cursor)),
        lambda: index.page(Query("name", after=cursor)),
        lambda: index.look(lambda connection: changes.page(connection, 10, cursor)),
        lambda: index.wanted(10, cursor),
    ):
        with pytest.raises(BadRequest, match="not a cursor"):
            page()


def test_a_cursor_outlives_changes(tmp_path: Path) -> None:
    """What goes between two pages does not make the next one skip or repeat anything."""
    index = Index(f"sqlite:///{tmp_path / 'index.db'}")
    names = [ArchiveId(HOSTS[0], f"/{number}") for number in range(6)]
    with index.transaction() as writing:
        for number, name in enumerate(names):
            writing.publish(record(str(number).encode(), name), used=float(number))
    first = index.page(Query("used", limit=3))
    with index.transaction() as writing:
        writing.forget(names[0])
        writing.forget(names[2])
    second = index.page(Query("used", limit=3, after=first.next))
    assert [line.record.archive for line in second.archives] == names[3:]
    assert second.next is None
    index.close()


@pytest.mark.parametrize("order", ["name", "used", "size", "fetched"])
@pytest.mark.parametrize("filters", [{}, {"origin": HOSTS[0]}, {"state": "verified"}], ids=str)
def test_no_page_is_sorted(index: Index, order: Order, filters: dict[str, str]) -> None:
    """Every order has an index for every filter: the database never sorts, so a page costs the same in a list of a million."""
    from sqlalchemy.dialects import sqlite

    from dataset_mirror.store.listing import statement

    compiled = statement(Query(order, True, **filters)).compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})  # type: ignore[arg-type]
    with index._engine.connect() as connection:
        plan = " ".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}"))
    assert "TEMP B-TREE" not in plan
    assert "USING" in plan
