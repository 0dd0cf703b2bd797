"""The ASGI gateway in front of FastAPI: it answers for archives; pages and API are FastAPI's."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import BinaryIO

from dataset_mirror.errors import BadRequest, Loop, MethodNotAllowed, MirrorError, NotAllowed, Superseded
from dataset_mirror.fetch.fill import Fill
from dataset_mirror.fetch.upstream import Reply
from dataset_mirror.mirror import Hit, Mirror
from dataset_mirror.origins.identity import ArchiveId, normalise_authority, normalise_path, parse_url
from dataset_mirror.origins.model import Origin
from dataset_mirror.origins.routing import OwnPaths, find_archive
from dataset_mirror.rules.conditions import Selection, select
from dataset_mirror.serve.access import check_may_read
from dataset_mirror.serve.asgi import EXTENSION, ZERO_COPY, App, ClientGone, Message, RawFields, Receive, Request, Scope, Send
from dataset_mirror.serve.body import Body
from dataset_mirror.serve.client import client_address
from dataset_mirror.serve.head import Representation, archive_head, for_one_client, problem
from dataset_mirror.store.record import Record

log = logging.getLogger(__name__)

Keep = Callable[[Request, Record, BinaryIO], None]
"""Told of what a plain GET is answered with, to answer the like from memory."""
Relay = Callable[[Origin, Request, Scope, Receive, Send], Awaitable[None]]
"""Passes a request inside a CONNECT on to the origin's real host, if it may; MirrorError while nothing was answered."""


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
        answer = _Answer(self._mirror, self._keep, Request.of(scope), receive, send, zero_copy=ZERO_COPY in (scope.get("extensions") or {}))
        try:
            if answer.request.intercepted is not None and (origin := self._beyond_archives(answer.request)):
                return await self._relay(origin, answer.request, scope, receive, answer.send)
            archive = self._route(answer.request)
            if archive is None:
                return await self._pages(scope, receive, send)
            await answer.answer(archive)
        except ClientGone:
            log.debug("The client left.")
        except MirrorError as error:
            await answer.unlisted(error)
            await answer.problem(error)

    def _beyond_archives(self, request: Request) -> Origin | None:
        """The origin of the CONNECT around a request, if the request is for none of its archives. BadRequest if it names another host."""
        through = request.intercepted or ""
        named = {request.target.authority or through, *request.target.hosts}
        if {normalise_authority(name, "https") for name in named} != {through}:
            raise BadRequest(f"The request names another host than its CONNECT, which was to {through}.", "Use one CONNECT for each host.")
        origin = self._mirror.origins.get(through)
        if origin is None:
            raise NotAllowed(f"{through} is no origin any more.", "Connect anew.")
        is_archive = origin.lists(normalise_path(request.target.path)) and request.method in ("GET", "HEAD")
        self._check_loop(request)
        return None if is_archive else origin

    def _check_loop(self, request: Request) -> None:
        if self._mirror.upstream.via in request.fields.get("via", ""):
            raise Loop("This request comes from this very mirror.", "An upstream leads back here: check `upstreams`.")

    def _route(self, request: Request) -> ArchiveId | None:
        self._check_loop(request)
        archive = find_archive(request.target, self._mirror.origins, self._own_port, self._own)
        if archive is not None and request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed(f"{request.method} is not for archives.", "Use GET or HEAD.", headers={"Allow": "GET, HEAD"})
        return archive

    def _warn_if_unarmed(self, scope: Scope) -> None:
        if not self._warned and EXTENSION not in (scope.get("extensions") or {}):
            self._warned = True
            log.warning(
                "Running under a server that cannot reset connections: a client without a length check may take a cut "
                "download for a whole one. Start it with: dataset-mirror serve"
            )


class _Answer:
    """One request for an archive, and how far its answer is."""

    def __init__(self, mirror: Mirror, keep: Keep, request: Request, receive: Receive, send: Send, *, zero_copy: bool) -> None:
        self.request = request
        self._keep = keep
        self._mirror, self._receive, self._send = mirror, receive, send
        self._started = False
        self._restricted = False
        self._origin, self._outcome = "", "head"
        self._body = Body(send, self._served, zero_copy=zero_copy)

    def _served(self, count: int) -> None:
        self._mirror.traffic.send(self._origin, count)

    async def send(self, message: Message) -> None:
        """What another one answers."""
        self._started |= message["type"] == "http.response.start"
        await self._send(message)

    async def problem(self, error: MirrorError) -> None:
        """A problem document; once bytes have left, the connection is broken instead."""
        if self._started:
            raise error
        self._outcome = error.problem
        status, fields, body = problem(error)
        await self._start(status, fields)
        await self._send({"type": "http.response.body", "body": b"" if self.request.method == "HEAD" else body, "more_body": False})

    async def unlisted(self, error: MirrorError) -> None:
        """An offline mirror's wanted list has what no origin lists here, too."""
        url = error.facts.get("archive") if isinstance(error, NotAllowed) else None
        if isinstance(url, str) and self._mirror.settings.offline and self.request.method in ("GET", "HEAD"):
            await self._mirror.unlisted.note(parse_url(url), self._address())

    async def answer(self, archive: ArchiveId) -> None:
        """Answers; one that could not be fetched is on the wanted list before its client hears of it."""
        try:
            await self.archive(archive)
        except MirrorError as error:
            raise await self._mirror.missed(archive, error, self._address()) from None

    def _address(self) -> str | None:
        address = client_address(self.request, self._mirror.settings.forwarded_allow_ips)
        return str(address) if address else None

    async def archive(self, archive: ArchiveId) -> None:
        self._origin = archive.authority
        self._admit(archive)
        if self.request.method == "HEAD":
            return await self._head(archive)
        found = self._mirror.find(archive)
        if isinstance(found, Hit):
            self._outcome = "hit"
            self._mirror.usage.note(archive)
            return await self._whole(found, "hit", *self._mirror.freshness(found.record).as_parameter())
        self._outcome = "miss"
        self._admit(archive, private=found.job.private)
        await self._while_connected(found)

    def _admit(self, archive: ArchiveId, *, private: bool = False) -> None:
        """Forbidden if this client may not have the archive, of which no byte and no head has left yet."""
        self._restricted |= check_may_read(self.request, self._mirror.origins.of(archive), self._mirror.settings, private=private)

    async def _head(self, archive: ArchiveId) -> None:
        hit = self._mirror.hit(archive)
        if hit:
            hit.file.close()
            self._admit(archive, private=hit.record.private)
            return await self._headers_of(Representation.of_record(hit.record), "hit", *self._mirror.freshness(hit.record).as_parameter())
        flight = self._mirror.flights.get(archive)
        self._admit(archive, private=flight is not None and flight.job.private)
        found = await self._mirror.head(archive)
        if isinstance(found, Record):
            self._admit(archive, private=found.private)
            what = Representation.of_record(found)
        elif isinstance(found, Reply):
            what = Representation.of_reply(found)
        else:
            what = Representation.of_edition(found, self._mirror.origins.expected(archive))
        await self._headers_of(what, "fwd=miss")

    async def _headers_of(self, what: Representation, *status: str) -> None:
        """Range means nothing for HEAD (RFC 9110 14.2)."""
        conditions = {name: value for name, value in self.request.fields.items() if name != "range"}
        await self._empty(what.without_content(), select(conditions, what.validators, what.size), *status)

    async def _empty(self, what: Representation, selection: Selection, *status: str) -> None:
        await self._begin(what, selection, *status)
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _whole(self, hit: Hit, *status: str) -> None:
        """From a finished blob."""
        with self._mirror.read(hit) as file:
            self._admit(hit.record.archive, private=hit.record.private)
            what = Representation.of_record(hit.record)
            selection = select(self.request.fields, what.validators, what.size)
            if selection.status not in (200, 206):
                return await self._empty(what, selection, *status)
            if not self._restricted and self.request.method == "GET":
                self._keep(self.request, hit.record, file)
            await self._begin(what, selection, *status)
            await self._body.finished(file, selection.start, selection.end or 0)

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
        while True:
            edition = await fill.opened()
            if isinstance(edition, Record):
                hit = self._mirror.opened(edition)
                return await self._whole(hit, *status) if hit else await self.archive(edition.archive)
            expected = fill.job.expected
            what = Representation.of_edition(edition, expected)
            selection = select(self.request.fields, what.validators, what.size)
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
        await self._start(code, for_one_client(fields) if self._restricted else fields)

    async def _start(self, status: int, fields: RawFields) -> None:
        self._started = True
        self._mirror.traffic.answered(self._origin, self._outcome)
        await self._send({"type": "http.response.start", "status": status, "headers": fields})
