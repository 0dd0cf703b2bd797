"""What an offline mirror was asked for and does not know: hosts of tunnels, and URLs that no origin lists. They are wanted, too.

Whoever can reach the mirror can ask for anything. So only clients on private networks count, and of what they name only so much.
"""

import re
from collections import defaultdict
from ipaddress import ip_address

from dataset_mirror.fetch.misses import Misses
from dataset_mirror.origins.identity import ArchiveId
from dataset_mirror.origins.queries import identifying

_HOST = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\.[a-z][a-z0-9-]*[a-z0-9](:\d+)?")
_SECRET = re.compile(r"(?:^|[-_&])(?:token|key|sig|signature|secret|password|auth|credential)[^&=]*=", re.IGNORECASE)
_MOST_HOSTS, _MOST_PATHS = 200, 20
"""Noted by one process; more are not."""


class Unlisted:
    """Puts such requests on the wanted list, within bounds."""

    def __init__(self, misses: Misses) -> None:
        self._misses = misses
        self._known: dict[str, set[str]] = defaultdict(set)

    async def note(self, archive: ArchiveId, asked_by: str | None) -> bool:
        """Whether it is on the list now. Its query is left out if that may hold a secret: lists are carried around."""
        if not _is_private(asked_by) or len(archive.authority) > 253 or not _HOST.fullmatch(archive.authority):
            return False
        query = identifying(archive.asked_with, "drop-signature")
        wanted = ArchiveId.of(archive.authority, archive.path, "" if _SECRET.search(query) else query)
        return self._has_room(wanted) and await self._misses.note(wanted, asked_by)

    def _has_room(self, wanted: ArchiveId) -> bool:
        if wanted.authority not in self._known and len(self._known) >= _MOST_HOSTS:
            return False
        paths = self._known[wanted.authority]
        if wanted.target not in paths and len(paths) >= _MOST_PATHS:
            return False
        paths.add(wanted.target)
        return True


def _is_private(address: str | None) -> bool:
    try:
        found = ip_address(address or "")
    except ValueError:
        return False
    return found.is_private or found.is_link_local
