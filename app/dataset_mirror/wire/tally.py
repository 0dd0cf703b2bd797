"""What answers that passed the gateway by are counted as, and remembered: as if they had not."""

import secrets
import time
from dataclasses import replace

from dataset_mirror.fetch.recent import Asked
from dataset_mirror.mirror import Mirror
from dataset_mirror.serve.client import client_address
from dataset_mirror.wire.known import Known


class Tally:
    """For one mirror. `peer` is always the address at the other end of the connection, if there is one."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror

    def answered(self, known: Known) -> None:
        """A request is answered; nobody asks for the body of a HEAD."""
        self._mirror.traffic.answered(known.entry.authority, "head" if known.is_head else "hit")
        if not known.is_head:
            self._mirror.usage.note(known.entry.record.archive)

    def sent(self, known: Known, size: int) -> None:
        """So many bytes of a body have left."""
        self._mirror.traffic.send(known.entry.authority, size)

    def repeated(self, known: Known, peer: str | None) -> None:
        """A small archive is answered from memory, which is only counted."""
        size = known.entry.record.size
        self.answered(known)
        self.sent(known, size)
        self._mirror.recent.count(self._client(known, peer), "hit", size, time.time())

    def note(self, known: Known, peer: str | None, status: int, began: float, size: int, first: float, *, is_whole: bool) -> None:
        """The end of an answer that began then (monotonic seconds), whose first byte left after `first` seconds."""
        seconds = time.monotonic() - began
        asked = Asked(
            at=time.time() - seconds,
            id=secrets.token_hex(8),
            client=self._client(known, peer),
            method=known.request.method,
            target=known.shown,
            status=status,
            outcome="head" if known.is_head else "hit",
            archive=known.archive,
            size=size,
            first_byte=round(first, 6),
            seconds=round(seconds, 6),
            is_whole=is_whole,
        )
        self._mirror.recent.note(asked)

    def _client(self, known: Known, peer: str | None) -> str:
        trusted = self._mirror.settings.forwarded_allow_ips
        if not trusted:
            return peer or ""
        address = client_address(replace(known.request, peer=peer), trusted)
        return str(address) if address else ""
