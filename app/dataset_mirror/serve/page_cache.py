"""What of a file is in memory already, so that reading it does not wait for the disk."""

import os

STEP = 1024 * 1024
"""Bytes of a file that are sent at once at most, to a client that is alone."""
_PROBE = 128 * 1024
_NOWAIT = getattr(os, "RWF_NOWAIT", None)


def is_in_memory(file: int, start: int, end: int) -> bool:
    """Whether reading [start, end) would not wait for the disk, judged by a byte of each 128 KiB; False where nobody can tell."""
    if _NOWAIT is None:
        return False
    try:
        for at in (*range(start, end, _PROBE), end - 1):
            os.preadv(file, [bytearray(1)], at, _NOWAIT)
    except OSError:  # EAGAIN: not in memory; EOPNOTSUPP: this file system cannot tell
        return False
    return True
