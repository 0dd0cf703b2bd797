"""Which connection brings which bytes: decisions without I/O."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from dataset_mirror.fetch.pieces import AT_ONCE, LARGEST, SMALLEST, Piece, Plan, Speed
from dataset_mirror.store.intervals import Intervals

MIB = 1024 * 1024


def planned(length: int) -> tuple[Plan, Intervals]:
    have = Intervals()
    return Plan(length, have), have


def arrive(plan: Plan, have: Intervals, piece: Piece, count: int, now: float) -> None:
    """Bytes of a piece arrive, as far as they are its own; each must be new."""
    count = min(count, plan.stop(piece) - piece.at)
    assert have.end_of(piece.at) == piece.at or count == 0
    assert count == 0 or (have.next_start(piece.at) or plan.length) >= piece.at + count
    have.add(piece.at, piece.at + count)
    plan.advance(piece, count, now)


def running(rate: int, length: int) -> tuple[Plan, Intervals, Piece]:
    """A plan whose first connection brought `rate` bytes a second for half a second."""
    plan, have = planned(length)
    first = plan.run_on(0, 0.0)
    for step in range(1, 51):
        arrive(plan, have, first, rate // 100, step / 100)
    return plan, have, first


def test_speed_is_that_of_the_last_second() -> None:
    """A connection that was fast long ago and is slow now is slow."""
    speed = Speed(0.0)
    for step in range(1, 101):
        speed.note(100, step / 100)
    assert 9_000 < speed.rate(1.0) < 11_000
    assert speed.rate(10.0) < 100


def test_another_connection_is_worth_it_for_more_than_a_second() -> None:
    """More connections open only after 0.3 s, and only if the rest would take more than a second."""
    plan, have = planned(64 * MIB)
    first = plan.run_on(0, 0.0)
    arrive(plan, have, first, MIB, 0.2)
    assert not plan.worth(0.2)
    assert plan.worth(0.4)
    plan, _, _ = running(4 * MIB, 5 * MIB)
    assert not plan.worth(0.5)


def test_what_is_near_is_asked_for_in_parts_at_once() -> None:
    """Before anything is known of its speed others are worth it, for as much each as makes few requests."""
    plan, have = planned(64 * MIB)
    plan.at_once = True
    first = plan.run_on(0, 0.0)
    arrive(plan, have, first, MIB // 4, 0.001)
    pieces = [plan.take(0.001) for _ in range(3)]
    assert plan.worth(0.001)
    assert all(piece and piece.left >= AT_ONCE for piece in pieces)
    plan, _, _ = running(1000 * MIB, 64 * MIB)
    plan.at_once = True
    assert not plan.worth(0.5)


def test_pieces_come_in_order_and_take_a_second() -> None:
    """The first connection keeps a second's worth; the others take the next seconds' worth, one after another."""
    plan, _, first = running(4 * MIB, 64 * MIB)
    pieces = [plan.take(0.5) for _ in range(3)]
    edges = [first.at] + [edge for piece in pieces if piece for edge in (piece.at, piece.end)]
    assert edges == sorted(edges)
    assert all(piece and 3 * MIB < piece.left < 5 * MIB for piece in pieces)
    assert edges[2] == edges[3]
    assert edges[4] == edges[5]


def test_pieces_have_bounds() -> None:
    """A piece is neither larger than 16 MiB nor, but for the very end, smaller than 256 KiB."""
    for rate in (10_000, 1_000_000_000):
        plan, _, _ = running(rate, 4096 * MIB)
        piece = plan.take(0.5)
        assert piece
        assert SMALLEST <= piece.left <= LARGEST


def test_first_connection_stops_only_at_answered_pieces() -> None:
    """It runs on over a piece that the origin has not answered; that one is left with nothing to do."""
    plan, have, first = running(4 * MIB, 64 * MIB)
    piece = plan.take(0.5)
    assert piece
    assert plan.stop(first) == 64 * MIB
    piece.answered = True
    assert plan.stop(first) == piece.at
    piece.answered = False
    arrive(plan, have, first, piece.at - first.at + 1, 0.6)
    assert piece.left == 0


def test_what_a_reader_waits_for_comes_first() -> None:
    """A range far away is taken before the front, by one connection."""
    plan, _, _ = running(4 * MIB, 64 * MIB)
    end = 64 * MIB
    assert plan.want(end - 65536, end, 0.5)
    piece = plan.take(0.5)
    assert piece
    assert (piece.at, piece.end) == (end - 65536, end)
    assert not plan.want(end - 65536, end, 0.5)
    assert plan.take_wanted(0.5) is None


def test_what_comes_soon_is_not_asked_for_twice() -> None:
    """A reader right ahead of a connection is left to it."""
    plan, _, first = running(4 * MIB, 64 * MIB)
    assert not plan.want(first.at + 100, first.at + 200, 0.5)


def test_silent_connection_loses_its_piece_to_a_fast_one() -> None:
    """Bytes at the front do not wait for a connection that brings nothing."""
    plan, have, first = running(4 * MIB, 64 * MIB)
    silent = plan.take(0.5)
    assert silent
    silent.answered, start = True, silent.at
    for step in range(1, 301):
        arrive(plan, have, first, 40 * 1024, 0.5 + step / 100)
    plan.give_back(first)
    piece = plan.take(3.5, first.speed)
    assert piece
    assert piece.at == start
    assert silent.left == 0


@example(524_289, [(0, 0, 1), (0, 0, 262_144), (0, 1, 1), (0, 0, 1)])  # an open piece comes to stand right before another's bytes
@given(st.integers(1, 40 * MIB), st.lists(st.tuples(st.integers(0, 5), st.integers(0, 7), st.integers(1, 9 * MIB)), max_size=200))
def test_every_byte_comes_exactly_once(length: int, events: list[tuple[int, int, int]]) -> None:
    """Whatever arrives, breaks, is wanted or stolen, no byte comes twice, and the plan always comes to its end."""
    plan, have = planned(length)
    under_way = [plan.run_on(0, 0.0)]
    now = 0.0
    for kind, which, count in events:
        now += 0.05
        piece = under_way[which % len(under_way)] if under_way else None
        if kind == 0 and (taken := plan.take(now)):
            under_way.append(taken)
        elif kind == 1 and piece:
            plan.give_back(piece)
            under_way.remove(piece)
        elif kind == 2:
            plan.want(count % length, length, now)
        elif piece:
            piece.answered = True
            arrive(plan, have, piece, count, now)
    for piece in under_way:
        plan.give_back(piece)
    while last := plan.take(now):
        arrive(plan, have, last, last.left, now)
        plan.give_back(last)
    assert plan.done
    assert have.total == length
