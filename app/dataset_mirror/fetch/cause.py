"""Why a download was begun. It is told to whatever begins in the same context, so that nothing has to be handed through."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

Cause = Literal["request", "check", "ahead"]
CAUSES: tuple[Cause, ...] = ("request", "check", "ahead")
"""A client asked; a stored archive is stale; a command, a pin or a schedule fetches ahead."""
_CAUSE: ContextVar[Cause] = ContextVar("cause", default="request")


def cause() -> Cause:
    """Why what runs here was begun."""
    return _CAUSE.get()


@contextmanager
def because(of: Cause) -> Iterator[None]:
    """What is begun inside is begun for this cause."""
    token = _CAUSE.set(of)
    try:
        yield
    finally:
        _CAUSE.reset(token)
