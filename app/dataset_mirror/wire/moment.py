"""The heads of one archive's answers, as they are for a moment: they tell an age. Made by the function that makes all others."""

import math
import time

from dataset_mirror.mirror import Mirror
from dataset_mirror.rules.conditions import Selection
from dataset_mirror.serve.asgi import RawFields
from dataset_mirror.serve.head import Representation, archive_head
from dataset_mirror.store.record import Record
from dataset_mirror.wire.framing import head


class Moment:
    """Its answers, while the server's own fields are the same, which come first in each head, and its age in seconds."""

    def __init__(self, mirror: Mirror, record: Record, own_fields: RawFields) -> None:
        self._own_fields = own_fields
        self._what = Representation.of_record(record, mirror.passing(record.archive))
        freshness = mirror.freshness(record)
        self._status = ("hit", *freshness.as_parameter())
        self._since = time.time()
        older = (record.checked or record.fetched) + self._what.age + 1
        staler = math.inf if freshness.ttl is None else self._since + freshness.ttl % 1
        self._until = min(older, staler)
        self._heads: dict[tuple[int, bool], bytes] = {}
        self._around: tuple[bytes, bytes] | None = None
        self._whole = b""
        self.in_memory: set[int] = set()
        """Steps of its blob that the kernel had in memory."""

    def holds(self, now: float, own_fields: RawFields) -> bool:
        """Whether an answer that was made now would be the same."""
        return self._own_fields is own_fields and self._since <= now < self._until

    def head(self, selection: Selection, *, is_head: bool) -> bytes:
        """The head of an answer to GET, or to HEAD."""
        if selection.status == 206:
            return self._of_part(selection.start, selection.end or 0)
        key = selection.status, is_head
        if key not in self._heads:
            what = self._what.without_content() if is_head else self._what
            _, fields = archive_head(what, selection, *self._status)
            self._heads[key] = head(selection.status, [*self._own_fields, *fields])
        return self._heads[key]

    def whole_of(self, body: bytes) -> bytes:
        """Head and body of the whole in one, so that nothing is copied but by the kernel."""
        if not self._whole:
            self._whole = self.head(Selection(200, 0, len(body)), is_head=False) + body
        return self._whole

    def _of_part(self, start: int, end: int) -> bytes:
        """All parts' heads are alike, but for two fields that stand together."""
        if self._around is None:
            _, fields = archive_head(self._what, Selection(206, start, end), *self._status)
            at = [name for name, _ in fields].index(b"content-range")
            assert fields[at - 1][0] == b"content-length"
            before = head(206, [*self._own_fields, *fields[: at - 1]])
            after = head(206, fields[at + 1 :])
            self._around = before[:-2], after[after.index(b"\r\n") + 2 :]
        fields_between = b"content-length: %d\r\ncontent-range: bytes %d-%d/%d\r\n" % (end - start, start, end - 1, self._what.size or 0)
        return fields_between.join(self._around)
