"""A tree for KERAS_HOME as a tar stream: made while it is sent, from the blobs themselves.

A connection that breaks never breaks between two members: tar would take what it got for all. So the end of one member, the
head of the next and the first bytes of that leave together.
"""

import asyncio
import tarfile
from collections.abc import AsyncIterator, Sequence
from typing import BinaryIO

from dataset_mirror.airgap.files.keras_home import KerasFile
from dataset_mirror.errors import MirrorError, NotStored
from dataset_mirror.mirror import Mirror

STEP = 1024 * 1024
_END = 2 * tarfile.BLOCKSIZE


def length(files: Sequence[KerasFile]) -> int:
    """Bytes of the whole stream."""
    return _filled(sum(len(_heads(file)[0]) + len(_heads(file)[1]) + _padded(file.size) for file in files) + _END, tarfile.RECORDSIZE)


async def stream(mirror: Mirror, files: Sequence[KerasFile]) -> AsyncIterator[bytes]:
    """The bytes of the tar archive. NotStored if a blob has gone meanwhile: then the answer must not end as if it were whole.

    Until the end no room is made of these blobs.
    """
    for file in files:
        mirror.reading[file.sha256] += 1
    try:
        pending, sent = b"", 0
        for file in files:
            head, links = _heads(file)
            pending += head
            async for data in _bytes_of(mirror, file, pending):
                yield data
                sent += len(data)
            pending = bytes(_padded(file.size) - file.size) + links
            mirror.usage.note(file.archive)
        yield pending + bytes(length(files) - sent - len(pending))
    finally:
        for file in files:
            mirror.reading[file.sha256] -= 1


async def _bytes_of(mirror: Mirror, file: KerasFile, pending: bytes) -> AsyncIterator[bytes]:
    """`pending` and the archive's bytes; whatever goes wrong with these, `pending` has left before it is said."""
    try:
        with await asyncio.to_thread(mirror.store.blobs.open, file.sha256) as blob:
            left = file.size
            while left or pending:
                data = await asyncio.to_thread(_read, blob, min(STEP, left))
                left -= len(data)
                mirror.traffic.send(file.archive, len(data))
                yield pending + data
                pending = b""
                if not data and left:
                    raise _gone(file)
    except OSError:
        if pending:
            yield pending
        raise _gone(file) from None


def _read(blob: BinaryIO, count: int) -> bytes:
    return blob.read(count)


def _gone(file: KerasFile) -> MirrorError:
    return NotStored(
        f"The blob of {file.url} was removed while it was being sent.", "Ask again; dataset-mirror verify tells what else is lost."
    )


def _heads(file: KerasFile) -> tuple[bytes, bytes]:
    """The head of the archive's member, and the members that are links to it. Folders have none: those that exist keep their modes."""
    first, *others = file.paths
    links = b"".join(_head(file, path, link_to=first) for path in others)
    return _head(file, first), links


def _head(file: KerasFile, path: str, link_to: str | None = None) -> bytes:
    member = tarfile.TarInfo(path)
    member.mode, member.mtime = 0o644, int(file.modified)
    if link_to is None:
        member.size = file.size
    else:
        member.type, member.linkname = tarfile.LNKTYPE, link_to
    return member.tobuf(tarfile.GNU_FORMAT)


def _padded(size: int) -> int:
    return _filled(size, tarfile.BLOCKSIZE)


def _filled(size: int, block: int) -> int:
    return -(-size // block) * block
