"""Pages and their files, gzipped for clients that take it: a page is a fourth of its size then."""

import asyncio
import gzip
from collections.abc import Callable
from typing import TypeVar

from fastapi import Request
from fastapi.responses import Response

from dataset_mirror.rules.weights import takes_gzip

R = TypeVar("R", bound=Response)
_LEAST, _LEVEL = 1_000, 5
"""Bytes below which it is not worth it; and how hard zlib tries."""


def gzipped(content: bytes) -> bytes:
    return gzip.compress(content, _LEVEL, mtime=0)


async def packed(request: Request, response: R, gzipped: Callable[[bytes], bytes] = gzipped) -> R:
    """The response, which is whole in memory, as this client takes it. Its entity tag, if it has one, must be weak."""
    response.headers["Vary"] = ", ".join(filter(None, (response.headers.get("Vary"), "Accept-Encoding")))
    if len(response.body) >= _LEAST and takes_gzip(request.headers.get("Accept-Encoding", "")):
        response.body = await asyncio.to_thread(gzipped, bytes(response.body))
        response.headers["Content-Encoding"] = "gzip"
        response.headers["Content-Length"] = str(len(response.body))
    return response
