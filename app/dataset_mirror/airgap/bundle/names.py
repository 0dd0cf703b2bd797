"""Names of payload files: `data/<host>/<path>`, such that ext4, exFAT and disks that do not tell case apart can hold them.

The name is for people. What an archive really is stands in the bag's `archives.ndjson`; the digest leads to the file.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from itertools import count

from dataset_mirror.airgap.bundle.bag import PAYLOAD
from dataset_mirror.origins.identity import ArchiveId

_LONGEST, _LONGEST_PATH = 200, 1000
_UNHOLDABLE = re.compile(r"[^!#$&-)+-.0-9;@-\[\]^_`a-{}~]")
"""Control, space, non-ASCII, `" % * / : < > ? \\ |` and `=`, which begins our escapes: RFC 8493 wants `%` escaped once
more in manifests, which `sha256sum -c` does not undo; so no name has one."""
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


def natural(archive: ArchiveId) -> str:
    """The payload path of the archive if nothing is in its way. Two archives rarely have the same: `?` and `%3F`."""
    segments = [archive.authority, *archive.path[1:].split("/")]
    if archive.query:
        segments[-1] += f"?{archive.query}"
    if archive.variant:
        segments[-1] += f"#{archive.variant}"
    path = PAYLOAD + "/".join(_fit(segment) for segment in segments)
    return path if len(path) <= _LONGEST_PATH else f"{PAYLOAD}{_fit(archive.authority)}/=long/{_hash(str(archive))}"


def _fit(segment: str) -> str:
    """The segment as a file name; `%20` becomes `=20`, and what a disk cannot hold likewise."""
    name = _UNHOLDABLE.sub(lambda match: "=" if match[0] == "%" else f"={ord(match[0]):02X}", segment) or "="
    if name.endswith("."):
        name = f"{name[:-1]}=2E"
    if _DEVICES.fullmatch(name):
        name = f"={ord(name[0]):02X}{name[1:]}"
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 17]}~{_hash(segment)[:16]}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Names:
    """Gives each blob of one bag a path of its own, even for a disk that does not tell case apart."""

    def __init__(self, paths: Iterable[str]) -> None:
        """`paths`: the natural ones of all that is to come; a file cannot have the name of a folder."""
        self._taken = {folder for path in paths for folder in _folders(path.lower())}

    def path(self, archive: ArchiveId, sha256: str) -> str:
        """The natural path, or one with a part of the digest behind it."""
        return next(path for path in _candidates(natural(archive), sha256) if self._take(path.lower()))

    def _take(self, path: str) -> bool:
        if path in self._taken:
            return False
        self._taken.add(path)
        return True


def _folders(path: str) -> Iterator[str]:
    at = path.find("/")
    while at >= 0:
        yield path[:at]
        at = path.find("/", at + 1)


def _candidates(path: str, sha256: str) -> Iterator[str]:
    yield path
    yield f"{path}~{sha256[:8]}"
    for number in count(1):
        yield f"{path}~{sha256[:32]}~{number}"
