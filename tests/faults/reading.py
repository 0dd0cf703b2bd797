"""A client that checks nothing: it reads until no byte comes, and takes that for a good end."""

from __future__ import annotations

import re
import socket
import ssl
import time
from dataclasses import dataclass

from tests.faults.truth import Answer

LONGEST = 100.0
"""Seconds after which an answer is said to hang; the longest that a client waits for a mirror that makes room is 60."""


@dataclass
class Heard:
    """All that came, and how it ended: `end` (no byte comes), `error` (a reset, a broken record), or `silence`."""

    data: bytes
    how: str


def hear(connection: socket.socket, *, step: int = 1 << 16, pauses: int = 0, most: int | None = None) -> Heard:
    """Reads to the end, or to `most` bytes; slowly as long as there are `pauses` left."""
    received, until = bytearray(), time.monotonic() + LONGEST
    try:
        while most is None or len(received) < most:
            connection.settimeout(max(0.1, until - time.monotonic()))
            if not (data := connection.recv(step)):
                return Heard(bytes(received), "end")
            received += data
            if pauses:
                pauses -= 1
                time.sleep(0.05)  # this is what a slow client does
    except TimeoutError:
        return Heard(bytes(received), "silence")
    except (ssl.SSLError, OSError):
        return Heard(bytes(received), "error")
    return Heard(bytes(received), "left")


def answers(heard: Heard, methods: list[str]) -> list[Answer]:
    """The answers in what was heard, in the order of requests; the last one goes to the end, whatever length it announced."""
    found, data = [], heard.data
    for number, method in enumerate(methods):
        head, empty, rest = data.partition(b"\r\n\r\n")
        if not empty:
            break
        line, *lines = head.decode("latin-1").split("\r\n")
        fields = {name.strip().lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)}
        status = int(line[9:12]) if re.match(r"HTTP/1\.1 \d{3}( |$)", line) else 0
        answer = Answer(status, fields, b"", over=heard.how == "end")
        last = number == len(methods) - 1 or fields.get("connection", "").lower() == "close"
        data = _with_body(answer, rest, method, last=last)
        found.append(answer)
        if last:
            break
    return found


def _with_body(answer: Answer, rest: bytes, method: str, *, last: bool) -> bytes:
    """Gives an answer its body; returns what stands behind it."""
    if method == "HEAD" or answer.status in (204, 304):
        answer.over = True
        return rest
    if "chunked" in answer.fields.get("transfer-encoding", ""):
        return _chunks(answer, rest)
    length = int(answer.fields.get("content-length", -1))
    if last:
        answer.body = rest
        return b""
    answer.body = rest[:length]
    answer.over = answer.over or len(rest) >= length
    return rest[length:]


def _chunks(answer: Answer, rest: bytes) -> bytes:
    body = bytearray()
    while True:
        size, line, behind = rest.partition(b"\r\n")
        length = int(size, 16) if line else -1
        if length < 0 or len(behind) < length + 2:
            answer.body, answer.over = bytes(body), False  # every client sees that a chunk is missing
            return b""
        body += behind[:length]
        rest = behind[length + 2 :]
        if not length:
            answer.body, answer.over = bytes(body), True
            return rest
