"""ASGI's types, and a request as the gateway sees it."""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Self

from dataset_mirror.origins.routing import Target

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
RawFields = list[tuple[bytes, bytes]]

EXTENSION = "dataset_mirror"
"""Key in the scope's `extensions`, set by our protocol: that bodies are armed, the `authority` of an absolute-form
target or of the CONNECT around, and `intercepted`, the latter alone."""

ZERO_COPY = "http.response.zerocopysend"
"""ASGI's name of an extension and of its message: a part of a file that the kernel sends."""

RELAYED = "dataset_mirror.relayed"
"""Key in a scope whose target is not to be logged."""

REQUEST_ID = "dataset_mirror.id"
"""Key in a scope whose request is observed: its id, given or made."""

PART = "dataset_mirror.part"
"""Key in a scope: tells, when it is called, how many bytes of the part of a file that is just being sent the kernel has."""

NOTE = "dataset_mirror.note"
"""Key in the head of an answer: what is to be remembered of it (`outcome`, `archive`, `why`)."""


class ClientGone(OSError):
    """The client has left; nobody is to be told."""


@dataclass(frozen=True, slots=True)
class Request:
    """Method, target and (lower-case) fields; fields that came several times are joined by commas (RFC 9110 5.3)."""

    method: str
    target: Target
    fields: dict[str, str]
    peer: str | None
    intercepted: str | None = None
    """The authority of the CONNECT that the request came through."""

    @classmethod
    def of(cls, scope: Scope) -> Self:
        fields: dict[str, str] = {}
        hosts: list[str] = []
        for raw_name, raw_value in scope["headers"]:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
            if name == "host":
                hosts.append(value.strip())
        ours = (scope.get("extensions") or {}).get(EXTENSION) or {}
        path = scope.get("raw_path") or scope["path"].encode()
        target = Target(path.partition(b"?")[0], scope["query_string"], ours.get("authority"), tuple(hosts))
        client = scope.get("client")
        return cls(scope["method"], target, fields, client[0] if client else None, ours.get("intercepted"))
