"""A viewer of /status/events."""

from __future__ import annotations

import http.client
import json
from types import TracebackType
from typing import Any, Self

from tests.serving import PATIENCE, Mirror


class Viewer:
    """Reads server-sent events, one after the other."""

    def __init__(self, mirror: Mirror, last: str | None = None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", mirror.port, timeout=PATIENCE)
        self._connection.request("GET", "/status/events", headers={"Last-Event-ID": last} if last else {})
        self.response = self._connection.getresponse()
        self.last = last
        """The number of the last event that has one."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._connection.close()

    def next(self) -> tuple[str, Any] | None:
        """Kind and data of the next event; None at the end. Comments are passed over."""
        kind, data = "", ""
        while line := self.response.readline().decode():
            name, _, value = line.rstrip("\n").partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                data = value
            elif name == "id":
                self.last = value
            elif line == "\n" and data:
                return kind, json.loads(data)
        return None

    def until(self, kind: str, /, **having: object) -> Any:
        """The data of the next event of that kind in which these are as they are given."""
        while event := self.next():
            if event[0] == kind and all(event[1].get(name) == value for name, value in having.items()):
                return event[1]
        raise AssertionError(f"the stream ended before {kind} {having}")
