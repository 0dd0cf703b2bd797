"""What goes to standard error, and into the access log, while a command runs. No line has a secret, whoever wrote it."""

import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Collection
from datetime import datetime
from logging.handlers import WatchedFileHandler
from typing import Any

from dataset_mirror.errors import UsageError
from dataset_mirror.rules.secrets import without_secrets

STANDARD_ERROR = "-"
"""Where the access log goes if no file is named."""
_PRIORITIES = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}
"""Those of syslog (RFC 5424 6.2.1), which systemd reads from the beginning of a line (sd-daemon(3))."""
_ACCESS = "uvicorn.access"

Secrets = Callable[[], Collection[str]]


def configure(level: str, *, access_log: str | None = None, log_format: str = "text", secrets: Secrets = tuple) -> None:
    """Readable lines with a time, or one JSON object per line; uvicorn's own chatter only when debugging.

    `access_log` is a file, or `-` for standard error; lines in JSON have requests, too. `secrets` are blanked wherever they stand.
    """
    root = logging.StreamHandler()
    root.setFormatter(_formatter(log_format, secrets, journal=_is_journal()))
    least = logging.getLevelNamesMapping()[level.upper()]
    root.addFilter(lambda record: record.levelno >= least or record.name == _ACCESS)
    logging.basicConfig(level=min(least, logging.WARNING), handlers=[root])  # the pages show warnings, whatever is shown here
    logging.raiseExceptions = False  # a full disk must not turn each line into a traceback
    debugging = level == "debug"
    has_access = access_log is not None or debugging or log_format == "json"
    logging.getLogger("uvicorn.error").setLevel(logging.INFO if debugging else logging.WARNING)
    logging.getLogger(_ACCESS).setLevel(logging.INFO if has_access else logging.WARNING)
    for noisy in ("httpx", "httpcore", "asyncio", "aiosqlite"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if access_log not in (None, STANDARD_ERROR):
        _to_file(access_log, _formatter(log_format, secrets, journal=False))


class _Reopened(WatchedFileHandler):
    """A file that may be moved away: the next line goes to a new one at its place, and so it does after SIGUSR1."""

    def reopen(self) -> None:
        self.acquire()
        try:
            self.reopenIfNeeded()
        finally:
            self.release()


def _to_file(path: str | None, formatter: logging.Formatter) -> None:
    assert path is not None
    try:
        handler = _Reopened(path, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"The access log {path} cannot be written: {error.strerror}.", "Give another file: --access-log FILE") from None
    handler.setFormatter(formatter)
    access = logging.getLogger(_ACCESS)
    access.addHandler(handler)
    access.propagate = False
    signal.signal(signal.SIGUSR1, lambda *_: handler.reopen())


def _is_journal() -> bool:
    """Whether systemd's journal reads standard error."""
    return "JOURNAL_STREAM" in os.environ and not sys.stderr.isatty()


def _formatter(log_format: str, secrets: Secrets, *, journal: bool) -> logging.Formatter:
    return _Json(secrets) if log_format == "json" else _Text(secrets, journal=journal)


class _Blanking(logging.Formatter):
    """Of whatever a line says, its secrets are blanked last."""

    def __init__(self, secrets: Secrets, form: str | None = None, times: str | None = None) -> None:
        super().__init__(form, times)
        self._secrets = secrets

    def blanked(self, text: str) -> str:
        return without_secrets(text, self._secrets())


class _Text(_Blanking):
    """For people. The journal has the time already, and takes the level from the line's beginning."""

    def __init__(self, secrets: Secrets, *, journal: bool) -> None:
        form = "%(levelname)-7s %(message)s"
        super().__init__(secrets, form if journal else f"%(asctime)s {form}", "%H:%M:%S")
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        text = self.blanked(super().format(record))
        if facts := getattr(record, "facts", None):
            whole = "" if facts["is_whole"] else " (cut off)"
            text += f" {facts['outcome']} {facts['size']} bytes{whole} {facts['seconds']:.3f} s {facts['id']}"
        if not self._journal:
            return text
        prefix = f"<{_PRIORITIES.get(record.levelname, 6)}>"
        return "\n".join(prefix + line for line in text.splitlines())


class _Json(_Blanking):
    """One object per line, for programs."""

    def format(self, record: logging.LogRecord) -> str:
        known: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": self.blanked(record.getMessage()),
        }
        if facts := getattr(record, "facts", None):
            known |= {"event": "request", **_facts(facts)}
        elif record.name == _ACCESS and isinstance(record.args, tuple) and len(record.args) == 5:
            where, method, target, _, status = record.args
            client = str(where).rpartition(":")[0]
            known |= {"event": "request", "client": client, "method": method, "target": self.blanked(str(target)), "status": status}
        if record.exc_info:
            known["error"] = self.blanked(self.formatException(record.exc_info))
        return json.dumps(known, ensure_ascii=False)


def _facts(facts: dict[str, Any]) -> dict[str, Any]:
    """A request's facts under the names of the log's lines; what is empty is left out."""
    named = {
        "request_id": facts["id"],
        **{name: facts[name] for name in ("client", "method", "target", "status", "archive", "outcome")},
        "bytes": facts["size"],
        "duration": facts["seconds"],
        "first_byte": facts["first_byte"],
        "why": facts["why"],
        "complete": facts["is_whole"],
    }
    return {name: value for name, value in named.items() if value != ""}
