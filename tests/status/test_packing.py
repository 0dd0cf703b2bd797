"""Pages and files for clients that take gzip."""

from __future__ import annotations

import gzip
import os
import tracemalloc

from fastapi import Request
from fastapi.responses import Response

from dataset_mirror.status.packing import packed

SIZE = 1_000_000


async def test_pages_leave_nothing_behind() -> None:
    """Nothing of a page stays in memory when it has been packed: each is another one."""
    request = Request({"type": "http", "headers": [(b"accept-encoding", b"gzip")]})
    await packed(request, Response(os.urandom(SIZE)))
    tracemalloc.start()
    try:
        for _ in range(16):
            page = os.urandom(SIZE)
            assert gzip.decompress((await packed(request, Response(page))).body) == page
        assert tracemalloc.get_traced_memory()[0] < 4 * SIZE
    finally:
        tracemalloc.stop()
