"""How long stored bytes are good."""

import pytest

from dataset_mirror.rules.conditions import Validators
from dataset_mirror.rules.freshness import conditions, freshness

A, B = "a" * 64, "b" * 64


@pytest.mark.parametrize(
    ("now", "digests", "expected", "stale", "parameter"),
    [
        pytest.param(150.0, [A], [], False, ("ttl=50",), id="young"),
        pytest.param(201.5, [A], [], True, ("ttl=-2",), id="old"),
        pytest.param(1e9, [A], [A], False, (), id="what the catalog expects never ages"),
        pytest.param(1e9, [A], [B, A], False, (), id="any of several digests"),
        pytest.param(101.0, [A], [B], True, ("ttl=-1",), id="another digest than the catalog's is stale at once"),
    ],
)
def test_freshness(now: float, digests: list[str], expected: list[str], stale: bool, parameter: tuple[str, ...]) -> None:
    """Bytes checked at 100 with a lifetime of 100 s are fresh until 200, unless the catalog decides."""
    found = freshness(now, 100.0, 100.0, digests=digests, expected=expected)
    assert (found.is_stale, found.as_parameter()) == (stale, parameter)


def test_conditions_ask_for_changes_only() -> None:
    """A check carries the origin's own validators, weak ones too."""
    assert conditions(Validators('W/"1"', "Mon, 23 Nov 2026 09:00:00 GMT")) == {
        "if-none-match": 'W/"1"',
        "if-modified-since": "Mon, 23 Nov 2026 09:00:00 GMT",
    }
    assert conditions(Validators()) == {}


def test_a_check_in_the_future() -> None:
    """It was told by a clock that was wrong, so the bytes are stale; a second off is none."""
    assert freshness(100.0, 200.0, 1000.0, digests=[], expected=[]).is_stale
    assert not freshness(100.0, 100.5, 1000.0, digests=[], expected=[]).is_stale
