"""What an origin's block in mirror.toml has to say for some archives: carried in wanted lists and bundles, as a proposal.

The other side decides: nothing of it is taken by itself.
"""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from dataset_mirror.origins.identity import ArchiveId, parse_url
from dataset_mirror.origins.model import Origin
from dataset_mirror.origins.table import Origins
from dataset_mirror.origins.unknown import path_to_list

MARK = "#origin "
"""What begins a line of a list that is a proposal; others take it for a comment."""
_MOST = 64 * 1024


@dataclass(frozen=True, slots=True)
class Proposal:
    """A block: the origin, what of it is to be listed, and where it redirects to."""

    url: str
    paths: tuple[str, ...]
    redirects_to: tuple[str, ...] = ()

    @property
    def host(self) -> str:
        return parse_url(self.url).authority

    def to_line(self) -> str:
        known = {"host": self.host, "scheme": self.url.partition("://")[0], "paths": self.paths, "redirects_to": self.redirects_to}
        return json.dumps({name: value for name, value in known.items() if value})


def proposals(archives: Iterable[ArchiveId], origins: Origins) -> list[Proposal]:
    """A block for each host, by host; of hosts that are no origin here, for what is asked of them."""
    by_host: dict[str, list[ArchiveId]] = defaultdict(list)
    for archive in archives:
        by_host[archive.authority].append(archive)
    return [_proposal(some, origins.get(host)) for host, some in sorted(by_host.items())]


def _proposal(archives: list[ArchiveId], origin: Origin | None) -> Proposal:
    paths = tuple(sorted({_path(archive, origin) for archive in archives}))
    if origin is None:
        return Proposal(f"https://{archives[0].authority}", paths)
    return Proposal(f"{origin.scheme}://{origin.authority}", paths, origin.redirects_to)


def _path(archive: ArchiveId, origin: Origin | None) -> str:
    listed = (
        [path for path in origin.paths if path == archive.path or (path.endswith("/") and archive.path.startswith(path))] if origin else []
    )
    return max(listed, key=len) if listed else path_to_list(archive)


def of_line(line: str) -> Proposal | None:
    """The proposal that a line is; None if it is none, or not one that could stand in mirror.toml."""
    if len(line) > _MOST:
        return None
    try:
        said = json.loads(line)
        origin = Origin(url=f"{said['scheme']}://{said['host']}", paths=said["paths"], redirects_to=said.get("redirects_to", ()))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return Proposal(f"{origin.scheme}://{origin.authority}", origin.paths, origin.redirects_to)


def in_list(text: str) -> list[Proposal]:
    """The proposals in a list."""
    found = (of_line(line.removeprefix(MARK)) for line in text.splitlines() if line.startswith(MARK))
    return [proposal for proposal in found if proposal]


def needed(archives: Iterable[ArchiveId], origins: Origins, proposed: Iterable[Proposal], allowed: Iterable[str]) -> list[Proposal]:
    """The blocks that allow what is not listed here, of the hosts that somebody allowed.

    A redirect that is proposed is a part of it only if its host was allowed, too.
    """
    allowed = frozenset(allowed)
    known = {proposal.host: proposal for proposal in proposed}
    found = []
    for block in proposals(archives, origins):
        if block.host in allowed:
            more = known.get(block.host, block)
            found.append(Proposal(more.url, block.paths, tuple(host for host in more.redirects_to if host in allowed)))
    return found
