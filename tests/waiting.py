"""Waiting for what nothing tells of: it is looked at again and again, seldom enough to leave the machine to what is waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from tests.warm import PATIENCE

T = TypeVar("T")


def until(condition: Callable[[], T], what: str = "it did not happen", patience: float = PATIENCE, every: float = 0.02) -> T:
    """The first value of `condition` that is true; AssertionError with `what` after so many seconds."""
    end = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < end, what
        time.sleep(every)
    return found
