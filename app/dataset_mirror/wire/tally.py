"""What answers that passed the gateway by are counted as, and remembered: as if they had not."""

import secrets
import time
from dataclasses import replace

from dataset_mirror.fetch.recent import Asked, UnderWay
from dataset_mirror.mirror import Mirror
from dataset_mirror.rules.anonymous import anonymised
from dataset_mirror.serve.client import client_address
from dataset_mirror.wire.known import Known


class Tally:
    """For one mirror. `peer` is always the address at the other end of the connection, if there is one."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror

    def answered(self, known: Known) -> None:
        """A request is answered; nobody asks for the body of a HEAD."""
        self._mirror.traffic.answered(known.entry.record.archive, "head" if known.is_head else "hit")
        if not known.is_head:
            self._mirror.usage.note(known.entry.record.archive)

    def sent(self, known: Known, size: int) -> None:
        """So many bytes of a body have left."""
        self._mirror.traffic.send(known.entry.record.archive, size)

    def repeated(self, known: Known, peer: str | None) -> None:
        """A small archive is answered from memory, which is only counted."""
        size = known.entry.record.size
        self._mirror.traffic.send_from_memory(known.entry.record.archive, size)
        self._mirror.recent.count(self.client(known, peer), "hit", size, time.time())

    def note(
        self,
        known: Known,
        peer: str | None,
        status: int,
        began: float,
        size: int,
        first: float,
        *,
        is_whole: bool,
        id: str = "",
        counted: int = 0,
    ) -> None:
        """The end of an answer that began then (monotonic seconds), whose first byte left after `first` seconds. Of its bytes
        `counted` were told of while it was under way.
        """
        seconds = time.monotonic() - began
        asked = Asked(
            at=time.time() - seconds,
            id=id or secrets.token_hex(8),
            client=self.client(known, peer),
            method=known.request.method,
            target=known.shown,
            status=status,
            outcome="head" if known.is_head else "hit",
            archive=known.archive,
            size=size,
            first_byte=round(first, 6),
            seconds=round(seconds, 6),
            is_whole=is_whole,
            counted=counted,
        )
        self._mirror.recent.note(asked)

    @property
    def under_way(self) -> set[UnderWay]:
        """Where answers are while they are under way."""
        return self._mirror.recent.under_way

    def client(self, known: Known, peer: str | None) -> str:
        """Who asked, as far as that is to be known."""
        trusted, address = self._mirror.settings.forwarded_allow_ips, peer or ""
        if trusted:
            found = client_address(replace(known.request, peer=peer), trusted)
            address = str(found) if found else ""
        return anonymised(address, self._mirror.settings.anonymise_clients)
