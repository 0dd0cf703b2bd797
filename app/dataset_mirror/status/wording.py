"""Numbers, times, URLs and words of commands, as people read and copy them."""

import json
import shlex
from datetime import UTC, datetime

from markupsafe import Markup

from dataset_mirror.rules import sentences
from dataset_mirror.rules.counted import counted

__all__ = [
    *("ago", "brief", "clock", "coded", "count", "duration", "file_name", "host", "iso", "literal", "minute", "path_here", "percent"),
    *("plain", "shell", "shown", "size", "utc"),
]

_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")
_SPANS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def size(bytes_: float) -> str:
    """Bytes in decimal units with about three digits: `57.0 kB`, `170 MB`."""
    unit = 0
    while bytes_ >= 999.5 and unit < len(_UNITS) - 1:
        bytes_, unit = bytes_ / 1000, unit + 1
    digits = 0 if unit == 0 or bytes_ >= 99.95 else 1
    number = f"{bytes_:.{digits}f}"
    return f"{number}\N{NO-BREAK SPACE}{'byte' if unit == 0 and number == '1' else _UNITS[unit]}"


def count(number: int, noun: str = "") -> str:
    """A number with thousands separated; with its noun, in the plural unless it is one."""
    return counted(number, noun).replace(" ", "\N{NO-BREAK SPACE}", 1) if noun else f"{number:,}"


def plain(text: str) -> str:
    """A text for terminals and programs: its blanks are ordinary ones."""
    return text.replace("\N{NO-BREAK SPACE}", " ")


def duration(seconds: float) -> str:
    """Seconds in their largest unit: `40 seconds`, `3 minutes`, `2 days`."""
    length, name = next((span for span in _SPANS if seconds >= span[0]), _SPANS[-1])
    return count(int(seconds // length), name)


def ago(then: float, now: float) -> str:
    """How long before `now` it was, both in seconds since the epoch."""
    return "just now" if now - then < 5 else f"{duration(now - then)} ago"


def iso(seconds: float) -> str:
    """Seconds since the epoch as ISO 8601 in UTC, as the `datetime` of `<time>` wants it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def clock(seconds: float) -> str:
    """Seconds since the epoch as a time of day in UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%H:%M:%S} UTC"


def utc(seconds: float) -> str:
    """Seconds since the epoch as a date and a time in UTC: what stands beside a time that a browser shows in its own zone."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def minute(seconds: float) -> str:
    """Seconds since the epoch as a date and hours and minutes, in UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def brief(seconds: float) -> str:
    """A short time with its unit: `0.4 ms`, `1.2 s`, `3 minutes`."""
    if seconds >= 100:
        return duration(seconds)
    return f"{seconds:.1f}\N{NO-BREAK SPACE}s" if seconds >= 1 else f"{1000 * seconds:.{0 if seconds >= 0.01 else 1}f}\N{NO-BREAK SPACE}ms"


def percent(part: float, whole: float) -> str:
    """A share of a whole; a dash if there is no whole."""
    return f"{100 * part / whole:.0f}\N{NO-BREAK SPACE}%" if whole else "–"


def host(address: str) -> str:
    """Host and port of a URL."""
    return address.partition("://")[2]


def shown(url: str) -> str:
    """A URL as people read it: without `https://`."""
    return url.removeprefix("https://")


def path_here(url: str) -> str:
    """Where the mirror serves the archive of a URL."""
    return "/" + url.partition("://")[2]


def file_name(url: str) -> str:
    """The last segment of a URL's path."""
    return url.partition("?")[0].rsplit("/", 1)[-1]


def coded(text: str) -> Markup:
    """A sentence in which what stands between backticks is code."""
    return Markup(sentences.coded(text))


def shell(word: str) -> str:
    """One word of a command for a POSIX shell, quoted if it must be."""
    return shlex.quote(word)


def literal(text: str) -> str:
    """A string as it stands in Python's source."""
    return json.dumps(text)
