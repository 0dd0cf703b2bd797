"""An answer that needs no app: its head is made, and its body is a part of a blob, which the kernel sends."""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING

from dataset_mirror.rules.conditions import Selection
from dataset_mirror.serve.asgi import ClientGone
from dataset_mirror.wire.known import Known
from dataset_mirror.wire.sendfile import PartOfFile
from dataset_mirror.wire.tally import Tally

if TYPE_CHECKING:
    from dataset_mirror.wire.connection import Connection

log = logging.getLogger(__name__)

_SMALL = 64 * 1024
"""Bytes that leave at once: they are noted before, so that who has the answer finds its line in the log."""


class FromFile:
    """One answer, from its head to its last byte. While it is under way, closing by whatever cause resets."""

    has_begun = True
    closes = False
    """Whether the connection closes behind it."""

    _connection: Connection

    def __init__(
        self, known: Known, head: bytes, selection: Selection, file: int, tally: Tally, reading: Counter[str], peer: str | None
    ) -> None:
        """`file` is the open blob, which is closed at the end. `reading` counts who reads which blob."""
        self._known, self._head, self._file, self._tally, self._reading, self._peer = known, head, file, tally, reading, peer
        self._status, self._start, self._end = selection.status, selection.start, selection.end or 0
        self._part: PartOfFile | None = None
        self._began = time.monotonic()
        self._first: float | None = None
        self.sent = self._counted = 0
        """Bytes that the kernel has, and how many of them were told of."""
        self._is_noted = False
        reading[known.entry.record.sha256] += 1
        tally.answered(known)

    def begin(self, connection: Connection) -> None:
        """Sends it; the connection is told of its end."""
        if self._file < 0:
            return  # the client left before it was the turn of this
        self._connection = connection
        moment = self._known.entry.moment
        known = moment.in_memory if moment else None
        self._part = PartOfFile(connection.socket, self._file, self._start, self._end, in_memory=known, told=self._left)
        if self._end - self._start <= _SMALL:
            self._note(self._end - self._start, is_whole=True)
        else:
            self._tally.under_way.add(self)
        connection.arm(reset=True)
        connection.write_head(self._head)
        connection.when_flushed(self._go)

    def leave(self) -> None:
        """Nobody waits for it any more."""
        self._over()
        if self._part:
            self._part.give_up()

    def _go(self) -> None:
        if self._part and self._file >= 0:
            self._part.begin(self._ended)

    def _left(self, count: int) -> None:
        if self._first is None:
            self._first = time.monotonic() - self._began
        self.sent += count
        self._tally.sent(self._known, count)

    def _ended(self, error: Exception | None) -> None:
        """All of it is the kernel's, or that cannot be."""
        if self._file < 0:
            return None
        self._over()
        if error is None:
            return self._connection.completed(self)
        if not isinstance(error, ClientGone):
            log.error("An answer failed: %s.", error)  # its words say it all
        return self._connection.break_off()

    def _over(self) -> None:
        if self._file < 0:
            return
        os.close(self._file)
        self._file = -1
        self._reading[self._known.entry.record.sha256] -= 1
        self._tally.under_way.discard(self)
        self._note(self.sent, is_whole=self.sent == self._end - self._start)

    def _note(self, size: int, *, is_whole: bool) -> None:
        if not self._is_noted:
            self._is_noted = True
            first = time.monotonic() - self._began if self._first is None else self._first
            self._tally.note(
                self._known, self._peer, self._status, self._began, size, first, is_whole=is_whole, id=self.id, counted=self._counted
            )

    # Of an answer under way

    outcome = "hit"

    @cached_property
    def id(self) -> str:
        return secrets.token_hex(8)

    @cached_property
    def client(self) -> str:
        return self._tally.client(self._known, self._peer)

    @property
    def archive(self) -> str:
        return self._known.archive

    @property
    def total(self) -> int:
        return self._end - self._start

    @property
    def since(self) -> float:
        """When it was asked for, in seconds since the epoch."""
        return time.time() - (time.monotonic() - self._began)

    @property
    def rate(self) -> float:
        """Bytes per second since it began."""
        return self.sent / max(time.monotonic() - self._began, 0.25)

    def news(self) -> int:
        more = self.sent - self._counted
        self._counted += more
        return more
