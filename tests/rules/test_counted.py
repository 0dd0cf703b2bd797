"""Numbers with their nouns."""

import pytest

from dataset_mirror.rules.counted import are, counted, share


@pytest.mark.parametrize(
    ("number", "noun", "said"),
    [
        (0, "miss", "0 misses"),
        (1, "miss", "1 miss"),
        (2, "miss", "2 misses"),
        (1, "byte", "1 byte"),
        (12_345, "byte", "12,345 bytes"),
        (2, "repository", "2 repositories"),
        (2, "day", "2 days"),
        (2, "box", "2 boxes"),
        (2, "match", "2 matches"),
        (3, "other path", "3 other paths"),
    ],
)
def test_counted(number: int, noun: str, said: str) -> None:
    """One is in the singular, all else in the plural, which English spells by the noun's end."""
    assert counted(number, noun) == said


def test_share() -> None:
    """The verb goes with the part, unless there is but one in all."""
    shown = [share(part, number, "archive") for part, number in ((0, 1), (1, 1), (0, 2), (1, 2), (2, 2))]
    assert shown == ["0 of 1 archive is", "1 of 1 archive is", "0 of 2 archives are", "1 of 2 archives is", "2 of 2 archives are"]


def test_are() -> None:
    """The verb goes with the number."""
    assert [are(number) for number in (0, 1, 2)] == ["are", "is", "are"]
