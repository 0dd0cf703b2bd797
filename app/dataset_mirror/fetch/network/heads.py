"""How much may come before an answer: interim answers (RFC 9110 15.2) without end are no answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import httpcore

MOST = 256 * 1024
"""Bytes before the end of an answer's head, interim answers and handshakes counted. Heads of more than 100 KB are refused anyway."""

_come: ContextVar[list[int] | None] = ContextVar("come", default=None)
"""Bytes that came since this task waits for a head; None if it waits for none."""


@contextmanager
def awaiting_head() -> Iterator[None]:
    """While a task waits for the head of an answer."""
    token = _come.set([0])
    try:
        yield
    finally:
        _come.reset(token)


def check_head() -> None:
    """RemoteProtocolError if too much has come before the head."""
    if (come := _come.get()) and come[0] > MOST:
        raise httpcore.RemoteProtocolError("it sends interim answers without end")


def is_awaited() -> bool:
    """Whether this task waits for a head: of what comes behind it as little as may be is to be read along with it."""
    return _come.get() is not None


def count_in(data: bytes) -> bytes:
    """The same bytes."""
    if come := _come.get():
        come[0] += len(data)
    return data
