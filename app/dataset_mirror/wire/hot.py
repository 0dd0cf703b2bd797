"""Archives that are asked for often, with the heads of their answers, and small ones in memory: a plain request needs nothing else.

An entry is trusted while nothing was written to the index, by whichever process (`PRAGMA data_version`); after a write it is
compared with its record once. What a head means is remembered by its bytes, so that the same bytes need no parser.
"""

import asyncio
import os
import time
from collections import OrderedDict
from dataclasses import replace
from typing import BinaryIO
from urllib.parse import quote, unquote

from dataset_mirror.mirror import Mirror
from dataset_mirror.rules.conditions import Selection, select
from dataset_mirror.rules.secrets import without_secrets
from dataset_mirror.serve.asgi import Request
from dataset_mirror.store.record import Record
from dataset_mirror.wire.from_file import FromFile
from dataset_mirror.wire.heads import Meaning, is_plain, meaning, without_range
from dataset_mirror.wire.known import OVERHEAD, Entry, Key, Known
from dataset_mirror.wire.moment import Moment
from dataset_mirror.wire.parsing import Head
from dataset_mirror.wire.services import Client
from dataset_mirror.wire.tally import Tally

LARGEST = 256 * 1024
"""Bytes of a blob that is small, and kept in memory."""
_MOST_HEADS = 4096
_ALONE = 32

Answer = bytes | FromFile


class Hot:
    """A bounded cache of what answers to GET and HEAD are made of, what was asked for longest ago going first."""

    def __init__(self, mirror: Mirror, processes: int = 1) -> None:
        """`processes` share the memory that is set for it."""
        self._mirror, self._processes = mirror, processes
        self._tally = Tally(mirror)
        self._origins = mirror.origins
        self._entries: OrderedDict[Key, Entry] = OrderedDict()
        self._heads: dict[tuple[bytes, str | None], Known] = {}
        self._size = 0
        self._seen: int | None = None
        """The index' data version, as of this turn of the loop."""
        self._latest: Known | None = None
        self._sharing = self._alone = 0
        """Requests that shared it, and how many more ask for it themselves, since lately none would have shared it."""

    def keep(self, request: Request, record: Record, file: BinaryIO) -> None:
        """Remembers what a request was answered with, if the like may be answered without asking anybody."""
        target, limit = request.target, self._mirror.settings.memory_cache // self._processes
        if len(target.hosts) != 1 or target.authority not in (None, target.hosts[0]) or limit < OVERHEAD:
            return
        self._check_origins()
        key = (target.path + b"?" + target.query if target.query else target.path, target.hosts[0].encode("latin-1"))
        if (entry := self._entries.get(key)) and entry.record == record:
            return
        body = os.pread(file.fileno(), record.size, 0) if record.size <= min(LARGEST, (limit - OVERHEAD) // 2) else None
        if body is not None and len(body) != record.size:
            return  # a damaged blob: the answer under way breaks off, and so must the next
        self._drop(key)
        entry = self._entries[key] = Entry(record, body, str(self._mirror.store.blobs.path(record.sha256)))
        self._size += entry.size
        while self._size > limit:
            self._drop(next(iter(self._entries)))

    def again(self, data: bytes, client: Client) -> Answer | None:
        """The answer to a request whose head, these bytes, is known from an earlier one, but for its Range; it is counted as a hit."""
        known, wanted = self._heads.get((data, client.authority)), None
        if known is None:
            rest, wanted = without_range(data)
            known = self._heads.get((rest, client.authority)) if wanted else None
            if known is None:
                return None
        return self._answer(known, wanted, client)

    def answer(self, head: Head, data: bytes, client: Client) -> Answer | None:
        """The same for a head that was read, from `data` or from more than that."""
        asked = meaning(head, client.authority)
        entry = self._entries.get((asked.target, asked.host)) if asked else None
        if asked is None or entry is None:
            return None
        known = self._known(asked, entry, head)
        answer = self._answer(known, asked.range, client)
        rest, wanted = (data, None) if asked.range is None else without_range(data)
        if answer is not None and wanted == asked.range and is_plain(rest):
            if len(self._heads) >= _MOST_HEADS:
                self._heads.clear()
            self._heads[rest, client.authority] = known
        return answer

    def _known(self, asked: Meaning, entry: Entry, head: Head) -> Known:
        path, _, query = asked.target.decode("ascii").partition("?")
        shown = without_secrets(quote(unquote(path)) + ("?" + query if query else ""))
        request = Request.of(
            {"method": head.method, "headers": head.fields, "path": path, "raw_path": path.encode(), "query_string": query.encode()}
        )
        archive = without_secrets(str(entry.record.archive))
        return Known((asked.target, asked.host), entry, asked.is_head, asked.conditions, request, shown, archive)

    @property
    def latest(self) -> str:
        return self._latest.archive if self._latest else ""

    def _answer(self, known: Known, wanted: str | None, client: Client) -> Answer | None:
        self._latest = known
        entry = known.entry
        self._check_origins()
        if not self._is_current(known.key, entry):
            return None
        record = entry.record
        conditions = known.conditions if wanted is None or known.is_head else {**known.conditions, "range": wanted}
        selection = select(conditions, entry.validators, record.size) if conditions else entry.whole
        moment = entry.moment
        if moment is None or not moment.holds(time.time(), client.own_fields):
            moment = entry.moment = Moment(self._mirror, record, client.own_fields)
        if selection is entry.whole and entry.body is not None and not known.is_head:
            self._tally.repeated(known, client.peer)
            return moment.whole_of(entry.body)
        head = moment.head(selection, is_head=known.is_head)
        if known.is_head or selection.status not in (200, 206):
            return self._at_once(known, client.peer, selection, head, b"")
        if entry.body is not None:
            return self._at_once(known, client.peer, selection, head, entry.body[selection.start : selection.end])
        return self._from_file(known, head, selection, client.peer) if client.takes_files else None

    def _at_once(self, known: Known, peer: str | None, selection: Selection, head: bytes, body: bytes) -> bytes:
        self._tally.answered(known)
        self._tally.sent(known, len(body))
        self._tally.note(known, peer, selection.status, time.monotonic(), len(body), 0.0, is_whole=True)
        return head + body

    def _from_file(self, known: Known, head: bytes, selection: Selection, peer: str | None) -> FromFile | None:
        """None if the file has gone: the gateway knows what then."""
        try:
            file = os.open(known.entry.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        return FromFile(known, head, selection, file, self._tally, self._mirror.reading, peer)

    # What may be trusted

    def _check_origins(self) -> None:
        """After a reload a target may mean another archive, or one that not everybody may have."""
        if self._origins is not self._mirror.origins:
            self._origins = self._mirror.origins
            self._heads.clear()
            self._entries.clear()
            self._size = 0

    def _is_current(self, key: Key, entry: Entry) -> bool:
        if self._entries.get(key) is not entry:
            return False
        self._entries.move_to_end(key)
        version = self._version()
        if entry.version == version:
            return True
        record = self._mirror.store.index.find(entry.record.archive)
        # Only the time of the last check may be another: bytes that were fetched again may replace a damaged blob.
        if record is None or not self._mirror.may_be_hot(record) or replace(record, checked=entry.record.checked) != entry.record:
            self._drop(key)
            return False
        if record != entry.record:
            entry.take(record)
        entry.version = version
        return True

    def _version(self) -> int:
        """Asked for once in each turn of the loop: what is answered in this turn had been sent before it began.

        To hear of the next turn costs more than to ask, if the turn has one request only.
        """
        self._sharing += 1
        if self._seen is not None:
            return self._seen
        version = self._mirror.store.index.data_version()
        if self._alone:
            self._alone -= 1
        else:
            self._seen, self._sharing = version, 1
            asyncio.get_running_loop().call_soon(self._forget_version)
        return version

    def _forget_version(self) -> None:
        self._seen = None
        if self._sharing == 1:
            self._alone = _ALONE

    def _drop(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry:
            self._size -= entry.size
            entry.forget()
