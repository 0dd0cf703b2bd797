"""The end of the log: the latest warnings and errors of the mirror, in memory and bounded, as they may be told to anyone."""

import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from dataset_mirror.fetch.cause import request_id
from dataset_mirror.rules.anonymous import anonymised
from dataset_mirror.rules.secrets import without_secrets

MOST_LINES, MOST_CHARACTERS = 500, 2_000
"""How many lines are remembered, and how much of each text: the longest ones together are about 2 MB."""
_OURS = "dataset_mirror."


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log; `at` in seconds since the epoch."""

    at: float
    level: int
    """As `logging` has them."""
    room: str
    """The part of the program that wrote it: one of the map, or a library."""
    message: str
    error: str = ""
    """Kind and words of the exception, if one was logged; its traceback is in the log."""
    request: str = ""
    """The X-Request-ID of the request that it is about, if it is about one."""


class Tail(logging.Handler):
    """Remembers what is logged, from warnings on, whatever the log's own level; no line has a secret or the whole address of a client.

    `secrets` are blanked wherever they stand.
    """

    def __init__(self, secrets: Callable[[], Collection[str]]) -> None:
        super().__init__(logging.WARNING)
        self._secrets = secrets
        self._lines: deque[Line] = deque(maxlen=MOST_LINES)
        self.number = 0
        """Lines since the start."""

    @contextmanager
    def attached(self) -> Iterator[Self]:
        """Inside, it hears of all that is logged."""
        root = logging.getLogger()
        handlers: list[logging.Handler] = [self]
        if not root.handlers and logging.lastResort is not None:  # which is silent where there is any handler
            handlers.append(logging.lastResort)
        for handler in handlers:
            root.addHandler(handler)
        try:
            yield self
        finally:
            for handler in handlers:
                root.removeHandler(handler)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self._line(record)
        except (TypeError, ValueError, LookupError):  # a message that does not fit its arguments
            return self.handleError(record)
        self.add([line])

    def _line(self, record: logging.LogRecord) -> Line:
        message, error = record.getMessage(), record.exc_info[1] if record.exc_info else None
        if client := getattr(record, "client", ""):
            message = message.replace(client, anonymised(client, "network"))
        return Line(
            at=record.created,
            level=record.levelno,
            room=record.name.removeprefix(_OURS).partition(".")[0],
            message=self._text(message),
            error=self._text(f"{type(error).__name__}: {error}") if error else "",
            request=getattr(record, "request", "") or request_id(),
        )

    def _text(self, text: str) -> str:
        """Shortened last, so that no part of a secret is left over; what is far too long is cut before, too."""
        text = without_secrets(text[: 10 * MOST_CHARACTERS], self._secrets())
        return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"

    @property
    def last(self) -> Line | None:
        """The line that came last."""
        with self._locked():
            return self._lines[-1] if self._lines else None

    def lines(self) -> list[Line]:
        """What is remembered, the latest first."""
        with self._locked():
            return sorted(self._lines, key=lambda line: line.at, reverse=True)

    def add(self, lines: Iterable[Line]) -> None:
        """Adds lines, such as those of another process."""
        with self._locked():
            for line in lines:
                self._lines.append(line)
                self.number += 1

    def take(self) -> list[Line]:
        """What is remembered; it is somebody else's to tell from now on."""
        with self._locked():
            taken = list(self._lines)
            self._lines.clear()
        return taken

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Lines come from any thread."""
        self.acquire()
        try:
            yield
        finally:
            self.release()
