"""Room on the disk, accounted before it is used."""

from pathlib import Path

import pytest

from dataset_mirror.errors import StoreFull
from dataset_mirror.store.space import Reservation, Space

FREE = 1000


def reserve(space: Space, size: int, what: str) -> Reservation:
    reservation = Reservation(what, space)
    reservation.grow(size)
    return reservation


class Disk(Space):
    """A disk with FREE bytes; how many are really free changes while tests run. `blobs` are the bytes that are kept."""

    blobs = 0

    def __init__(self, folder: Path, min_free: int, max_size: int | None = None) -> None:
        super().__init__(folder, min_free, max_size, lambda: self.blobs)

    def reserve(self, size: int, what: str) -> Reservation:
        return reserve(self, size, what)

    @property
    def free(self) -> int:
        return FREE


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path, min_free=100)


def test_figures_while_fills_begin(tmp_path: Path) -> None:
    """Another thread reads the figures while fills come and go."""
    space = Disk(tmp_path, min_free=0, max_size=10**9)

    class Beginning(Reservation):
        @property
        def left(self) -> int:
            space.hold(Reservation("another", space))
            return 1

        @left.setter
        def left(self, _: int) -> None: ...

    space.hold(Beginning("one", space))
    assert space.promised == 1


def test_what_is_free_is_what_the_system_says(tmp_path: Path) -> None:
    """The real disk has some bytes free, and a real reservation of a few of them succeeds."""
    space = Space(tmp_path, 0, None, lambda: 0)
    assert space.free > 0
    reserve(space, 1, "a").release()


def test_more_than_the_disk_has_is_refused(tmp_path: Path) -> None:
    """No real disk has room for 2^62 bytes."""
    with pytest.raises(StoreFull):
        reserve(Space(tmp_path, 0, None, lambda: 0), 2**62, "a")


@pytest.mark.parametrize(("size", "fits"), [(0, True), (900, True), (901, False), (1000, False)])
def test_min_free_stays_free(disk: Disk, size: int, fits: bool) -> None:
    """All but `min_free` bytes can be reserved, to the byte."""
    if fits:
        assert disk.reserve(size, "a").left == size
    else:
        with pytest.raises(StoreFull):
            disk.reserve(size, "a")


def test_promises_count(disk: Disk) -> None:
    """What other downloads will still write cannot be promised again."""
    disk.reserve(600, "a")
    disk.reserve(300, "b")
    with pytest.raises(StoreFull):
        disk.reserve(1, "c")


def test_a_refusal_gives_the_figures(disk: Disk) -> None:
    """The 507 says what is needed, free, promised and to stay free, and what to do."""
    disk.reserve(600, "a")
    with pytest.raises(StoreFull) as caught:
        disk.reserve(1_234, "https://data.example.org/b.zip")
    assert caught.value.detail == (
        "https://data.example.org/b.zip needs 1,234 bytes more, but the disk has 1,000 free, 600 of them promised to other downloads, "
        "100 are to stay free (min_free)."
    )
    assert "dataset-mirror gc --dry-run" in caught.value.hint
    assert (caught.value.status, caught.value.facts) == (507, {"needed": 1_234, "free": FREE, "missing": 934})


def test_a_refused_reservation_holds_nothing(disk: Disk) -> None:
    """After a refusal there is as much room as before it."""
    with pytest.raises(StoreFull):
        disk.reserve(901, "a")
    disk.reserve(900, "b")


def test_a_released_reservation_makes_room(disk: Disk) -> None:
    """Released bytes can be reserved again; releasing twice gives them back once."""
    first = disk.reserve(900, "a")
    first.release()
    first.release()
    disk.reserve(900, "b")
    with pytest.raises(StoreFull):
        disk.reserve(1, "c")


def test_written_bytes_are_no_longer_promised(disk: Disk) -> None:
    """What is on the disk is counted by the system, so it is taken off the promise; never below zero."""
    reservation = disk.reserve(500, "a")
    reservation.written(200)
    assert reservation.left == 300
    disk.reserve(600, "b")
    reservation.written(9999)
    assert reservation.left == 0


def test_a_reservation_grows_while_there_is_room(disk: Disk) -> None:
    """A fill of unknown length reserves in steps; a step that does not fit leaves the ones before it."""
    reservation = disk.reserve(400, "a")
    reservation.grow(500)
    assert reservation.left == 900
    with pytest.raises(StoreFull, match=r"^a needs 1 byte more"):
        reservation.grow(1)
    assert reservation.left == 900


def test_max_size_counts_blobs_and_what_grows(tmp_path: Path) -> None:
    """Kept blobs and whole downloads under way stay within `max_size` together, whatever of them is written already."""
    disk = Disk(tmp_path, 0, max_size=500)
    disk.blobs = 200
    growing = disk.reserve(200, "a")
    growing.written(150)
    assert [disk.missing(size) for size in (100, 101)] == [0, 1]
    with pytest.raises(StoreFull, match=r"400 of 500 \(max_size\) are in use"):
        disk.reserve(101, "b")


def test_what_is_missing_is_the_larger_need(tmp_path: Path) -> None:
    """Bytes that must go are those that the disk or `max_size` lacks, whichever are more."""
    disk = Disk(tmp_path, 0, max_size=100)
    disk.blobs = 90
    assert disk.missing(50) == 40
    assert disk.missing(FREE + 500) == FREE + 490
