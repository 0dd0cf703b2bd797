"""Writing a tree for KERAS_HOME into a folder. What is there and good is never touched; what is wrong is set aside, not removed."""

import contextlib
import os
import secrets
import shlex
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from dataset_mirror.airgap.files.copying import Copying, contents
from dataset_mirror.airgap.files.keras_home import KerasFile
from dataset_mirror.errors import MirrorError
from dataset_mirror.store import durable
from dataset_mirror.store.digests import Hashing, any_is_md5
from dataset_mirror.store.store import Store

_ABANDONED = 86400.0
"""Seconds after which a temporary file is nobody's any more. File locks would tell sooner, but shared disks may have none."""

State = Literal["checking", "writing", "present", "written", "failed"]
Finding = Literal["absent", "good", "wrong", "unknown"]


@dataclass(frozen=True, slots=True)
class Put:
    """How far one archive is on its way into the folder; `done` in bytes."""

    file: KerasFile
    state: State
    done: int = 0
    error: MirrorError | None = None

    @property
    def over(self) -> bool:
        return self.state in ("present", "written", "failed")


class Source(Protocol):
    """Where the bytes come from."""

    def copy(self, file: KerasFile, into: Copying) -> Iterator[int]:
        """Copies an archive, and tells how far it is; OSError or MirrorError if it cannot."""


class Blobs:
    """The blobs of a data folder as a source."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def copy(self, file: KerasFile, into: Copying) -> Iterator[int]:
        with self._store.blobs.open(file.sha256) as blob:
            yield from into.file(blob.fileno())


class KerasFolder:
    """A folder that is, or will be, somebody's KERAS_HOME."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.notes: list[str] = []
        """What somebody should know in the end."""

    def put(self, file: KerasFile, source: Source) -> Iterator[Put]:
        """Makes sure that the archive is in all of its places; the last word is present, written or failed."""
        try:
            written = yield from self._put(file, source)
        except OSError as error:
            where = f" at {error.filename}" if error.filename else ""
            yield Put(file, "failed", error=MirrorError(f"It cannot be written: {error.strerror or error}{where}.", "Look at that folder."))
        except MirrorError as error:
            yield Put(file, "failed", error=error)
        else:
            yield Put(file, "written" if written else "present", file.size)

    def _put(self, file: KerasFile, source: Source) -> Generator[Put, None, bool]:
        """Returns whether anything was missing."""
        good: Path | None = None
        absent: dict[Path, Finding] = {}
        for place in (self.root / path for path in file.paths):
            finding = yield from _finding(place, file)
            if finding == "unknown":
                raise MirrorError(
                    f"{place} is another file than the mirror's, and no digest is known that tells which is right: it stays.",
                    "If it may go, move it away and run this again.",
                )
            if finding == "good":
                good = good or place
            else:
                absent[place] = finding
        for place, finding in absent.items():
            with _fresh(place) as fresh:
                if good is None or not _linked(good, fresh):
                    yield from _copied(fresh, file, _Copy(good) if good else source)
                if finding == "wrong":  # only now: until the right one is there, it may be better than nothing
                    self._set_aside(place)
                durable.put(fresh, place)
            good = good or place
        return bool(absent)

    def _set_aside(self, place: Path) -> None:
        aside = place.with_name(f"{place.name}.set-aside")
        number = 1
        while os.path.lexists(aside):
            number += 1
            aside = place.with_name(f"{place.name}.set-aside-{number}")
        place.rename(aside)
        self.notes.append(f"{place} was not the archive of the catalog; it is {aside.name} now, and the right one is in its place.")


class _Copy:
    """A good file in the folder as the source of another one."""

    def __init__(self, original: Path) -> None:
        self._original = original

    def copy(self, _: KerasFile, into: Copying) -> Iterator[int]:
        with self._original.open("rb", buffering=0) as file:
            yield from into.file(file.fileno())


def _finding(place: Path, file: KerasFile) -> Generator[Put, None, Finding]:
    """What is there: the archive, surely not the archive, or something of which nobody can tell."""
    if not os.path.lexists(place):
        return "absent"
    if place.is_dir():
        raise MirrorError(f"{place} is a folder; Keras keeps a file there.", "Move it away and run this again.")
    if not place.is_file():
        return "wrong"
    hashing = Hashing(md5=any_is_md5(file.digests))
    with place.open("rb", buffering=0) as there:
        for data in contents(there.fileno()):
            hashing.update(data)
            yield Put(file, "checking", hashing.size)
    size = hashing.size
    if hashing.digests.has_any((file.sha256, *file.digests)):
        return "good"
    surely = file.digests or size == 0 or (file.expected_size is not None and size != file.expected_size)
    return "wrong" if surely else "unknown"


@contextlib.contextmanager
def _fresh(place: Path) -> Iterator[Path]:
    """A name beside the place, for what is to be put there at once and whole; gone at the end if it was not."""
    place.parent.mkdir(parents=True, exist_ok=True)
    _clear(place)
    fresh = place.with_name(f".{place.name}.{secrets.token_hex(4)}.part")
    try:
        yield fresh
    finally:
        fresh.unlink(missing_ok=True)


def _linked(good: Path, fresh: Path) -> bool:
    """False, and nothing is there, where that cannot be done. A link by name is copied: it may lead nowhere from another folder."""
    if good.is_symlink():
        return False
    try:
        fresh.hardlink_to(good)
    except OSError:  # the disk has no links, or this would be one too many
        return False
    return True


def _copied(fresh: Path, file: KerasFile, source: Source) -> Iterator[Put]:
    """A new file with the archive's bytes, verified and durable."""
    descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        copying = Copying(descriptor, md5=any_is_md5(file.digests))
        for done in source.copy(file, copying):
            yield Put(file, "writing", done)
        if not copying.digests.has_any((file.sha256, *file.digests)):
            raise MirrorError(
                f"Its bytes have the SHA-256 {copying.digests.sha256}, not {file.sha256}.", "Ask the mirror: dataset-mirror verify"
            )
        os.utime(descriptor, (time.time(), file.modified))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _clear(place: Path) -> None:
    """Removes what runs that were killed left of this file."""
    for left in place.parent.iterdir():
        if left.name.startswith(f".{place.name}.") and left.name.endswith(".part"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - left.lstat().st_ctime > _ABANDONED:
                    left.unlink()


def advice(root: Path, environment: dict[str, str]) -> list[str]:
    """What Keras does with this folder, where that is not what one expects."""
    usual, place = Path("~/.keras").expanduser(), shlex.quote(str(root))
    mine = f"Make one of your own that leads there: mkdir -p ~/keras && cp -rs {place}/. ~/keras/ && export KERAS_HOME=~/keras"
    if not os.access(root, os.W_OK):
        return [f"You may not write to {root}, so Keras ignores it and uses /tmp/.keras. {mine}"]
    if root == usual.absolute():
        other = environment.get("KERAS_HOME")
        return [f"KERAS_HOME is {other} here: Keras 3 looks there, Keras 2 and tf_keras here."] if other and Path(other) != root else []
    return [
        f"For Keras 3: export KERAS_HOME={place}",
        f"Whoever may not write to it: Keras ignores such a folder and uses /tmp/.keras. {mine}",
        "Keras 2 and tf_keras ignore KERAS_HOME. For them: dataset-mirror keras-home ~/.keras",
    ]
