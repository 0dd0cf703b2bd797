"""What a worker answered since it last said so: it is counted in the filling process, which tells people and writes it down."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from dataset_mirror.fetch.recent import Elsewhere, Recent
from dataset_mirror.fetch.tail import Line
from dataset_mirror.mirror import Mirror
from dataset_mirror.store.usage import Gathered


@dataclass(frozen=True, slots=True)
class Counts:
    """Of one process, for a while; `under_way` and `reading` are of the moment."""

    requests: Counter[tuple[str, str]]
    sent: Counter[str]
    usage: Gathered
    recent: Recent
    lines: Sequence[Line]
    under_way: frozenset[Elsewhere]
    reading: Counter[str]

    @classmethod
    def taken_from(cls, mirror: Mirror) -> Self:
        """What was counted there, where counting starts again."""
        traffic, under_way = mirror.traffic, frozenset(map(Elsewhere.of, mirror.recent.under_way))
        counts = cls(
            traffic.requests, traffic.sent, mirror.usage.take(), mirror.recent.take(), mirror.tail.take(), under_way, +mirror.reading
        )
        traffic.requests, traffic.sent = Counter(), Counter()
        return counts

    def __bool__(self) -> bool:
        return bool(self.requests or self.sent or self.usage.archives or self.recent.requests or self.recent.clients or self.lines)

    def add_to(self, mirror: Mirror) -> None:
        """Counts there what is counted."""
        mirror.traffic.add(self.requests, self.sent)
        mirror.usage.add(self.usage)
        mirror.recent.add(self.recent)
        mirror.tail.add(self.lines)
