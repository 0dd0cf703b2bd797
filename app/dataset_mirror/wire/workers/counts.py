"""What a worker answered since it last said so: it is counted in the filling process, which tells people and writes it down."""

from collections import Counter
from dataclasses import dataclass
from typing import Self

from dataset_mirror.fetch.recent import Recent
from dataset_mirror.mirror import Mirror
from dataset_mirror.store.usage import Hits


@dataclass(frozen=True, slots=True)
class Counts:
    """Of one process, for a while; `reading` is of the moment."""

    requests: Counter[tuple[str, str]]
    sent: Counter[str]
    hits: Hits
    recent: Recent
    reading: Counter[str]

    @classmethod
    def taken_from(cls, mirror: Mirror) -> Self:
        """What was counted there, which begins anew."""
        traffic = mirror.traffic
        counts = cls(traffic.requests, traffic.sent, mirror.usage.take(), mirror.recent, +mirror.reading)
        traffic.requests, traffic.sent, mirror.recent = Counter(), Counter(), Recent()
        return counts

    def __bool__(self) -> bool:
        return bool(self.requests or self.sent or self.hits or self.recent.requests or self.recent.clients)

    def add_to(self, mirror: Mirror) -> None:
        """Counts all of it there, but for `reading`."""
        mirror.traffic.add(self.requests, self.sent)
        mirror.usage.add(self.hits)
        mirror.recent.add(self.recent)
