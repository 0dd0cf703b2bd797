"""Relays: inside a CONNECT to an origin, requests that are not for its archives go to the real host, unchanged, and back.

So does, at any address, what a rule never keeps; by way of the origin's upstreams, if it has others.

Nothing of them is kept, and nothing logged but the host.
"""

import asyncio
import logging
from collections.abc import AsyncIterator

import httpx

from dataset_mirror.doors.decision import is_private
from dataset_mirror.errors import MirrorError, NotAllowed, Offline, OriginUnreachable
from dataset_mirror.fetch.upstream import Upstream
from dataset_mirror.mirror import Mirror
from dataset_mirror.origins.identity import ArchiveId, check_query, normalise_path
from dataset_mirror.origins.model import Origin
from dataset_mirror.rules.fields import end_to_end
from dataset_mirror.serve.asgi import RELAYED, ClientGone, RawFields, Receive, Request, Scope, Send

log = logging.getLogger(__name__)

_NO_BODY = (204, 304)


def check_may_relay(mirror: Mirror, origin: Origin, request: Request) -> None:
    """NotAllowed or Offline unless the request may go to the origin's host."""
    if not origin.passthrough and not _is_listed(origin, request):
        raise NotAllowed(
            f"The origin {origin.authority} does not list this path, and its other paths are not passed through.",
            "To allow it, add it to `paths` of that origin, or leave out passthrough = false.",
        )
    if not is_private(request.peer):
        raise NotAllowed(
            f"The origin {origin.authority} does not list this path; others are passed through for private networks only.",
            "Reach the host without the mirror as a proxy.",
        )
    if mirror.settings.offline:
        raise Offline(f"The mirror is offline: nothing is passed through to {origin.authority}.", "Try again when it is online.")


def _is_listed(origin: Origin, request: Request) -> bool:
    """Whether it is for a path that the origin lists, so that a rule says that it is passed on."""
    return request.intercepted is None or origin.lists(normalise_path(request.target.path))


async def relay(mirror: Mirror, origin: Origin, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
    """Passes one request to the origin's real host and its answer back, both as streams. MirrorError while nothing was answered."""
    try:
        check_may_relay(mirror, origin, request)
    except Offline:
        if request.method in ("GET", "HEAD") and not _is_listed(origin, request):
            path, query = normalise_path(request.target.path), check_query(request.target.query)
            await mirror.unlisted.note(ArchiveId.of(origin.authority, path, query), request.peer or "127.0.0.1")
        raise
    scope[RELAYED] = True
    mirror.traffic.passages.relayed += 1
    log.debug("Relayed a request to %s.", origin.authority)
    body = _Body(receive)
    exchange = asyncio.create_task(_exchange(mirror.upstream, origin, scope, body, send))
    gone = asyncio.create_task(body.gone())
    try:
        await asyncio.wait([exchange, gone], return_when=asyncio.FIRST_COMPLETED)
        if not exchange.done():
            raise ClientGone
        exchange.result()
    finally:
        exchange.cancel()
        gone.cancel()
        await asyncio.wait([exchange, gone])


class _Body:
    """The request's body as it arrives, and then the client's leaving."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._whole = asyncio.Event()

    async def parts(self) -> AsyncIterator[bytes]:
        """ClientGone if the client leaves before its end."""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            if message.get("body"):
                yield message["body"]
            if not message.get("more_body"):
                break
        self._whole.set()

    def none(self) -> None:
        """There is none."""
        self._whole.set()

    async def gone(self) -> None:
        """Waits until the client has left, once its body has come."""
        await self._whole.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def _exchange(upstream: Upstream, origin: Origin, scope: Scope, body: _Body, send: Send) -> None:
    has_body = any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])
    if not has_body:
        body.none()
    target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
    fields = [field for field in end_to_end(scope["headers"]) if field[0] != b"expect"]
    by_upstream = origin.lists(normalise_path(scope["raw_path"]))
    content = body.parts() if has_body else None
    response = await _answer(upstream, origin, scope["method"], target, fields, content, by_upstream=by_upstream)
    try:
        await _pass_on(response, scope["method"], send)
    finally:
        # The client's leaving may end this task while it closes; half closed, the connection would stay open.
        await asyncio.shield(asyncio.create_task(response.aclose()))


async def _answer(
    upstream: Upstream,
    origin: Origin,
    method: str,
    target: bytes,
    fields: RawFields,
    body: AsyncIterator[bytes] | None,
    *,
    by_upstream: bool,
) -> httpx.Response:
    try:
        return await upstream.relay(origin, method, target, fields, body, by_upstream=by_upstream)
    except httpx.HTTPError as error:
        raise OriginUnreachable(f"{origin.authority} did not answer ({error or type(error).__name__}).", "Try again later.") from error


async def _pass_on(response: httpx.Response, method: str, send: Send) -> None:
    fields = [field for field in end_to_end(response.headers.raw) if field[0] != b"date"]  # the server writes its own
    if response.status_code in _NO_BODY:
        fields = [field for field in fields if field[0] != b"content-length"]
    await send({"type": "http.response.start", "status": response.status_code, "headers": fields})
    if method != "HEAD" and response.status_code not in _NO_BODY:
        try:
            async for chunk in response.aiter_raw():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except httpx.HTTPError as error:
            raise _BrokenOff(f"An answer that was passed through broke off ({error or type(error).__name__}).") from error
    await send({"type": "http.response.body", "body": b"", "more_body": False})


class _BrokenOff(MirrorError):
    """The real host's answer has no end, so ours must not have one either."""
