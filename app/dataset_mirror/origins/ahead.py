"""What an operator schedules: which archives are fetched ahead at which hours, and how fast origins may be read at which."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ByteSize, ConfigDict, Field, TypeAdapter, ValidationError

from dataset_mirror.origins.lists import as_list
from dataset_mirror.rules.hours import Hours

_SIZE = TypeAdapter(ByteSize)


def _rate(value: object) -> object:
    """Bytes per second: a number, or text such as "20MB" or "20MB/s"."""
    text = value.strip().removesuffix("/s") if isinstance(value, str) else value
    try:
        rate = _SIZE.validate_python(text)
    except ValidationError:
        rate = ByteSize(0)
    if isinstance(value, bool) or rate < 1:
        raise ValueError('it is bytes per second, such as "20MB"')
    return rate


def _rates(value: object) -> object:
    """One rate, or rates by hours."""
    if isinstance(value, Mapping):
        return {_hours(str(hours)): _rate(rate) for hours, rate in value.items()}
    if isinstance(value, str | int):
        return _rate(value)
    raise ValueError('it is bytes per second, such as "20MB", or a table of them by hours: { "08:00-18:00" = "5MB" }')


def _hours(text: str) -> str:
    Hours.parsed(text)
    return text


Rate = Annotated[ByteSize, BeforeValidator(_rate)]
Rates = Annotated[ByteSize | dict[str, ByteSize], BeforeValidator(_rates)]
"""A limit for always, or for each of some hours; at other hours there is none. The first that fits counts."""


class Keep(BaseModel):
    """Archives that are fetched ahead, and checked, every day at the given hours (local time)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(as_list), Field(min_length=1)]
    at: Annotated[str, AfterValidator(_hours)]
    rate_limit: Rate | None = None
    """Bytes per second that all its downloads may take together."""

    @property
    def hours(self) -> Hours:
        return Hours.parsed(self.at)


def rate_at(rates: "ByteSize | dict[str, ByteSize] | None", moment: datetime) -> int | None:
    """Bytes per second that origins may be read with at a local time; None without a limit."""
    if not isinstance(rates, dict):
        return rates
    return next((rate for hours, rate in rates.items() if Hours.parsed(hours).has(moment)), None)
