"""Work in a process of its own that has loaded all that this one has: it may kill itself, and nothing of it is left here."""

from __future__ import annotations

import os
import traceback
import warnings
from collections.abc import Callable


def status_of(work: Callable[[], object]) -> int:
    """The exit status of a fork of this process that does `work`: 0 if it comes to its end, negative if a signal ends it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12, because of threads; none of theirs is used
        child = os.fork()
    if not child:
        _do(work)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _do(work: Callable[[], object]) -> None:
    status = 1
    try:
        work()
        status = 0
    except BaseException:  # noqa: BLE001 what is raised must not go on in a second pytest
        traceback.print_exc()
    finally:
        os._exit(status)
