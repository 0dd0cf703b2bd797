"""Who asked for an archive of late: from the latest requests, in memory. Addresses only as everybody may see them."""

from collections.abc import Iterable
from dataclasses import dataclass

from dataset_mirror.fetch.recent import Asked
from dataset_mirror.mirror import Mirror
from dataset_mirror.status.live import told


@dataclass(slots=True)
class Visitor:
    """One client, or a network of them."""

    name: str
    requests: int = 0
    size: int = 0
    last: float = 0.0


class Late:
    """The latest requests by archive; made once for a page."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._by_archive: dict[str, list[Asked]] = {}
        for asked in list(mirror.recent.requests):
            if asked.archive:
                self._by_archive.setdefault(asked.archive, []).append(asked)

    def of(self, urls: Iterable[str]) -> list[Visitor]:
        """Who asked for any of these, the last one first."""
        found: dict[str, Visitor] = {}
        for url in urls:
            for asked in self._by_archive.get(url.partition("://")[2], ()):
                name = told(self._mirror, asked.client, whole=False)
                visitor = found.setdefault(name, Visitor(name))
                visitor.requests += 1
                visitor.size += asked.size
                visitor.last = max(visitor.last, asked.at)
        return sorted(found.values(), key=lambda one: one.last, reverse=True)
