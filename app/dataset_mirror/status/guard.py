"""Routes that are not for everybody: who may is decided, and how much is read is bounded, before any of the body is."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import Message

from dataset_mirror.errors import TooLarge
from dataset_mirror.status.here import changed_by
from dataset_mirror.store.changes import act_as

MOST_BODY = 8 * 1024 * 1024
"""Bytes of a request's body: ten thousand URLs of a usual length, and more."""


class Guarded(APIRoute):
    """A route for those who may change the mirror. A dependency would run after FastAPI has read the body."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def admitted(request: Request) -> Response:
            act_as(changed_by(request))
            return await answer(_with_body(request, await body_of(request)))

        return admitted


async def body_of(request: Request, most: int = MOST_BODY, hint: str = "Split the request into several.") -> bytes:
    """The whole body; TooLarge, as soon as it is known to be of more bytes than that."""
    too_large = TooLarge(f"The body of {request.url.path} is larger than {most:,} bytes.", hint)
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > most:
        raise too_large
    body = bytearray()
    async for some in request.stream():
        body += some
        if len(body) > most:
            raise too_large
    return bytes(body)


def _with_body(request: Request, body: bytes) -> Request:
    """The same request, whose body was read; after it only the client's leaving is still to be received."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return waiting.pop() if waiting else await request.receive()

    return Request(request.scope, receive)
