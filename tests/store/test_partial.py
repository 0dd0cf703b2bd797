"""The file of a fill: written anywhere, read anywhere, and honest about what is in it."""

import errno
import resource
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_mirror.store.partial import PartialFile


@pytest.fixture
def partial(tmp_path: Path) -> Iterator[PartialFile]:
    file = PartialFile(tmp_path / "1-1")
    yield file
    file.close()


def test_pieces_in_any_order_make_the_whole(partial: PartialFile) -> None:
    """Bytes land where they belong, and the prefix is what is there without a gap from the beginning."""
    partial.write(6, b"world")
    assert (partial.prefix, list(partial.have)) == (0, [(6, 11)])
    partial.write(0, b"hello")
    assert partial.prefix == 5
    partial.write(5, b" ")
    assert partial.prefix == 11
    assert partial.path.read_bytes() == b"hello world"


def test_reading_stops_at_the_end_of_the_file(partial: PartialFile) -> None:
    """A read gives as many bytes as there are, none behind the end."""
    partial.write(0, b"hello")
    assert [partial.read(0, 3), partial.read(3, 100), partial.read(5, 1), partial.read(99, 1)] == [b"hel", b"lo", b"", b""]


def test_writing_nothing_changes_nothing(partial: PartialFile) -> None:
    """An empty piece is no piece."""
    partial.write(5, b"")
    assert list(partial.have) == []
    assert partial.path.stat().st_size == 0


def test_a_file_is_never_shared_by_two_fills(partial: PartialFile) -> None:
    """The name of another fill's file is refused, its bytes stay."""
    partial.write(0, b"hello")
    with pytest.raises(FileExistsError):
        PartialFile(partial.path)
    assert partial.read(0, 5) == b"hello"


def test_a_reader_outlives_the_fill(partial: PartialFile) -> None:
    """A duplicate can still be read after the fill has closed and removed its file."""
    partial.write(0, b"hello")
    with partial.duplicate() as reader:
        partial.discard()
        assert not partial.path.exists()
        assert reader.read(5) == b"hello"


def test_a_reader_that_seeks_does_not_move_the_writer(partial: PartialFile) -> None:
    """Positions are never used: what somebody does with a duplicate does not change where bytes land."""
    partial.write(0, b"hello")
    with partial.duplicate() as reader:
        reader.seek(3)
        partial.write(5, b" world")
        assert partial.read(0, 11) == b"hello world"


def test_closing_and_discarding_twice_is_harmless(partial: PartialFile) -> None:
    """close() and discard() may be called again, in any order."""
    partial.close()
    partial.close()
    assert partial.path.exists()
    partial.discard()
    partial.discard()
    assert not partial.path.exists()


def test_a_full_disk_leaves_only_what_got_there(partial: PartialFile) -> None:
    """If the system takes only a part of a piece, that part is recorded, no more, and the error comes out."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            partial.write(999_990, b"0123456789abc")
        partial.write(0, b"the beginning still fits")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.errno == errno.EFBIG
    assert list(partial.have) == [(0, 24), (999_990, 1_000_000)]
    assert partial.read(999_990, 100) == b"0123456789"


@settings(deadline=None, max_examples=50)
@given(data=st.binary(min_size=1, max_size=200), cuts=st.sets(st.integers(1, 199), max_size=8), order=st.randoms(use_true_random=False))
def test_any_cut_in_any_order_gives_the_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes, cuts: set[int], order: Random) -> None:
    """However the bytes are cut and in whatever order the pieces arrive, the file is the archive."""
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    pieces = [(start, data[start:end]) for start, end in pairwise(edges)]
    order.shuffle(pieces)
    partial = PartialFile(tmp_path_factory.mktemp("partial") / "1")
    for start, piece in pieces:
        partial.write(start, piece)
    partial.sync()
    assert (partial.prefix, partial.path.read_bytes()) == (len(data), data)
    partial.discard()
