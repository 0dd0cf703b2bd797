"""The ASGI gateway in front of FastAPI: it answers for archives; pages and API are FastAPI's."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from dataset_mirror.errors import (
    BadRequest,
    Loop,
    MethodNotAllowed,
    MirrorError,
    NotAllowed,
    NotForKeeping,
    TooLarge,
)
from dataset_mirror.fetch.following import FOLLOW
from dataset_mirror.mirror import Hit, Mirror
from dataset_mirror.origins.asked import Asked, Question, asked
from dataset_mirror.origins.identity import ArchiveId, normalise_authority, normalise_path, parse_url
from dataset_mirror.origins.model import Origin
from dataset_mirror.origins.routing import OwnPaths, find_archive, folder_meant
from dataset_mirror.rules import lfs
from dataset_mirror.serve.access import check_may_read
from dataset_mirror.serve.answer import Answer, Keep
from dataset_mirror.serve.asgi import EXTENSION, ZERO_COPY, App, ClientGone, Message, Receive, Request, Scope, Send
from dataset_mirror.serve.batch import Batch
from dataset_mirror.serve.places import place_of

log = logging.getLogger(__name__)

LONGEST_QUESTION = 1024 * 1024
"""Bytes of the body of a POST that only asks."""

Relay = Callable[[Origin, Request, Scope, Receive, Send], Awaitable[None]]
"""Passes a request inside a CONNECT on to the origin's real host, if it may; MirrorError while nothing was answered."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a request asks for, and it is there."""

    what: Asked
    hit: Hit


class Gateway:
    """Finds out what a request asks for, and answers it from the mirror or hands it to the pages."""

    def __init__(self, mirror: Mirror, pages: App, own: OwnPaths, own_port: int, *, keep: Keep, relay: Relay) -> None:
        """`own` are the paths of the `pages`."""
        self._mirror, self._pages, self._own, self._own_port = mirror, pages, own, own_port
        self._keep, self._relay = keep, relay
        self._warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._pages(scope, receive, send)
        self._warn_if_unarmed(scope)
        request = Request.of(scope)
        answer = self._answer(request, scope, receive, send)
        async with answer.said():
            if request.intercepted is not None and (origin := self._beyond_archives(request)):
                return await self._relay(origin, request, scope, receive, answer.send)
            if (folder := self._folder(request)) is not None:
                return await self._pages(_at(scope, "/status/folder", urlencode({"prefix": folder})), receive, send)
            target = self._route(request)
            if target is None:
                return await self._pages(scope, receive, send)
            if (origin := self._not_kept(target)) is not None:
                return await self._relay(origin, request, _as_at_origin(scope, target), receive, answer.pass_back)
            if self._is_batch(request, target):
                return await self._batch(scope, request, target, receive, answer)
            what = await self._asked(request, target, receive)
            if self._mirror.shared and FOLLOW in request.fields:
                return await answer.followed(what)
            try:
                if not what.is_kept:
                    raise NotForKeeping(f"{what.archive.authority} is asked for what no rule of it is for.")
                await answer.answer(what)
            except NotForKeeping:
                origin = self._mirror.origins.of(target)
                await self._relay(origin, request, _as_at_origin(scope, target), _again(what, receive), answer.pass_back)

    def stored(self, request: Request) -> Stored | None:
        """What a plain request is answered with, and nobody else need be asked, and nothing is to be fetched; whoever gets it closes it."""
        if request.method not in ("GET", "HEAD"):
            return None
        try:
            if (request.intercepted is not None and self._beyond_archives(request)) or self._folder(request) is not None:
                return None
            target = self._route(request)
            if target is None or self._not_kept(target) is not None:
                return None
            what = asked(self._mirror.origins.of(target), target, request.fields.get("accept", ""))
            hit = self._mirror.for_everybody(what) if what.is_kept else None
        except (MirrorError, OSError):  # an index that is damaged, or too many open files
            return None
        return None if hit is None else Stored(what, hit)

    async def answer_stored(self, found: Stored, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request with what `stored` found for it."""
        answer = self._answer(request, scope, receive, send)
        async with answer.said():
            await answer.stored(found.what, found.hit)

    def _answer(self, request: Request, scope: Scope, receive: Receive, send: Send) -> Answer:
        place = place_of(request, self._mirror, scope.get("scheme", "http"))
        zero_copy = ZERO_COPY in (scope.get("extensions") or {})
        return Answer(self._mirror, self._keep, request, receive, send, zero_copy=zero_copy, place=place)

    def _folder(self, request: Request) -> str | None:
        """HOST/PATH/ of a folder whose stored archives are asked for; None if the very path is stored, too."""
        if request.method not in ("GET", "HEAD") or request.intercepted is not None:
            return None
        folder = folder_meant(request.target, self._mirror.origins, self._own_port)
        return None if folder is None or self._mirror.store.find(parse_url(folder)) else folder

    def _beyond_archives(self, request: Request) -> Origin | None:
        """The origin of the CONNECT around a request, if the request is for none of its archives. BadRequest if it names another host."""
        through = request.intercepted or ""
        named = {request.target.authority or through, *request.target.hosts}
        if {normalise_authority(name, "https") for name in named} != {through}:
            raise BadRequest(f"The request names another host than its CONNECT, which was to {through}.", "Use one CONNECT for each host.")
        origin = self._mirror.origins.get(through)
        if origin is None:
            raise NotAllowed(f"{through} is no longer an origin.", "Reconnect.")
        path = normalise_path(request.target.path)
        self._check_loop(request)
        return None if origin.lists(path) and request.method in _methods(origin, path) else origin

    def _not_kept(self, target: ArchiveId) -> Origin | None:
        """The origin of what is passed on, and never kept, by its rule."""
        origin = self._mirror.origins.of(target)
        matched = origin.rule(target.path)
        return origin if matched is not None and not matched.rule.store else None

    async def _asked(self, request: Request, target: ArchiveId, receive: Receive) -> Asked:
        """What is asked for. TooLarge for a question that is absurdly long."""
        accept, kind = request.fields.get("accept", ""), request.fields.get("content-type", "")
        body = await _question(receive) if request.method == "POST" else None
        return asked(self._mirror.origins.of(target), target, accept, body, kind)

    def _is_batch(self, request: Request, target: ArchiveId) -> bool:
        matched = self._mirror.origins.of(target).rule(target.path)
        return matched is not None and matched.is_batch and request.method == "POST"

    async def _batch(self, scope: Scope, request: Request, target: ArchiveId, receive: Receive, answer: Answer) -> None:
        """Git LFS asks where objects are: here. What is no question of that kind is passed on."""
        body = await _question(receive)
        wanted, origin = lfs.asked_for(body), self._mirror.origins.of(target)
        if wanted is None:
            again = _again(Asked(target, target, Question(body=body)), receive)
            return await self._relay(origin, request, _as_at_origin(scope, target), again, answer.pass_back)
        check_may_read(request, origin, self._mirror.settings)
        where = answer.place or (lambda url: url)
        found = await Batch(self._mirror, origin, target, request.fields.get("authorization"), where).answer(wanted)
        await answer.json(found, lfs.MEDIA_TYPE)

    def _check_loop(self, request: Request) -> None:
        if self._mirror.upstream.via in request.fields.get("via", ""):
            raise Loop("This request comes from this very mirror.", "An upstream leads back here: check `upstreams`.")

    def _route(self, request: Request) -> ArchiveId | None:
        self._check_loop(request)
        archive = find_archive(request.target, self._mirror.origins, self._own_port, self._own)
        if archive is not None and self._not_kept(archive) is None:
            allowed = _methods(self._mirror.origins.of(archive), archive.path)
            if request.method not in allowed:
                raise MethodNotAllowed(
                    f"{request.method} is not for archives.", f"Use {' or '.join(allowed)}.", headers={"Allow": ", ".join(allowed)}
                )
        return archive

    def _warn_if_unarmed(self, scope: Scope) -> None:
        if not self._warned and EXTENSION not in (scope.get("extensions") or {}):
            self._warned = True
            log.warning(
                "Running under a server that cannot reset connections: a client without a length check may take a cut "
                "download for a whole one. Start it with: dataset-mirror serve"
            )


def _at(scope: Scope, path: str, query: str) -> Scope:
    """The scope of the same request for a page of the mirror's own."""
    return {**scope, "path": path, "raw_path": path.encode(), "query_string": query.encode()}


def _methods(origin: Origin, path: str) -> tuple[str, ...]:
    """Of the requests for what is kept at a path."""
    matched = origin.rule(path)
    if matched is not None and not matched.rule.store:
        return ()
    if matched is not None and matched.is_batch:
        return ("POST",)
    return ("GET", "HEAD", "POST") if matched is not None and matched.rule.post else ("GET", "HEAD")


async def _question(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        if len(body) > LONGEST_QUESTION:
            raise TooLarge(f"The body of the request is longer than {LONGEST_QUESTION:,} bytes.", "Ask for less at once.")
        if not message.get("more_body"):
            return bytes(body)


def _again(what: Asked, receive: Receive) -> Receive:
    """The body of a request that was read, once more, and then what comes after it."""
    sent = what.question.body is None

    async def received() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": what.question.body, "more_body": False}

    return received


def _as_at_origin(scope: Scope, target: ArchiveId) -> Scope:
    """A request whose path begins with its origin, as that origin would get it."""
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    path = path.partition(b"?")[0]
    if normalise_path(path) != target.path:
        path = b"/" + path[1:].partition(b"/")[2]
    if path.startswith(b"//") or normalise_path(path) != target.path:  # a whole URL stands in place of the path
        scope = {**scope, "query_string": target.asked_with.encode()}
        path = target.path.encode()
    fields = [(name, target.authority.encode() if name.lower() == b"host" else value) for name, value in scope["headers"]]
    return {**scope, "raw_path": path, "headers": fields}
