"""The files of a bag, as BagIt has them (RFC 8493). Pure: texts in, texts out.

A bundle is one bag in one tar, in a top folder, so that `tar xf` makes one folder and `sha256sum -c manifest-sha256.txt` in it
checks everything. Its tag files come first: whoever reads it from a pipe can check each archive as it passes.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

DECLARATION, INFO, MANIFEST, TAG_MANIFEST = "bagit.txt", "bag-info.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt"
LINES = "archives.ndjson"
"""The one tag file of ours: a line per archive, as the journal has them. The digest leads from a line to its payload file."""
ORIGIN = "Dataset-Mirror-Origin"
"""Our label in `bag-info.txt`."""
PAYLOAD = "data/"
MOST_TAG_BYTES = 128 * 1024 * 1024
"""Bytes of the longest tag file: it is held in memory."""

_ENTRY = re.compile(r"([0-9a-fA-F]{64})[ \t]+\*?(\S.*)")
_ESCAPES = {"%0A": "\n", "%0a": "\n", "%0D": "\r", "%0d": "\r", "%25": "%"}


@dataclass(frozen=True, slots=True)
class Payload:
    """One file of the payload: its path in the bag, its digest and bytes, and when its bytes were fetched (seconds since the epoch)."""

    path: str
    sha256: str
    size: int
    fetched: float
    url: str
    """An archive that it is; there may be more."""


def declaration() -> bytes:
    """`bagit.txt` (RFC 8493 2.1.1)."""
    return b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"


def info(payload: Iterable[Payload], software: str, newest: float, origins: Iterable[str] = ()) -> bytes:
    """`bag-info.txt` (RFC 8493 2.2.2). Its date is that of the `newest` bytes, so that equal bags are equal bytes.

    `origins` are the blocks that the other side may need, each a line of JSON.
    """
    sizes = [each.size for each in payload]
    known = {
        "Bag-Software-Agent": software,
        "Bagging-Date": f"{datetime.fromtimestamp(newest, UTC):%Y-%m-%d}",
        "External-Description": f"Archives of a dataset mirror; {LINES} has their URLs",
        "Payload-Oxum": f"{sum(sizes)}.{len(sizes)}",
    }
    lines = [*known.items(), *((ORIGIN, line) for line in origins)]
    return "".join(f"{name}: {value}\n" for name, value in lines).encode()


def origins_in(text: bytes) -> list[str]:
    """The origins' blocks in a `bag-info.txt`."""
    begin = f"{ORIGIN}: "
    return [line.removeprefix(begin) for line in text.decode(errors="replace").splitlines() if line.startswith(begin)]


def manifest(digests: Iterable[tuple[str, str]]) -> bytes:
    """A manifest of (path, digest) (RFC 8493 2.1.3), sorted by path; no path of ours needs an escape."""
    return "".join(f"{digest}  {path}\n" for path, digest in sorted(digests)).encode()


def read_manifest(text: bytes) -> dict[str, str]:
    """Digest by path. ValueError if it is none, names a path twice, or one that leads out of the bag."""
    found: dict[str, str] = {}
    for line in text.decode().splitlines():
        match = _ENTRY.fullmatch(line)
        if match is None:
            raise ValueError(f"a line is no digest and path: {line[:80]!r}")
        path = re.sub("%(0[AaDd]|25)", lambda escape: _ESCAPES[escape[0]], match[2])
        if not is_inside(path) or path in found:
            raise ValueError(f"{path[:80]!r} is there twice" if path in found else f"{path[:80]!r} leads out of the bag")
        found[path] = match[1].lower()
    return found


def is_inside(path: str) -> bool:
    """Whether a relative path, with slashes, stays below the folder that it begins at, on any system."""
    parts = path.split("/")
    return not any(part in ("", ".", "..") for part in parts) and path.isprintable() and "\\" not in path and not path.startswith("~")
