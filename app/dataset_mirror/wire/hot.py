"""Small archives that are asked for often, in memory, with the heads of their answers: a plain GET needs nothing else.

An entry is trusted while nothing was written to the index, by whichever process (`PRAGMA data_version`); after a write it is
compared with its record once. Its head is made once a second, by the same function as every other, since it tells an age.
"""

import asyncio
import os
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import BinaryIO

from dataset_mirror.mirror import Mirror
from dataset_mirror.rules.conditions import select
from dataset_mirror.serve.asgi import RawFields, Request
from dataset_mirror.serve.head import Representation, archive_head
from dataset_mirror.store.record import Record
from dataset_mirror.wire.framing import head

LARGEST = 256 * 1024
"""Bytes of a blob that is small."""
_OVERHEAD = 2048
"""Bytes that an entry takes beside its body."""
_OTHERS = frozenset(
    (
        *(b"range", b"if-range", b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since"),
        *(b"x-request-id", b"expect", b"upgrade", b"via", b"content-length", b"transfer-encoding"),
    )
)
"""Request fields that need the gateway."""

Key = tuple[bytes, bytes]
"""Target and Host, as they came."""


@dataclass(slots=True)
class _Entry:
    record: Record
    body: bytes
    version: int
    """The index' data version at which the record was current."""
    answer: bytes = b""
    """Head and body, so that nothing is copied but by the kernel."""
    made: RawFields | None = None
    """The server's own fields that the head begins with: another list each second."""


class Hot:
    """A bounded cache of answers to plain GETs, the ones that were asked for longest ago going first."""

    def __init__(self, mirror: Mirror, processes: int = 1) -> None:
        """`processes` share the memory that is set for it."""
        self._mirror, self._processes = mirror, processes
        self._origins = mirror.origins
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        self._size = 0
        self._seen: int | None = None
        """The index' data version, as of this turn of the loop."""

    def keep(self, request: Request, record: Record, file: BinaryIO) -> None:
        """Remembers what a request was answered with, if it was small, and the like may be answered from memory."""
        target = request.target
        limit = self._mirror.settings.memory_cache // self._processes
        if record.size > min(LARGEST, limit) or len(target.hosts) != 1 or target.authority not in (None, target.hosts[0]):
            return
        body = os.pread(file.fileno(), record.size, 0)
        if len(body) != record.size:
            return  # a damaged blob: the answer under way breaks off, and so must the next
        self._check_origins()
        key = (target.path + b"?" + target.query if target.query else target.path, target.hosts[0].encode("latin-1"))
        self._drop(key)
        # Of the version before the record was looked up nothing is known, so it is looked up once more at the next hit.
        self._entries[key] = _Entry(record, body, version=-1)
        self._size += 2 * record.size + _OVERHEAD
        while self._size > limit:
            self._drop(next(iter(self._entries)))

    def answer(self, url: bytes, fields: list[tuple[bytes, bytes]], own_fields: RawFields) -> bytes | None:
        """Head and body for a GET, if it is a plain one of an archive that is here; it is counted as a hit.

        `own_fields` are the server's, which come first.
        """
        entry = self._entry(url, fields)
        if entry is None:
            return None
        if entry.made is not own_fields:
            entry.answer, entry.made = self._head(entry.record, own_fields) + entry.body, own_fields
        archive = entry.record.archive
        self._mirror.traffic.answered(archive.authority, "hit")
        self._mirror.traffic.send(archive.authority, len(entry.body))
        self._mirror.usage.note(archive)
        return entry.answer

    def _entry(self, url: bytes, fields: list[tuple[bytes, bytes]]) -> _Entry | None:
        host = b""
        for name, value in fields:
            if name == b"host":
                if host:
                    return None
                host = value.strip()
            elif name in _OTHERS or (name == b"connection" and value.lower() != b"keep-alive"):
                return None
        self._check_origins()
        key = (url, host)
        entry = self._entries.get(key)
        if entry is None or not self._is_current(key, entry):
            return None
        self._entries.move_to_end(key)
        return entry

    def _check_origins(self) -> None:
        """After a reload a target may mean another archive, or one that not everybody may have."""
        if self._origins is not self._mirror.origins:
            self._origins = self._mirror.origins
            self._entries.clear()
            self._size = 0

    def _is_current(self, key: Key, entry: _Entry) -> bool:
        index = self._mirror.store.index
        version = self._version()
        if entry.version == version:
            return True
        record = index.find(entry.record.archive)
        # Only the time of the last check may be another: bytes that were fetched anew may replace a damaged blob.
        if record is None or not self._mirror.may_be_hot(record) or replace(record, checked=entry.record.checked) != entry.record:
            self._drop(key)
            return False
        if record != entry.record:
            entry.record, entry.made = record, None
        entry.version = version
        return True

    def _version(self) -> int:
        """Asked for once in each turn of the loop: what is answered in this turn had been sent before it began."""
        if self._seen is None:
            self._seen = self._mirror.store.index.data_version()
            asyncio.get_running_loop().call_soon(self._forget_version)
        return self._seen

    def _forget_version(self) -> None:
        self._seen = None

    def _drop(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry:
            self._size -= 2 * len(entry.body) + _OVERHEAD

    def _head(self, record: Record, own_fields: RawFields) -> bytes:
        what = Representation.of_record(record, self._mirror.passing(record.archive))
        _, fields = archive_head(what, select({}, what.validators, what.size), "hit", *self._mirror.freshness(record).as_parameter())
        return head(200, [*own_fields, *fields])
