"""Durations, as settings write them."""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def _seconds(value: object) -> object:
    if not isinstance(value, str | bool):
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw])", str(value).strip(), re.ASCII)
    if match is None:
        raise ValueError('a duration is a number with a unit, such as "90s", "5m", "12h" or "1d"')
    return float(match[1]) * _UNITS[match[2]]


Seconds = Annotated[float, BeforeValidator(_seconds), Field(ge=0)]
"""A number of seconds, or text such as "5m"."""
