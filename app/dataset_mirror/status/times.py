"""Times in the API's answers: seconds since the epoch inside, ISO 8601 in UTC outside."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer


def _seconds(value: object) -> object:
    return datetime.fromisoformat(value).timestamp() if isinstance(value, str) else value


Time = Annotated[
    float,
    BeforeValidator(_seconds),
    PlainSerializer(lambda seconds: datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds"), str),
    Field(examples=["2026-05-01T12:00:00+00:00"]),
]
