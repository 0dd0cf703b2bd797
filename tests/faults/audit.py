"""Whether what a stopped mirror has on its disk agrees with itself; read without its own code but for the journal's lines."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit


def disagreements(data: Path) -> Iterator[str]:
    """Blobs that are not what their names say, rows without blobs, and what only one of journal and index knows."""
    blobs = {path.name: path for path in (data / "blobs").glob("sha256/*/*")}
    for name, path in blobs.items():
        if hashlib.sha256(path.read_bytes()).hexdigest() != name:
            yield f"the blob {name} has other bytes"
    with closing(sqlite3.connect(data / "index.db")) as index:
        for (said,) in index.execute("PRAGMA integrity_check"):
            if said != "ok":
                yield f"the index: {said}"
        versions = set(index.execute("SELECT key, sha256, size FROM versions"))
        current = set(index.execute("SELECT key, sha256 FROM archives"))
    known = {(key, sha256) for key, sha256, _ in versions}
    for key, sha256, size in versions:
        if sha256 not in blobs:
            yield f"{key}: its blob {sha256[:8]} is not there"
        elif blobs[sha256].stat().st_size != size:
            yield f"{key}: its blob {sha256[:8]} has another size"
    yield from (f"{key} is current with bytes that are no version" for key, _ in current - known)
    yield from (f"{key} has versions, none of which is current" for key in {key for key, _ in known} - {key for key, _ in current})
    journal = _journalled(data / "archives.ndjson")
    yield from (f"{key} {sha256[:8]}: in the index, not in the journal" for key, sha256 in known - journal)
    yield from (f"{key} {sha256[:8]}: in the journal, not in the index" for key, sha256 in journal - known)


def _journalled(journal: Path) -> set[tuple[str, str]]:
    """What is there by the journal: key and digest of each version."""
    there: set[tuple[str, str]] = set()
    for line in journal.read_bytes().splitlines() if journal.exists() else ():
        try:
            known = json.loads(line)
            key, sha256 = _key(known.get("removed") or known["url"]), known.get("sha256")
        except (ValueError, KeyError, AttributeError):
            continue  # torn
        if "removed" in known:
            there = {(other, digest) for other, digest in there if other != key or (sha256 and digest != sha256)}
        else:
            there.add((key, sha256))
    return there


def _key(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.netloc}{parts.path}" + (f"?{parts.query}" if parts.query else "")
