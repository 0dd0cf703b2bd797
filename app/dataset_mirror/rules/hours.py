"""Hours of the day in local time, such as `02:00` or `22:00-06:00`: what is scheduled, and what holds at which hour."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

_WRITTEN = re.compile(r"\s*(\d{1,2}):(\d{2})\s*(?:[-–]\s*(\d{1,2}):(\d{2})\s*)?")
_DAY = 24 * 60
ALONE = 60
"""Minutes that a time without an end lasts."""


@dataclass(frozen=True, slots=True)
class Hours:
    """Minutes of the day [start, end), over midnight if `end` is not after `start`."""

    start: int
    end: int

    @classmethod
    def parsed(cls, text: str) -> Self:
        """`HH:MM-HH:MM`, or `HH:MM` for the hour from then on. ValueError if it is neither."""
        match = _WRITTEN.fullmatch(text)
        if match is None:
            raise ValueError('hours are written "02:00", or "22:00-06:00"')
        start = _minute(match[1], match[2])
        end = _minute(match[3], match[4]) if match[3] else (start + ALONE) % _DAY
        return cls(start % _DAY, end % _DAY)

    def has(self, moment: datetime) -> bool:
        """Whether a local time is within; equal ends are the whole day."""
        now = moment.hour * 60 + moment.minute
        if self.start < self.end:
            return self.start <= now < self.end
        return now >= self.start or now < self.end

    def begins(self, moment: datetime) -> datetime:
        """When they begin next, as of a local time."""
        today = moment.replace(hour=self.start // 60, minute=self.start % 60, second=0, microsecond=0)
        return today if today > moment else today + timedelta(days=1)


def _minute(hour: str, minute: str) -> int:
    if int(hour) > 24 or int(minute) > 59 or int(hour) * 60 + int(minute) > _DAY:
        raise ValueError(f"{hour}:{minute} is no time of a day")
    return int(hour) * 60 + int(minute)
