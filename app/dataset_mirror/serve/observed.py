"""Each request observed from its head to its last byte: its id, its line in the access log, and what is remembered of it."""

import logging
import re
import secrets
import time
from dataclasses import asdict
from functools import cached_property
from urllib.parse import quote

from dataset_mirror.fetch.cause import by_request
from dataset_mirror.fetch.pace import Pace
from dataset_mirror.fetch.recent import Asked
from dataset_mirror.mirror import Mirror
from dataset_mirror.rules.anonymous import anonymised
from dataset_mirror.rules.secrets import without_secrets
from dataset_mirror.serve.asgi import NOTE, PART, RELAYED, REQUEST_ID, ZERO_COPY, App, Message, Receive, Request, Scope, Send
from dataset_mirror.serve.client import client_address

access = logging.getLogger("uvicorn.access")

ID = b"x-request-id"
LINE = '%s - "%s %s HTTP/%s" %d'
"""A line of the access log, as uvicorn writes it."""
_GIVEN = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
_SMALL = 64 * 1024
"""Bytes of a last part that leave at once: it is noted before, so that who has the answer finds its line in the log."""


def observed(mirror: Mirror, app: App) -> App:
    """The app with each of its requests observed."""

    async def watching(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await app(scope, receive, send)
        watch = Watch(mirror, scope, send)
        try:
            with by_request(watch.id):
                await app(scope, receive, watch.send)
        finally:
            watch.end()

    return watching


def given_id(scope: Scope) -> str | None:
    """The id that the client gave the request, if it is a plain word."""
    given = [value for name, value in scope["headers"] if name == ID]
    return bytes(given[0]).decode() if len(given) == 1 and _GIVEN.fullmatch(given[0]) else None


class Watch:
    """One request, and its answer as far as it has left."""

    def __init__(self, mirror: Mirror, scope: Scope, send: Send) -> None:
        self._mirror, self._scope, self._send = mirror, scope, send
        given = given_id(scope)
        self._id = scope[REQUEST_ID] = given or secrets.token_hex(8)
        self._began, self._at = time.monotonic(), time.time()
        self._tells_id = given is not None or access.isEnabledFor(logging.INFO)
        """Where nobody logs requests, an id that was made here would say nothing."""
        self._status = self._size = 0
        self._counted = 0
        """Bytes of the answer that were counted while it was under way."""
        self.total: int | None = None
        """Bytes of the answer's body, if its head says so."""
        self._pace: Pace | None = None
        """How fast a body leaves that is not one part."""
        self._first: float | None = None
        self._note: dict[str, str] = {}
        self._is_over = self._is_whole = False

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            return await self._send(self._head(message))
        count = message["count"] if kind == ZERO_COPY else len(message.get("body", b""))
        if count and self._first is None:
            self._first = time.monotonic() - self._began
        is_last = not message.get("more_body", False) or self._size + count == self.total
        if is_last and count <= _SMALL:
            self._end(count)
        elif self._pace is None and self._note.get("archive"):
            self._pace = Pace()
            self._mirror.recent.under_way.add(self)
        await self._send(message)
        self._size += count
        if self._pace:
            self._pace.arrived(count)
        if is_last:
            self._end(0)
        return None

    def _head(self, message: Message) -> Message:
        fields = list(message.get("headers", ()))
        self._status, self._note = message["status"], message.pop(NOTE, {})
        self.total = next((int(value) for name, value in fields if bytes(name).lower() == b"content-length" and value.isdigit()), None)
        if self._scope.get(RELAYED) or not self._tells_id or any(bytes(name).lower() == ID for name, _ in fields):
            return message
        return {**message, "headers": [*fields, (ID, self._id.encode())]}

    def _end(self, last: int) -> None:
        """All has left, or is about to."""
        if not self._is_over:
            self._size += last
            self._is_whole = True
            self.end()
            self._size -= last

    def end(self) -> None:
        """Notes it, once. What is passed on to the origin itself leaves no trace, nor does what was never answered."""
        if self._is_over or self._scope.get(RELAYED) or not self._status:
            return
        self._is_over = True
        self._mirror.recent.under_way.discard(self)
        asked = self._asked()
        if asked.outcome != "page" or asked.status >= 400:
            self._mirror.recent.note(asked)
        if access.isEnabledFor(logging.INFO):
            client = self._scope.get("client")
            where = place(client, anonymised(client[0], self._mirror.settings.anonymise_clients)) if client else ""
            access.info(LINE, where, asked.method, asked.target, self._scope["http_version"], asked.status, extra={"facts": asdict(asked)})

    def _asked(self) -> Asked:
        scope, seconds = self._scope, time.monotonic() - self._began
        query = "?" + scope["query_string"].decode("latin-1") if scope["query_string"] else ""
        return Asked(
            at=self._at,
            id=self._id,
            client=self.client,
            method=scope["method"],
            target=without_secrets(quote(scope["path"]) + query),
            status=self._status,
            outcome=self._note.get("outcome", "page"),
            archive=without_secrets(self._note.get("archive", "")),
            size=self._size,
            first_byte=round(self._first if self._first is not None else seconds, 6),
            seconds=round(seconds, 6),
            why=without_secrets(self._note.get("why", "")),
            is_whole=self._is_whole,
            counted=self._counted,
        )

    # Of an answer under way

    @cached_property
    def client(self) -> str:
        """Who asked, as far as that is to be known."""
        trusted = self._mirror.settings.forwarded_allow_ips
        if not trusted:
            peer = self._scope.get("client")
            address = str(peer[0]) if peer else ""
        else:
            found = client_address(Request.of(self._scope), trusted)
            address = str(found) if found else ""
        return anonymised(address, self._mirror.settings.anonymise_clients)

    @property
    def id(self) -> str:
        return self._id

    @property
    def archive(self) -> str:
        """Host and path."""
        return without_secrets(self._note.get("archive", ""))

    @property
    def outcome(self) -> str:
        return self._note.get("outcome", "page")

    @property
    def sent(self) -> int:
        part = self._scope.get(PART)
        return self._size + (part() if part else 0)

    def news(self) -> int:
        more = self.sent - self._counted
        self._counted += more
        return more

    @property
    def since(self) -> float:
        """When it was asked for, in seconds since the epoch."""
        return self._at

    @property
    def rate(self) -> float:
        """Bytes per second, of the last seconds."""
        return self._pace.rate(self.sent - self._size) if self._pace else 0.0


def place(client: tuple[str, int], known_as: str) -> str:
    """Where a request came from, as the access log has it: address and port, or what is to be known of the address."""
    return f"{client[0]}:{client[1]}" if known_as == client[0] else known_as
