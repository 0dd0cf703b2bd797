"""What fills leave for the next run: whole pairs of file and journal are found again, anything else goes, nothing makes it fail."""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_mirror.origins.identity import parse_url
from dataset_mirror.rules.conditions import Validators
from dataset_mirror.store.partial import journal_of
from dataset_mirror.store.resumable import KEPT_SECONDS, Leftover, Leftovers
from dataset_mirror.store.store import Store

URL = "http://data.example.org/sets/a.zip?v=1"
VALIDATORS = Validators('"v1"', "Mon, 02 Jan 2023 03:04:05 GMT", True)
HAVE = ((0, 5), (6, 11))


def left(folder: Path, name: str = "1-1", data: bytes = b"hello world", **facts: Any) -> Leftover:
    """A partial file and its journal, as a fill leaves them."""
    known: dict[str, Any] = {
        "url": URL,
        "archive": parse_url(URL),
        "length": 100,
        "upstream": "http://127.0.0.1:9000",
        "validators": VALIDATORS,
        "fields": (("content-type", "application/zip"), ("x-note", "é")),
        "have": HAVE,
        "private": True,
    }
    (folder / name).write_bytes(data)
    leftover = Leftover(folder / name, **known | facts)
    leftover.save()
    return leftover


def found(folder: Path) -> list[Leftover]:
    leftovers = Leftovers(folder)
    leftovers.find(clean=True)
    return list(leftovers)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    yield store
    store.close()


# What is found


def test_a_pair_is_found_as_it_was_left(tmp_path: Path) -> None:
    """All that was known of the fill is known again, and both files stay."""
    leftover = left(tmp_path)
    assert found(tmp_path) == [leftover]
    assert leftover.total == 10
    assert names(tmp_path) == ["1-1", "1-1.json"]


def test_a_later_journal_takes_the_place_of_the_former(tmp_path: Path) -> None:
    """Each save replaces the whole journal, and leaves no other file."""
    leftover = replace(left(tmp_path), have=((0, 11),))
    leftover.save()
    assert found(tmp_path) == [leftover]
    assert names(tmp_path) == ["1-1", "1-1.json"]


def test_of_two_of_an_archive_the_larger_counts(tmp_path: Path) -> None:
    """The other one is removed."""
    left(tmp_path, "1-1", have=((0, 3),))
    larger = left(tmp_path, "1-2")
    left(tmp_path, "1-3", have=((0, 4),))
    assert found(tmp_path) == [larger]
    assert names(tmp_path) == ["1-2", "1-2.json"]


def test_an_old_one_goes(tmp_path: Path) -> None:
    """After a week nobody is expected to ask for it any more."""
    old = time.time() - KEPT_SECONDS - 60
    os.utime(journal_of(left(tmp_path).path), (old, old))
    assert found(tmp_path) == []
    assert names(tmp_path) == []


def changed(**facts: object) -> Callable[[Path], object]:
    """Spoils a journal: other values of these keys."""

    def spoil(journal: Path) -> None:
        journal.write_text(json.dumps(json.loads(journal.read_bytes()) | facts))

    return spoil


def written(data: bytes) -> Callable[[Path], object]:
    """Spoils a journal: these bytes instead."""
    return lambda journal: journal.write_bytes(data)


SPOILT: dict[str, Callable[[Path], object]] = {
    "empty": written(b""),
    "torn": lambda journal: journal.write_bytes(journal.read_bytes()[:-30]),
    "not UTF-8": written(b"\xff\xfe\x00"),
    "deep": written(b"[" * 100_000),
    "a list": written(b"[1, 2]"),
    "a string": written(b'"url"'),
    "null": written(b"null"),
    "without keys": written(b"{}"),
    "gone": lambda journal: journal.unlink(),
    "no URL": changed(url="ftp://x/"),
    "URL of the wrong type": changed(url=5),
    "negative": changed(have=[[-1, 5]]),
    "beyond the file": changed(have=[[0, 12]]),
    "empty interval": changed(have=[[3, 3]]),
    "backwards": changed(have=[[5, 3]]),
    "out of order": changed(have=[[6, 11], [0, 5]]),
    "overlapping": changed(have=[[0, 7], [6, 11]]),
    "fractions": changed(have=[[0.0, 5.0]]),
    "truth for a number": changed(have=[[False, True]]),
    "no intervals": changed(have=[]),
    "odd intervals": changed(have=[[1], [2, 3, 4]]),
    "shorter than the file": changed(length=10),
    "length of the wrong type": changed(length="100"),
    "no length": changed(length=None),
    "no validator": changed(etag=None, last_modified=None),
    "weak validators": changed(etag='W/"1"', date_is_strong=False),
    "validator of the wrong type": changed(etag=["x"]),
    "fields of the wrong type": changed(fields={"a": 1}),
    "a field of the wrong type": changed(fields=[["a", 1]]),
    "private of the wrong type": changed(private="no"),
    "upstream of the wrong type": changed(upstream=None),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_wrong_journal_goes_with_its_file(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    """A journal that is not whole, or cannot be true of its file, is no reason to fail, and none to go on."""
    spoil(journal_of(left(tmp_path).path))
    good = left(tmp_path, "1-2", archive=parse_url("http://data.example.org/other"), url="http://data.example.org/other")
    assert found(tmp_path) == [good]
    assert names(tmp_path) == ["1-2", "1-2.json"]


@settings(deadline=None, max_examples=100)
@given(data=st.binary(max_size=300))
def test_any_bytes_for_a_journal_are_harmless(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Whatever is in the journal, the folder is clean afterwards."""
    folder = tmp_path_factory.mktemp("partial")
    written(data)(journal_of(left(folder).path))
    assert found(folder) == []
    assert names(folder) == []


@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_any_json_for_a_value_is_harmless(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Whatever a value of the journal is, what is found says what the journal says, or nothing is found."""
    folder = tmp_path_factory.mktemp("partial")
    journal = journal_of(left(folder).path)
    value = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3))
    changed(**{data.draw(st.sampled_from(sorted(json.loads(journal.read_bytes())))): data.draw(value)})(journal)
    for each in found(folder):
        assert all(0 <= start < end <= 11 for start, end in each.have)
        assert each.length >= 11


def test_whatever_else_is_there_goes(tmp_path: Path) -> None:
    """Files without a journal, journals without a file, torn ones, links and folders are removed; what links lead to is not."""
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "partial"
    elsewhere.mkdir()
    folder.mkdir()
    (elsewhere / "mine").write_bytes(b"hello world")
    good = left(folder)
    left(folder, "1-2").path.unlink()
    (folder / "1-3").write_bytes(b"no journal")
    (folder / "1-4.fresh").write_bytes(b'{"url": "http')
    (folder / "a folder").mkdir()
    (folder / "a folder" / "1-5").write_bytes(b"x")
    (folder / "link").symlink_to(elsewhere)
    left(folder, "1-6").path.unlink()
    (folder / "1-6").symlink_to(elsewhere / "mine")
    assert found(folder) == [good]
    assert names(folder) == ["1-1", "1-1.json"]
    assert names(elsewhere) == ["mine"]


def test_a_look_removes_nothing(tmp_path: Path) -> None:
    """Who only looks finds what is there, and leaves all of it."""
    leftover = left(tmp_path)
    (tmp_path / "1-2").write_bytes(b"no journal")
    leftovers = Leftovers(tmp_path)
    leftovers.find(clean=False)
    assert list(leftovers) == [leftover]
    assert names(tmp_path) == ["1-1", "1-1.json", "1-2"]


# What becomes of it


def test_the_start_of_a_store_finds_it(store: Store) -> None:
    """Who locks the folder has the leftovers; the names of new partial files are others."""
    leftover = left(store.folder.partial, f"{os.getpid()}-1")
    store.lock()
    assert store.leftovers.get(leftover.archive) == leftover
    store.new_partial().discard()
    assert names(store.folder.partial) == [leftover.path.name, f"{leftover.path.name}.json"]


def test_it_is_taken_once(store: Store) -> None:
    """The fill that takes it has its bytes; the next one finds nothing."""
    leftover = left(store.folder.partial)
    store.lock()
    partial = store.leftovers.take(leftover)
    assert partial is not None
    assert (tuple(partial.have), partial.prefix, partial.read(6, 5)) == (HAVE, 5, b"world")
    assert (store.leftovers.get(leftover.archive), store.leftovers.take(leftover)) == (None, None)
    partial.write(5, b" ")
    assert partial.prefix == 11
    partial.discard()
    assert names(store.folder.partial) == []


def test_what_is_given_back_waits_on(store: Store) -> None:
    """A fill that cannot go on yet leaves it to the next."""
    leftover = left(store.folder.partial)
    store.lock()
    partial = store.leftovers.take(leftover)
    assert partial is not None
    partial.close()
    store.leftovers.give_back(leftover)
    assert store.leftovers.get(leftover.archive) == leftover


def test_what_is_dropped_goes_once(store: Store) -> None:
    """Its bytes are freed, and told; what a fill has taken is not touched."""
    leftover = left(store.folder.partial)
    store.lock()
    assert (store.leftovers.drop(leftover), store.leftovers.drop(leftover)) == (11, 0)
    assert names(store.folder.partial) == []


def test_a_file_that_has_gone_is_not_taken(store: Store) -> None:
    """Somebody removed it by hand: then there is nothing to go on with."""
    leftover = left(store.folder.partial)
    store.lock()
    leftover.path.unlink()
    assert store.leftovers.take(leftover) is None
