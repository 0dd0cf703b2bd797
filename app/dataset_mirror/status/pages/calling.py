"""The API, asked from inside: the same routes, the same checks, the same words as for a program."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from dataset_mirror.serve.access import GUARD_FIELD
from dataset_mirror.serve.asgi import Message, Scope
from dataset_mirror.status.api import LINES
from dataset_mirror.status.wording import count

PATIENCE = 2.0
"""Seconds after which a stream of progress is left to itself: what was begun goes on."""
_WORDS = {
    "fetched": "fetched",
    "present": "already here",
    "good": "good",
    "damaged": "damaged",
    "failed": "failed",
    "lost": "lost",
    "waiting": "waiting",
    "fetching": "being fetched",
    "checking": "being read",
}


@dataclass(frozen=True, slots=True)
class Told:
    """What became of it, in a sentence; what to do, if it was refused."""

    status: int
    said: str
    hint: str = ""

    @property
    def is_good(self) -> bool:
        return self.status < 400


async def call(request: Request, path: str, asked: Mapping[str, object], token: str) -> Told:
    """POST of a JSON object to a path of the API, with this token, by the client of this request."""
    answer = _Answer(json.dumps(asked).encode())
    running = asyncio.create_task(request.app(_scope(request, path, token, answer.asked), answer.receive, answer.send))
    _GOING_ON.add(running)  # also if the client of the page leaves
    running.add_done_callback(_forget)
    done, _ = await asyncio.wait([running], timeout=PATIENCE)
    answer.is_left = not done
    if done:
        await running
    return _told(answer)


_GOING_ON: set[asyncio.Task[None]] = set()


def _forget(task: asyncio.Task[None]) -> None:
    _GOING_ON.discard(task)
    if not task.cancelled():
        task.exception()


class _Answer:
    """Both ends of the request inside; of a stream only the last line of each archive is kept."""

    def __init__(self, asked: bytes) -> None:
        self.asked = asked
        self.status = 0
        self.is_left = False
        self._rest, self._is_stream = b"", False
        self.lines: dict[str, dict[str, Any]] = {}
        self._sent = False

    async def receive(self) -> Message:
        if self._sent:
            await asyncio.Event().wait()  # its client stays, whatever becomes of the one outside
        self._sent = True
        return {"type": "http.request", "body": self.asked, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._is_stream = any(
                name.lower() == b"content-type" and value.startswith(LINES.encode()) for name, value in message["headers"]
            )
            return
        self._rest += message.get("body", b"")
        if self._is_stream:
            *whole, self._rest = self._rest.split(b"\n")
            for line in whole:
                self._take(line)
        if not message.get("more_body"):
            self._take(self._rest)

    def _take(self, line: bytes) -> None:
        if line.strip():
            known = json.loads(line)
            self.lines[str(known.get("url", ""))] = known


def _scope(request: Request, path: str, token: str, body: bytes) -> Scope:
    kept = [(name, value) for name, value in request.scope["headers"] if name not in (b"content-type", b"content-length", b"authorization")]
    ours = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"authorization", b"Bearer " + token.encode("utf-8", "replace")),
        (GUARD_FIELD.encode(), b"1"),
        (b"accept", b"application/json"),
    ]
    kept = [(name, value) for name, value in kept if name != b"accept"]
    return {**request.scope, "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"", "headers": [*kept, *ours]}


def _told(answer: _Answer) -> Told:
    status = answer.status or 202
    last = next(iter(answer.lines.values()), {})
    if status >= 400:
        return Told(status, str(last.get("detail", "It failed.")), str(last.get("hint", "")))
    if "said" in last or "" in answer.lines:
        return Told(status, str(last.get("said") or _summed(last)))
    failed: dict[str, str] = next((line["error"] for line in answer.lines.values() if line.get("error")), {})
    states = Counter(_WORDS.get(line["state"], line["state"]) for line in answer.lines.values())
    said = ", ".join(f"{count(number)} {word}" for word, number in states.items()) or "Begun"
    more = " It goes on by itself." if answer.is_left else ""
    return Told(status, f"{said}.{more}" + (f" {failed['detail']}" if failed else ""), str(failed.get("hint", "")))


def _summed(answer: Mapping[str, Any]) -> str:
    """What an answer without a sentence of its own says."""
    if isinstance(answer.get("names"), list):
        return f"{count(len(answer['names']), 'name')}: {', '.join(answer['names'])}." if answer["names"] else "Nothing had to be done."
    return f"Done: {', '.join(f'{key} {value}' for key, value in answer.items() if isinstance(value, int | str))}."
