"""The ASGI gateway in front of FastAPI: it answers for archives; pages and API are FastAPI's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import BinaryIO
from urllib.parse import urlencode

from dataset_mirror.errors import (
    BadRequest,
    Loop,
    MethodNotAllowed,
    MirrorError,
    NotAllowed,
    NotForKeeping,
    OriginSaysNo,
    Superseded,
    SystemFailure,
    TooLarge,
)
from dataset_mirror.fetch.fill import Fill
from dataset_mirror.fetch.following import FOLLOW, KNOWN, of_edition, of_record
from dataset_mirror.fetch.reply import Reply
from dataset_mirror.mirror import Hit, Mirror
from dataset_mirror.origins.asked import Asked, Question, asked
from dataset_mirror.origins.identity import ArchiveId, normalise_authority, normalise_path, parse_url
from dataset_mirror.origins.model import Origin
from dataset_mirror.origins.routing import OwnPaths, find_archive, folder_meant
from dataset_mirror.rules import lfs
from dataset_mirror.rules.conditions import Selection, select
from dataset_mirror.rules.links import Place
from dataset_mirror.serve.access import check_may_read
from dataset_mirror.serve.asgi import EXTENSION, NOTE, ZERO_COPY, App, ClientGone, Message, RawFields, Receive, Request, Scope, Send
from dataset_mirror.serve.batch import Batch
from dataset_mirror.serve.body import Body
from dataset_mirror.serve.client import client_address
from dataset_mirror.serve.followed import check_may_follow, not_held
from dataset_mirror.serve.head import Representation, archive_head, for_one_client, problem
from dataset_mirror.serve.places import LONGEST_PAGE, leading_back, links_led_back, place_of, redirecting_back
from dataset_mirror.store.record import Record

log = logging.getLogger(__name__)

LONGEST_QUESTION = 1024 * 1024
"""Bytes of the body of a POST that only asks."""

Keep = Callable[[Request, Record, BinaryIO], None]
"""Told of what a plain GET is answered with, to answer the like from memory."""
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
                place = place_of(request, self._mirror, scope.get("scheme", "http"))
                return await self._batch(scope, request, target, receive, answer, place)
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

    def _answer(self, request: Request, scope: Scope, receive: Receive, send: Send) -> _Answer:
        place = place_of(request, self._mirror, scope.get("scheme", "http"))
        zero_copy = ZERO_COPY in (scope.get("extensions") or {})
        return _Answer(self._mirror, self._keep, request, receive, send, zero_copy=zero_copy, place=place)

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

    async def _batch(
        self, scope: Scope, request: Request, target: ArchiveId, receive: Receive, answer: _Answer, place: Place | None
    ) -> None:
        """Git LFS asks where objects are: here. What is no question of that kind is passed on."""
        body = await _question(receive)
        wanted, origin = lfs.asked_for(body), self._mirror.origins.of(target)
        if wanted is None:
            again = _again(Asked(target, target, Question(body=body)), receive)
            return await self._relay(origin, request, _as_at_origin(scope, target), again, answer.pass_back)
        check_may_read(request, origin, self._mirror.settings)
        where = place or (lambda url: url)
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


class _Answer:
    """One request for an archive, and how far its answer is."""

    def __init__(
        self, mirror: Mirror, keep: Keep, request: Request, receive: Receive, send: Send, *, zero_copy: bool, place: Place | None
    ) -> None:
        self.request = request
        self._keep, self._place = keep, place
        self._mirror, self._receive, self._send = mirror, receive, send
        self._started = False
        self._restricted = self._rewritten = False
        self._archive: ArchiveId | None = None
        self._outcome = "head"
        self._what: Asked | None = None
        """What is asked for, once it is known what that means now."""
        self._note: dict[str, str] = {}
        self._follows: Fill | None = None
        """The fill that another mirror follows."""
        self._tells: str | None = None
        """What another mirror is told of the bytes."""
        self._body = Body(send, self._served, zero_copy=zero_copy)

    def _served(self, count: int) -> None:
        assert self._archive is not None
        self._mirror.traffic.send(self._archive, count)

    async def send(self, message: Message) -> None:
        """What another one answers."""
        self._started |= message["type"] == "http.response.start"
        await self._send(message)

    async def pass_back(self, message: Message) -> None:
        """What the origin answers to a request that came by the mirror's own address."""
        if message["type"] == "http.response.start":
            message["headers"] = redirecting_back(message["headers"], self._place)
        await self.send(message)

    async def problem(self, error: MirrorError) -> None:
        """A problem document; once bytes have left, the connection is broken instead."""
        if self._started:
            raise error
        self._outcome = error.problem
        self._note["why"] = error.detail
        status, fields, body = problem(error, self.request.fields.get("accept", ""))
        await self._start(status, fields)
        await self._send({"type": "http.response.body", "body": b"" if self.request.method == "HEAD" else body, "more_body": False})

    @asynccontextmanager
    async def said(self) -> AsyncIterator[None]:
        """Inside, what goes wrong is answered, if nothing else was."""
        try:
            yield
        except ClientGone:
            log.debug("The client left.")
        except MirrorError as error:
            await self.unlisted(error)
            await self.problem(error)
        except OSError as error:
            log.error("An answer failed: %s.", error)  # its words say it all
            await self.problem(SystemFailure.of(error))

    async def json(self, body: bytes, media_type: str) -> None:
        """An answer of the mirror's own, for this client only."""
        self._outcome = "hit"
        fields = [(b"content-type", media_type.encode()), (b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store")]
        await self._start(200, fields)
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def unlisted(self, error: MirrorError) -> None:
        """An offline mirror's wanted list has what no origin lists here, too."""
        url = error.facts.get("archive") if isinstance(error, NotAllowed) else None
        if isinstance(url, str) and self._mirror.settings.offline and self.request.method in ("GET", "HEAD"):
            await self._mirror.unlisted.note(parse_url(url), self._address())

    async def answer(self, what: Asked) -> None:
        """Answers; one that could not be fetched is on the wanted list before its client hears of it."""
        try:
            await self.archive(what)
        except NotForKeeping:
            raise
        except MirrorError as error:
            raise await self._mirror.absences.missed(self._what or what, error, self._address()) from None

    async def followed(self, what: Asked) -> None:
        """Answers another mirror, which checks itself who may have it there. Forbidden or NotHeld if it cannot be meant."""
        self._archive, self._outcome, self._restricted = what.archive, "followed", True
        check_may_follow(self._mirror, what.archive, self.request.fields[FOLLOW])
        if fill := self._mirror.flights.get(what.archive):
            self._follows = fill
            return await self._while_connected(fill)
        hit = self._mirror.hit(what.archive)
        if hit is None:
            raise not_held(what.archive)
        self._tells = of_record(hit.record)
        await self._whole(hit, "hit")

    def _address(self) -> str | None:
        address = client_address(self.request, self._mirror.settings.forwarded_allow_ips)
        return str(address) if address else None

    async def archive(self, what: Asked) -> None:
        self._archive = what.archive
        self._admit(what.archive)
        authorization = self.request.fields.get("authorization")
        located = await self._mirror.located(what, authorization)
        self._rewritten = located.archive != what.archive
        try:
            await self._located(located)
        except OriginSaysNo as error:
            if self._started:
                raise
            await self._located(await self._mirror.let_in(located, authorization, error))

    async def _located(self, what: Asked) -> None:
        """Answers what this client may have, as far as the origin says."""
        self._what = what
        self._archive = archive = what.archive
        self._mirror.remember(what)
        self._note["archive"] = str(archive)
        self._restricted |= what.question.authorization is not None or what.is_for_readers
        self._admit(archive, private=what.is_for_readers)
        if self.request.method == "HEAD":
            return await self._head(what)
        found = await self._mirror.find(what)
        if isinstance(found, Hit):
            return await self._hit(found, what)
        self._outcome = "miss"
        self._note["why"] = "It was not stored." if found.readers == 0 else "It was not stored; another request had begun to fetch it."
        self._admit(archive, private=found.job.private)
        await self._while_connected(found)

    async def stored(self, what: Asked, hit: Hit) -> None:
        """Answers with what is there, and is for everybody."""
        self._what, self._archive = what, what.archive
        self._note["archive"] = str(what.archive)
        await (self._hit_head(hit, what) if self.request.method == "HEAD" else self._hit(hit, what))

    async def _hit(self, hit: Hit, what: Asked) -> None:
        self._outcome = "hit"
        self._mirror.usage.note(what.archive)
        self._rewritten |= hit.record.archive != what.archive
        await self._whole(hit, "hit", *self._mirror.freshness(hit.record, what).as_parameter())

    async def _hit_head(self, hit: Hit, what: Asked) -> None:
        with hit.file as file:
            self._admit(what.archive, private=hit.record.private)
            shown, _ = await self._led_back(self._of(hit.record), file, what.archive)
        await self._headers_of(shown, "hit", *self._mirror.freshness(hit.record, what).as_parameter())

    def _admit(self, archive: ArchiveId, *, private: bool = False) -> None:
        """Forbidden if this client may not have the archive, of which no byte and no head has left yet."""
        self._restricted |= check_may_read(self.request, self._mirror.origins.of(archive), self._mirror.settings, private=private)

    async def _head(self, asked_for: Asked) -> None:
        archive = asked_for.archive
        hit = await self._mirror.fresh(asked_for)
        if hit:
            return await self._hit_head(hit, asked_for)
        flight = self._mirror.flights.get(archive)
        self._admit(archive, private=flight is not None and flight.job.private)
        found = await self._mirror.head(asked_for)
        if isinstance(found, Record):
            self._admit(archive, private=found.private)
            what = self._of(found)
        elif isinstance(found, Reply):
            what = Representation.of_reply(found, self._mirror.fields_of(asked_for, found))
        else:
            flight = self._mirror.flights.get(archive)
            what = Representation.of_edition(found, flight.job.expected if flight else self._mirror.origins.expected(archive))
        await self._headers_of(what, "fwd=miss")

    def _of(self, record: Record) -> Representation:
        return Representation.of_record(record, self._mirror.passing(record.archive))

    async def _headers_of(self, what: Representation, *status: str) -> None:
        await self._empty(what.without_content(), select(self._conditions, what.validators, what.size), *status)

    @property
    def _conditions(self) -> dict[str, str]:
        """The request's fields; Range means something for GET only (RFC 9110 14.2)."""
        fields = self.request.fields
        return fields if self.request.method == "GET" else {name: value for name, value in fields.items() if name != "range"}

    async def _empty(self, what: Representation, selection: Selection, *status: str) -> None:
        await self._begin(what, selection, *status)
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _whole(self, hit: Hit, *status: str) -> None:
        """From a finished blob."""
        with self._mirror.read(hit) as file:
            self._admit(hit.record.archive, private=hit.record.private)
            what, content = await self._led_back(self._of(hit.record), file, hit.record.archive)
            if self._tells:
                what = replace(what, validators=hit.record.validators)
            selection = select(self._conditions, what.validators, what.size)
            if selection.status not in (200, 206):
                return await self._empty(what, selection, *status)
            if content is not None:
                await self._begin(what, selection, *status)
                return await self._send({"type": "http.response.body", "body": content[selection.start : selection.end]})
            if self._may_be_kept(hit.record):
                self._keep(self.request, hit.record, file)
            await self._begin(what, selection, *status)
            await self._body.finished(file, selection.start, selection.end or 0)

    async def _led_back(self, what: Representation, file: BinaryIO, archive: ArchiveId) -> tuple[Representation, bytes | None]:
        """What a client of the mirror's own address gets where the content has links to other hosts: these lead to the mirror."""
        hosts = self._mirror.linked(archive)
        if not hosts or self._place is None or (what.size or 0) > LONGEST_PAGE:
            return what, None
        content = await asyncio.to_thread(links_led_back, file.read, hosts, self._place)
        return what.of_content(content), content

    def _may_be_kept(self, record: Record) -> bool:
        """Whether the like of this request may be answered from memory: whoever asks, and with whatever fields."""
        plain = not record.archive.variant and not self._rewritten and not any(name == "link" for name, _ in record.fields)
        return plain and not self._restricted and self.request.method == "GET" and self._mirror.may_be_hot(record)

    async def _while_connected(self, fill: Fill) -> None:
        """Follows a fill until the answer ends or the client leaves; the fill goes on either way."""
        following = asyncio.create_task(self._follow(fill))
        gone = asyncio.create_task(self._disconnect())
        fill.readers += 1
        try:
            await asyncio.wait([following, gone], return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                self._mirror.misses.left(fill, self._address())
                raise ClientGone
            following.result()
        finally:
            fill.readers -= 1
            following.cancel()
            gone.cancel()
            await asyncio.wait([following, gone])

    async def _disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _follow(self, fill: Fill) -> None:
        status = ("fwd=miss", "collapsed" if fill.readers > 1 else "stored")
        if self._place is not None and self._mirror.linked(fill.job.archive):
            await fill.ended()  # the links in it lead elsewhere for this client: it needs the whole
        while True:
            edition = await fill.opened()
            if isinstance(edition, Record):
                hit = self._mirror.opened(edition)
                self._tells = of_record(edition) if self._follows else None
                return await self._whole(hit, *status) if hit else await self.archive(fill.job.asked)
            expected = fill.job.expected
            what = Representation.of_edition(edition, expected)
            if self._follows:
                what, self._tells = replace(what, validators=edition.validators), of_edition(edition, fill.began, private=fill.job.private)
            selection = select(self._conditions, what.validators, what.size)
            if selection.status not in (200, 206):
                return await self._empty(what, selection, *status)
            # A part without a known digest leaves as it comes: it is what the origin itself would have sent.
            hold = selection.status == 200 or edition.validators.strong is None or bool(expected and expected.has_digest)
            try:
                # No status line before a byte may leave: what fails until then is a clean error.
                await fill.readable(edition, selection.start, selection.end, hold=hold)
            except Superseded:
                continue
            if fill.record:
                continue  # finished meanwhile: now its digest is known too
            with edition.partial.duplicate() as file:
                await self._begin(what, selection, *status)
                return await self._body.growing(fill, edition, file, selection.start, selection.end, hold=hold)

    async def _begin(self, what: Representation, selection: Selection, *status: str) -> None:
        code, fields = archive_head(what, selection, *status)
        fields = leading_back(fields, self._place)
        if self._tells:
            fields.append((KNOWN.encode(), self._tells.encode("ascii")))
        if self.request.method == "POST":  # who goes on by GET would ask for something else
            fields = [(name, b"none" if name == b"accept-ranges" else value) for name, value in fields]
        await self._start(code, for_one_client(fields) if self._restricted else fields)

    async def _start(self, status: int, fields: RawFields) -> None:
        self._started = True
        self._mirror.traffic.answered(self._archive, self._outcome)
        note = self._note | {"outcome": self._outcome}
        await self._send({"type": "http.response.start", "status": status, "headers": fields, NOTE: note})
