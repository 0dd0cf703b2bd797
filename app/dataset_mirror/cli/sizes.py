"""Figures as the pages show them, for terminals: with plain spaces."""

from datetime import datetime

from dataset_mirror.status import wording

_NO_BREAK = "\N{NO-BREAK SPACE}"


def human(size: float) -> str:
    """Bytes with a decimal unit, such as `57.0 kB` or `170 MB`."""
    return wording.size(size).replace(_NO_BREAK, " ")


def lasting(seconds: float) -> str:
    """A duration in its largest unit, such as `3 minutes`."""
    return wording.duration(seconds).replace(_NO_BREAK, " ")


def moment(seconds: float) -> str:
    """A time in seconds since the epoch, in local time."""
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M}" if seconds else "never"


def local(iso: str) -> str:
    """A time in ISO 8601, in local time."""
    return f"{datetime.fromisoformat(iso).astimezone():%Y-%m-%d %H:%M:%S}"


def local_time(seconds: float) -> str:
    """The time of day of a time in seconds since the epoch, in local time."""
    return f"{datetime.fromtimestamp(seconds):%H:%M:%S}"
