"""A bundle that somebody has unpacked: its files are opened by the names that the manifest has."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from dataset_mirror.airgap.bundle.bag import DECLARATION, INFO, LINES, MANIFEST, TAG_MANIFEST
from dataset_mirror.airgap.bundle.hashing import Opened
from dataset_mirror.airgap.bundle.member import Member


def members(folder: Path, payload: Callable[[], Iterable[str]]) -> Iterator[Member]:
    """The tag files, then the files at the paths that `payload` tells when it is asked; those that are not there are passed over."""
    for name in (DECLARATION, INFO, MANIFEST, LINES, TAG_MANIFEST):
        yield from _member(folder, name)
    for name in payload():
        yield from _member(folder, name)


def _member(folder: Path, name: str) -> Iterator[Member]:
    """The file, open until the next one is asked for. A link is none, and a path through a folder that is a link leads nowhere."""
    path = folder / name
    try:
        if not path.parent.resolve().is_relative_to(folder.resolve()):
            yield Member(name, 0, None, "path out of the bundle")
            return
        if path.is_symlink():
            yield Member(name, 0, None, "symbolic link")
            return
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, RuntimeError):  # which is how Python before 3.13 tells of links that lead in a circle
        return
    try:
        status = os.fstat(descriptor)
        plain = stat.S_ISREG(status.st_mode)
        yield Member(name, status.st_size, Opened(descriptor) if plain else None, "file" if plain else "file of another kind")
    finally:
        os.close(descriptor)
