"""Why a download was begun, and by which request. Whatever begins in the same context is told, so that nothing has to be handed through."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

Cause = Literal["request", "check", "ahead"]
CAUSES: tuple[Cause, ...] = ("request", "check", "ahead")
"""A client asked; a stored archive is stale; a command, a pin or a schedule fetches ahead."""
_CAUSE: ContextVar[Cause] = ContextVar("cause", default="request")

_REQUEST: ContextVar[str] = ContextVar("request", default="")


def request_id() -> str:
    """The X-Request-ID, given or made, of the request that began what runs here; empty if none did."""
    return _REQUEST.get()


@contextmanager
def by_request(identity: str) -> Iterator[None]:
    """What is begun inside is begun by the request of that X-Request-ID."""
    token = _REQUEST.set(identity)
    try:
        yield
    finally:
        _REQUEST.reset(token)


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
