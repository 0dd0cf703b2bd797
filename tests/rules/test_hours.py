"""Hours of the day, as schedules name them."""

from datetime import datetime

import pytest

from dataset_mirror.rules.hours import Hours


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-04T{text}:30")


@pytest.mark.parametrize(
    ("hours", "within", "without"),
    [
        ("02:00", ["02:00", "02:59"], ["01:59", "03:00", "14:00"]),
        ("08:00-18:00", ["08:00", "17:59"], ["07:59", "18:00", "00:00"]),
        ("22:00-06:00", ["22:00", "23:59", "00:00", "05:59"], ["06:00", "21:59", "12:00"]),
        ("23:30", ["23:30", "00:29"], ["00:30", "23:29"]),
        ("0:00-24:00", ["00:00", "23:59"], []),
        ("18:00-24:00", ["18:00", "23:59"], ["00:00", "17:59"]),
    ],
)
def test_what_is_within(hours: str, within: list[str], without: list[str]) -> None:
    """The beginning is within, the end is not; they may go over midnight; a time alone lasts an hour."""
    parsed = Hours.parsed(hours)
    assert [time for time in within if not parsed.has(at(time))] == []
    assert [time for time in without if parsed.has(at(time))] == []


@pytest.mark.parametrize("text", ["", "2", "25:00", "02:60", "02:00-", "2am", "02:00-24:01", "aa:bb"])
def test_what_is_no_hours(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(ValueError, match=r"hours are written|no time of a day"):
        Hours.parsed(text)


def test_when_they_begin_next() -> None:
    """Today if that is still to come, else tomorrow."""
    assert Hours.parsed("22:00-06:00").begins(at("21:00")) == datetime(2026, 3, 4, 22)
    assert Hours.parsed("22:00-06:00").begins(at("23:00")) == datetime(2026, 3, 5, 22)
