"""What failed, grouped: one origin that is down is one problem, however many archives wait for it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from dataset_mirror.status.models import FailureStatus

_NUMBERS = re.compile(r"\d[\d,.]*")


@dataclass(slots=True)
class Problem:
    """Failures of one origin with one cause. Times in seconds since the epoch."""

    origin: str
    detail: str
    """Of the latest."""
    hint: str
    status: int
    first: float
    last: float
    count: int = 0
    urls: list[str] = field(default_factory=list)
    """Each once, the latest first."""


def grouped(failures: Iterable[FailureStatus]) -> list[Problem]:
    """Failures, the latest first, as problems, the latest first."""
    found: dict[tuple[str, int, str], Problem] = {}
    for failure in failures:
        origin = failure.url.partition("://")[2].partition("/")[0]
        key = (origin, failure.status, _cause(failure))
        problem = found.setdefault(key, Problem(origin, failure.detail, failure.hint, failure.status, failure.at, failure.at))
        problem.count += 1
        problem.first, problem.last = min(problem.first, failure.at), max(problem.last, failure.at)
        if failure.url not in problem.urls:
            problem.urls.append(failure.url)
    return sorted(found.values(), key=lambda one: one.last, reverse=True)


def _cause(failure: FailureStatus) -> str:
    """Its sentence without what differs from archive to archive."""
    text = failure.detail.replace(failure.url, "").replace(failure.url.partition("://")[2], "")
    return _NUMBERS.sub("", text)
