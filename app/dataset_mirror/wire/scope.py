"""ASGI's scope of a request (spec 2.3), made of what is the same for its connection and what is its own."""

import asyncio
import os
from typing import Any
from urllib.parse import unquote

from dataset_mirror.serve.asgi import EXTENSION, ZERO_COPY, Scope
from dataset_mirror.wire.parsing import Head
from dataset_mirror.wire.requests import named


def of_connection(transport: asyncio.Transport, authority: str | None) -> dict[str, Any]:
    """What all requests of a connection share; `authority` is that of the CONNECT around it."""
    is_tls = transport.get_extra_info("sslcontext") is not None
    ours = {} if authority is None else {"authority": authority, "intercepted": authority}
    extensions: dict[str, dict[str, Any]] = {EXTENSION: ours}
    if not is_tls and hasattr(os, "sendfile"):
        extensions[ZERO_COPY] = {}
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "server": address(transport, "sockname"),
        "client": address(transport, "peername"),
        "scheme": "https" if is_tls else "http",
        "extensions": extensions,
    }


def of_request(shared: dict[str, Any], head: Head, root_path: str, state: dict[str, Any]) -> Scope:
    """The scope of one request. BadRequest if its target names nothing."""
    authority, path, query = named(head)
    extensions = shared["extensions"]
    if authority is not None:  # of the absolute form; it wins over Host (RFC 9112 3.2.2)
        extensions = extensions | {EXTENSION: extensions[EXTENSION] | {"authority": authority}}
    raw = root_path.encode() + path
    decoded = raw.decode("ascii")
    return {
        **shared,
        "extensions": extensions,
        "http_version": head.version,
        "method": head.method,
        "root_path": root_path,
        "path": unquote(decoded) if "%" in decoded else decoded,
        "raw_path": raw,
        "query_string": query,
        "headers": head.fields,
        "state": state.copy(),
    }


def address(transport: asyncio.BaseTransport, which: str) -> tuple[str, int] | None:
    """Host and port of an end (`sockname` or `peername`); None of a Unix socket."""
    known = transport.get_extra_info(which)
    return (str(known[0]), int(known[1])) if isinstance(known, tuple) and len(known) >= 2 else None
