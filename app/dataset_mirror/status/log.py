"""The end of the log, as `/status/log` and `/activity` show it."""

import logging

from dataset_mirror.fetch.tail import Line
from dataset_mirror.mirror import Mirror
from dataset_mirror.status.figures import Level, LogMessage

_LEVELS: dict[Level, int] = {"critical": logging.CRITICAL, "error": logging.ERROR, "warning": logging.WARNING}


def messages_of(mirror: Mirror, level: Level = "warning", q: str = "") -> list[LogMessage]:
    """What was logged of late that is at least so grave and has all of these words, in any case, the latest first."""
    words = q.lower().split()
    found = (message_of(line) for line in mirror.tail.lines() if line.level >= _LEVELS[level])
    return [one for one in found if all(word in _text(one) for word in words)] if words else list(found)


def message_of(line: Line) -> LogMessage:
    level = next((name for name, least in _LEVELS.items() if line.level >= least), "warning")
    return LogMessage(at=line.at, level=level, room=line.room, message=line.message, error=line.error, request_id=line.request)


def _text(one: LogMessage) -> str:
    return f"{one.level} {one.room} {one.message} {one.error} {one.request_id}".lower()
